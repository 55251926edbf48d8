; Items of Go.
(function_declaration name: (identifier) @name body: (block)? @body) @item.function
(method_declaration name: (field_identifier) @name body: (block)? @body) @item.method
(type_declaration
  (type_spec name: (type_identifier) @name type: (struct_type (field_declaration_list) @body))) @item.class
(type_declaration (type_spec name: (type_identifier) @name type: (interface_type))) @item.interface
(type_declaration [(type_spec name: (type_identifier) @name) (type_alias name: (type_identifier) @name)]) @item.type
(source_file (const_declaration (const_spec name: (identifier) @name)) @item.constant)
(source_file (var_declaration (var_spec name: (identifier) @name)) @item.constant)
