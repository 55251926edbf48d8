; Items of C++: those of C, and its own.
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
(function_definition
  declarator: (reference_declarator (function_declarator declarator: (_) @name))
  body: (_) @body) @item.function
(class_specifier name: (_) @name body: (_) @body) @item.class
(namespace_definition name: (_) @name body: (_) @body) @item.module
(alias_declaration name: (type_identifier) @name) @item.type
(concept_definition name: (identifier) @name) @item.type
(field_declaration declarator: (function_declarator declarator: (field_identifier) @name)) @item.method
