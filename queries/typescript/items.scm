; Items of TypeScript and TSX.
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
(class_declaration name: (type_identifier) @name body: (class_body) @body) @item.class
(abstract_class_declaration name: (type_identifier) @name body: (class_body) @body) @item.class
(public_field_definition
  name: (property_identifier) @name
  value: (arrow_function body: (_) @body)) @item.method
(interface_declaration name: (type_identifier) @name body: (_) @body) @item.interface
(enum_declaration name: (identifier) @name body: (enum_body) @body) @item.class
(type_alias_declaration name: (type_identifier) @name) @item.type
(internal_module name: (_) @name body: (statement_block) @body) @item.module
(module name: (_) @name body: (statement_block) @body) @item.module
(function_signature name: (identifier) @name) @item.function
(method_signature name: (_) @name) @item.method
(abstract_method_signature name: (_) @name) @item.method
