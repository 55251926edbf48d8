; Items of JavaScript.
(function_declaration name: (identifier) @name body: (statement_block) @body) @item.function
(generator_function_declaration name: (identifier) @name body: (statement_block) @body) @item.function
(method_definition name: (_) @name body: (statement_block) @body) @item.method
(lexical_declaration
  (variable_declarator
    name: (identifier) @name
    value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @item.function
(variable_declaration
  (variable_declarator
    name: (identifier) @name
    value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @item.function
(program (lexical_declaration (variable_declarator name: (identifier) @name)) @item.constant)
(program
  (export_statement
    declaration: (lexical_declaration (variable_declarator name: (identifier) @name)) @item.constant))
(class_declaration name: (identifier) @name body: (class_body) @body) @item.class
(field_definition
  property: (property_identifier) @name
  value: (arrow_function body: (_) @body)) @item.method
(assignment_expression
  left: (member_expression property: (property_identifier) @name)
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @item.function
