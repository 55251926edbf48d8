; Names of Java: members of classes, and what variables are.
(class_declaration name: (identifier) @part.name) @part
(interface_declaration name: (identifier) @part.name) @part
(enum_declaration name: (identifier) @part.name) @part
(record_declaration name: (identifier) @part.name) @part
(superclass (_) @base)
(super_interfaces (type_list (_) @base))
(extends_interfaces (type_list (_) @base))
(class_body [
  (method_declaration name: (identifier) @member)
  (field_declaration declarator: (variable_declarator name: (identifier) @member))
  (class_declaration name: (identifier) @member)
  (interface_declaration name: (identifier) @member)
  (enum_declaration name: (identifier) @member)
  (record_declaration name: (identifier) @member)
  (annotation_type_declaration name: (identifier) @member)])
(class_body (field_declaration
  type: (type_identifier) @member.is
  declarator: (variable_declarator name: (identifier) @member)))
(interface_body [
  (method_declaration name: (identifier) @member)
  (constant_declaration declarator: (variable_declarator name: (identifier) @member))
  (class_declaration name: (identifier) @member)
  (interface_declaration name: (identifier) @member)
  (enum_declaration name: (identifier) @member)
  (record_declaration name: (identifier) @member)
  (annotation_type_declaration name: (identifier) @member)])
(enum_body (enum_constant name: (identifier) @member))
(enum_body_declarations [
  (method_declaration name: (identifier) @member)
  (field_declaration declarator: (variable_declarator name: (identifier) @member))
  (class_declaration name: (identifier) @member)
  (interface_declaration name: (identifier) @member)
  (enum_declaration name: (identifier) @member)])
(record_declaration parameters: (formal_parameters (formal_parameter name: (identifier) @member)))
(((class_declaration (modifiers [(marker_annotation name: (_) @unknown) (annotation name: (_) @unknown)])) @part)
  (#not-any-of? @unknown "Deprecated" "SuppressWarnings" "FunctionalInterface" "SuppressLint" "Nullable" "NonNull" "RequiresApi" "TargetApi" "ReactModule" "Override" "CapacitorPlugin" "VisibleForTesting"))
(import_declaration (scoped_identifier) @import.module)

(formal_parameter type: (type_identifier) @variable.type name: (identifier) @variable)
(formal_parameter type: [(generic_type) (array_type) (scoped_type_identifier) (integral_type) (floating_point_type) (boolean_type)] name: (identifier) @variable)
(local_variable_declaration type: (type_identifier) @variable.type declarator: (variable_declarator name: (identifier) @variable))
(local_variable_declaration type: [(generic_type) (array_type) (scoped_type_identifier) (integral_type) (floating_point_type) (boolean_type)] declarator: (variable_declarator name: (identifier) @variable))
(field_declaration type: (type_identifier) @variable.type declarator: (variable_declarator name: (identifier) @variable))
(field_declaration type: [(generic_type) (array_type) (scoped_type_identifier) (integral_type) (floating_point_type) (boolean_type)] declarator: (variable_declarator name: (identifier) @variable))
(enhanced_for_statement type: (type_identifier) @variable.type name: (identifier) @variable)
(enhanced_for_statement type: [(generic_type) (array_type) (scoped_type_identifier) (integral_type) (floating_point_type) (boolean_type)] name: (identifier) @variable)
(resource name: (identifier) @variable)
(catch_formal_parameter name: (identifier) @variable)
(lambda_expression parameters: (identifier) @variable)
(inferred_parameters (identifier) @variable)
