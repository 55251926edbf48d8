; Items of Rust.
(function_item name: (identifier) @name body: (block) @body) @item.function
(function_signature_item name: (identifier) @name) @item.function
(struct_item name: (type_identifier) @name body: (_)? @body) @item.class
(enum_item name: (type_identifier) @name body: (enum_variant_list) @body) @item.class
(union_item name: (type_identifier) @name body: (_) @body) @item.class
(trait_item name: (type_identifier) @name body: (declaration_list) @body) @item.interface
(impl_item type: (_) @name body: (declaration_list) @body) @item.impl
(mod_item name: (identifier) @name body: (declaration_list) @body) @item.module
(type_item name: (type_identifier) @name) @item.type
(const_item name: (identifier) @name) @item.constant
(static_item name: (identifier) @name) @item.constant
(macro_definition name: (identifier) @name) @item.macro
