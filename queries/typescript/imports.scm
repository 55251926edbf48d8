(import_statement) @import
(export_statement source: (string)) @import
(lexical_declaration
  (variable_declarator value: (call_expression function: (identifier) @name (#eq? @name "require")))) @import
