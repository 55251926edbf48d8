; Names of TypeScript: members of classes, interfaces and enums, what a module exports, and what variables are.
(class_declaration name: (type_identifier) @part.name) @part
(abstract_class_declaration name: (type_identifier) @part.name) @part
(class name: (type_identifier) @part.name) @part
(interface_declaration name: (type_identifier) @part.name) @part
(enum_declaration name: (identifier) @part.name) @part
(type_alias_declaration name: (type_identifier) @part.name value: (object_type)) @part
(class_heritage (extends_clause value: (_) @base))
(extends_type_clause type: (_) @base)
(class_body [
  (method_definition name: (property_identifier) @member)
  (method_signature name: (property_identifier) @member)
  (abstract_method_signature name: (property_identifier) @member)
  (public_field_definition name: (property_identifier) @member)
  (index_signature) @unknown])
(required_parameter (accessibility_modifier) pattern: (identifier) @member)
(required_parameter "readonly" pattern: (identifier) @member)
(optional_parameter (accessibility_modifier) pattern: (identifier) @member)
(optional_parameter "readonly" pattern: (identifier) @member)
(public_field_definition name: (property_identifier) @member type: (type_annotation (type_identifier) @member.is))
(required_parameter (accessibility_modifier) pattern: (identifier) @member type: (type_annotation (type_identifier) @member.is))
(interface_body (property_signature name: (property_identifier) @member type: (type_annotation (type_identifier) @member.is)))
(interface_body [
  (property_signature name: (property_identifier) @member)
  (method_signature name: (property_identifier) @member)
  (index_signature) @unknown])
(type_alias_declaration value: (object_type [
  (property_signature name: (property_identifier) @member)
  (method_signature name: (property_identifier) @member)
  (index_signature) @unknown]))
(enum_body [
  (property_identifier) @member
  (enum_assignment name: (property_identifier) @member)])
(member_expression object: (this) property: (property_identifier) @member)

(export_statement declaration: (_ name: [(identifier) (type_identifier)] @export))
(export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @export)))
(export_statement declaration: (variable_declaration (variable_declarator name: (identifier) @export)))
(export_statement declaration: (lexical_declaration (variable_declarator name: (object_pattern (shorthand_property_identifier_pattern) @export))))
(export_statement declaration: (ambient_declaration (_ name: [(identifier) (type_identifier)] @export)))
(export_statement declaration: (ambient_declaration (lexical_declaration (variable_declarator name: (identifier) @export))))
(export_statement !source (export_clause (export_specifier name: (identifier) @export !alias)))
(export_statement !source (export_clause (export_specifier alias: (identifier) @export)))
(export_statement "default" @export)
(export_statement (export_clause (export_specifier name: (identifier) @import.name @export !alias)) source: (string) @import.module)
(export_statement
  (export_clause (export_specifier name: (identifier) @import.name alias: (identifier) @import.alias @export))
  source: (string) @import.module)
(export_statement "*" @import.all . "from" source: (string) @import.module)
(export_statement (namespace_export (identifier) @import.alias @export) source: (string) @import.module)
(export_statement "=" @unknown)
((member_expression object: (identifier) @unknown) (#any-of? @unknown "exports" "module"))

(import_statement (import_clause (named_imports (import_specifier name: (identifier) @import.name !alias))) source: (string) @import.module)
(import_statement
  (import_clause (named_imports (import_specifier name: (identifier) @import.name alias: (identifier) @import.alias)))
  source: (string) @import.module)
(import_statement (import_clause (namespace_import (identifier) @import.alias)) source: (string) @import.module)

(required_parameter pattern: (identifier) @variable type: (type_annotation (type_identifier) @variable.type))
(required_parameter pattern: (identifier) @variable !type)
(required_parameter pattern: (identifier) @variable type: (type_annotation [(generic_type) (union_type) (object_type) (array_type) (intersection_type) (predefined_type) (nested_type_identifier) (literal_type) (function_type)]))
(optional_parameter pattern: (identifier) @variable)
(arrow_function parameter: (identifier) @variable)
(variable_declarator name: (identifier) @variable type: (type_annotation (type_identifier) @variable.type))
(variable_declarator name: (identifier) @variable !type value: (new_expression constructor: (identifier) @variable.type))
((variable_declarator name: (identifier) @variable !type value: (_) @condition) (#not-match? @condition "^new [A-Za-z_$][A-Za-z0-9_$]*[(<]"))
(variable_declarator name: (identifier) @variable type: (type_annotation [(generic_type) (union_type) (object_type) (array_type) (intersection_type) (predefined_type) (nested_type_identifier) (literal_type) (function_type)]))
(variable_declarator name: (identifier) @variable !type !value)
(assignment_expression left: (identifier) @variable)
(shorthand_property_identifier_pattern) @variable
(array_pattern (identifier) @variable)
(pair_pattern value: (identifier) @variable)
(for_in_statement left: (identifier) @variable)
(catch_clause parameter: (identifier) @variable)
(binary_expression left: (identifier) @variable operator: "instanceof")
(binary_expression operator: "in" right: (identifier) @variable)
