; Names of JavaScript: members of classes, what a module exports, and what variables are.
(class_declaration name: (identifier) @part.name) @part
(class name: (identifier) @part.name) @part
(class_heritage (_) @base)
(class_body [
  (method_definition name: (property_identifier) @member)
  (field_definition property: (property_identifier) @member)])
(member_expression object: (this) property: (property_identifier) @member)
(class_body [
  (method_definition name: (string) @unknown)
  (field_definition property: (string) @unknown)])
((class_body (_ [(computed_property_name)] @unknown)) (#not-match? @unknown "^\\[Symbol\\."))
(class_declaration decorator: (_) @unknown)
(assignment_expression left: (member_expression object: (identifier) @member.of property: (property_identifier) @member))
(assignment_expression left: (member_expression
  object: (member_expression object: (identifier) @member.of property: (property_identifier) @condition)
  property: (property_identifier) @member)
  (#eq? @condition "prototype"))
((call_expression function: (member_expression object: (identifier) @condition property: (property_identifier) @unknown))
  (#eq? @condition "Object") (#any-of? @unknown "assign" "defineProperty" "defineProperties" "setPrototypeOf"))
((call_expression
  function: (member_expression object: (identifier) @condition property: (property_identifier) @condition)
  arguments: (arguments . [(identifier) @unknown.of (member_expression object: (identifier) @unknown.of)]))
  (#any-of? @condition "Object" "Reflect" "assign" "defineProperty" "defineProperties" "setPrototypeOf"))

(export_statement declaration: (_ name: (identifier) @export))
(export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @export)))
(export_statement declaration: (variable_declaration (variable_declarator name: (identifier) @export)))
(export_statement declaration: (lexical_declaration (variable_declarator name: (object_pattern (shorthand_property_identifier_pattern) @export))))
(export_statement !source (export_clause (export_specifier name: (identifier) @export !alias)))
(export_statement !source (export_clause (export_specifier alias: (identifier) @export)))
(export_statement "default" @export)
(export_statement (export_clause (export_specifier name: (identifier) @import.name @export !alias)) source: (string) @import.module)
(export_statement
  (export_clause (export_specifier name: (identifier) @import.name alias: (identifier) @import.alias @export))
  source: (string) @import.module)
(export_statement "*" @import.all . "from" source: (string) @import.module)
(export_statement (namespace_export (identifier) @import.alias @export) source: (string) @import.module)
(export_statement declaration: (_ (variable_declarator name: [(array_pattern) (object_pattern [(pair_pattern) (rest_pattern) (object_assignment_pattern)])] @unknown)))
((identifier) @unknown (#eq? @unknown "exports"))
((member_expression object: (identifier) @unknown) (#eq? @unknown "module"))

(import_statement (import_clause (named_imports (import_specifier name: (identifier) @import.name !alias))) source: (string) @import.module)
(import_statement
  (import_clause (named_imports (import_specifier name: (identifier) @import.name alias: (identifier) @import.alias)))
  source: (string) @import.module)
(import_statement (import_clause (namespace_import (identifier) @import.alias)) source: (string) @import.module)
