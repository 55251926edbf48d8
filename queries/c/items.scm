; Items of C.
(function_definition declarator: (function_declarator declarator: (_) @name) body: (_) @body) @item.function
(function_definition
  declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name))
  body: (_) @body) @item.function
(function_definition
  declarator: (pointer_declarator
    declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name)))
  body: (_) @body) @item.function
(declaration declarator: (function_declarator declarator: (identifier) @name)) @item.function
(declaration
  declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))) @item.function
(struct_specifier name: (type_identifier) @name body: (_) @body) @item.class
(union_specifier name: (type_identifier) @name body: (_) @body) @item.class
(enum_specifier name: (type_identifier) @name body: (_) @body) @item.class
(type_definition declarator: (type_identifier) @name) @item.type
(preproc_def name: (identifier) @name) @item.macro
(preproc_function_def name: (identifier) @name) @item.macro
(translation_unit (declaration declarator: (init_declarator declarator: (identifier) @name)) @item.constant)
