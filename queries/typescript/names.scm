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
(class_body [
  (method_definition name: (string) @unknown)
  (public_field_definition name: (string) @unknown)])
(interface_body (property_signature name: (string) @unknown))
(type_alias_declaration value: (object_type (property_signature name: (string) @unknown)))
((_ name: (computed_property_name) @unknown) (#not-match? @unknown "^\\[Symbol\\."))
(enum_body [(string) (enum_assignment name: (string))] @unknown)
; A namespace adds to the type that is called alike.
(internal_module name: (identifier) @part.name body: (_) @unknown) @part.more
(assignment_expression left: (member_expression object: (identifier) @member.of property: (property_identifier) @member))
(assignment_expression left: (member_expression
  object: (member_expression object: (identifier) @member.of property: (property_identifier) @condition)
  property: (property_identifier) @member)
  (#eq? @condition "prototype"))
((call_expression
  function: (member_expression object: (identifier) @condition property: (property_identifier) @condition)
  arguments: (arguments . [(identifier) @unknown.of (member_expression object: (identifier) @unknown.of)]))
  (#any-of? @condition "Object" "Reflect" "assign" "defineProperty" "defineProperties" "setPrototypeOf"))

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
(export_statement declaration: [(import_alias) (internal_module name: (nested_identifier))] @unknown)
(export_statement declaration: (_ (variable_declarator name: [(array_pattern) (object_pattern [(pair_pattern) (rest_pattern) (object_assignment_pattern)])] @unknown)))
((identifier) @unknown (#eq? @unknown "exports"))
((member_expression object: (identifier) @unknown) (#eq? @unknown "module"))

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

; What a literal whose type is said names of it.
(variable_declarator type: (type_annotation [(type_identifier) @given.to (generic_type name: (type_identifier) @given.to)]) value: (object) @given)
(public_field_definition type: (type_annotation [(type_identifier) @given.to (generic_type name: (type_identifier) @given.to)]) value: (object) @given)
(required_parameter type: (type_annotation [(type_identifier) @given.to (generic_type name: (type_identifier) @given.to)]) value: (object) @given)
(satisfies_expression (object) @given [(type_identifier) @given.to (generic_type name: (type_identifier) @given.to)])
(function_declaration
  return_type: (type_annotation [(type_identifier) @given.to (generic_type name: (type_identifier) @given.to)])
  body: (statement_block (return_statement (object) @given)))
(method_definition
  return_type: (type_annotation [(type_identifier) @given.to (generic_type name: (type_identifier) @given.to)])
  body: (statement_block (return_statement (object) @given)))
(arrow_function
  return_type: (type_annotation [(type_identifier) @given.to (generic_type name: (type_identifier) @given.to)])
  body: [(parenthesized_expression (object) @given) (statement_block (return_statement (object) @given))])
(pair key: (property_identifier) @given.name)
(object [(shorthand_property_identifier) @given.name (method_definition name: (property_identifier) @given.name)])
