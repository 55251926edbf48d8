; Names of Rust: members of types and traits, what a module has, and what variables are.
(struct_item name: (type_identifier) @part.name) @part
(union_item name: (type_identifier) @part.name) @part
(enum_item name: (type_identifier) @part.name) @part
(trait_item name: (type_identifier) @part.name) @part
(impl_item type: (type_identifier) @part.name) @part.more
(impl_item type: (generic_type type: (type_identifier) @part.name)) @part.more
(impl_item type: (scoped_type_identifier name: (type_identifier) @part.name)) @part.more
(impl_item type: (generic_type type: (scoped_type_identifier name: (type_identifier) @part.name))) @part.more
(impl_item type: (reference_type type: (type_identifier) @part.name)) @part.more
(impl_item trait: (_) @base)
(trait_item bounds: (trait_bounds [(type_identifier) (scoped_type_identifier) (generic_type)] @base))
(struct_item body: (field_declaration_list (field_declaration name: (field_identifier) @member.value)))
(struct_item body: (field_declaration_list (field_declaration name: (field_identifier) @member.value type: [
  (type_identifier) @member.is
  (reference_type type: (type_identifier) @member.is)])))
((struct_item body: (field_declaration_list (field_declaration name: (field_identifier) @member.value type: (generic_type
  type: (type_identifier) @condition
  type_arguments: (type_arguments . (type_identifier) @member.is .)))))
  (#any-of? @condition "Arc" "Box" "Rc"))
(enum_item name: (type_identifier) @part.owner body: (enum_variant_list (enum_variant name: (identifier) @part.name body: (field_declaration_list)) @part))
(enum_variant body: (field_declaration_list (field_declaration name: (field_identifier) @member.value)))
(union_item body: (field_declaration_list (field_declaration name: (field_identifier) @member.value)))
(enum_item body: (enum_variant_list (enum_variant name: (identifier) @member.type)))
(impl_item body: (declaration_list [
  (function_item name: (identifier) @member.type)
  (function_item name: (identifier) @member parameters: (parameters [(self_parameter) (parameter pattern: (self))]))
  (const_item name: (identifier) @member.type)
  (type_item name: (type_identifier) @member.type)
  (macro_invocation) @unknown
  (expression_statement (macro_invocation) @unknown)]))
(trait_item body: (declaration_list [
  (function_item name: (identifier) @member.type)
  (function_item name: (identifier) @member parameters: (parameters [(self_parameter) (parameter pattern: (self))]))
  (function_signature_item name: (identifier) @member.type)
  (function_signature_item name: (identifier) @member parameters: (parameters [(self_parameter) (parameter pattern: (self))]))
  (const_item name: (identifier) @member.type)
  (associated_type name: (type_identifier) @member.type)
  (macro_invocation) @unknown
  (expression_statement (macro_invocation) @unknown)]))
((field_expression value: (self) field: (field_identifier) @member))
; What derives and other attributes add is known of those of the language and of some that are everywhere. A derive cannot change fields.
((attribute_item (attribute (identifier) @condition arguments: (token_tree (identifier) @unknown.derived)))
  (#eq? @condition "derive")
  (#not-any-of? @unknown.derived
    "Clone" "Copy" "Debug" "Default" "Display" "Eq" "Error" "Hash" "Ord" "PartialEq" "PartialOrd" "Serialize" "Deserialize" "thiserror" "serde"))
((source_file (attribute_item (attribute [(identifier) (scoped_identifier)] @unknown.next)))
  (#not-any-of? @unknown.next
    "derive" "cfg" "cfg_attr" "allow" "warn" "deny" "forbid" "expect" "doc" "must_use" "non_exhaustive" "repr" "serde" "error" "default" "inline" "test" "bench"
    "deprecated" "track_caller" "cold" "ignore" "should_panic" "path" "macro_use" "macro_export" "no_mangle" "async_trait" "rustfmt::skip"
    "automatically_derived" "tokio::test" "tokio::main" "instrument" "tracing::instrument" "target_feature" "link" "link_section" "export_name" "used"
    "diagnostic::on_unimplemented" "cfg_eval" "global_allocator" "panic_handler" "proc_macro" "proc_macro_derive" "proc_macro_attribute" "clippy::msrv" "rustversion::attr"))
((attribute_item (attribute (identifier) @condition arguments: (token_tree (identifier) @condition . (token_tree (identifier) @unknown.derived))))
  (#any-of? @condition "cfg_attr" "derive")
  (#not-any-of? @unknown.derived
    "Clone" "Copy" "Debug" "Default" "Display" "Eq" "Error" "Hash" "Ord" "PartialEq" "PartialOrd" "Serialize" "Deserialize" "thiserror" "serde"))
; A macro that is told of a type may add to it.
(source_file [
  (macro_invocation (token_tree (identifier) @unknown.of))
  (macro_invocation (token_tree (token_tree (identifier) @unknown.of)))
  (expression_statement (macro_invocation (token_tree (identifier) @unknown.of)))
  (expression_statement (macro_invocation (token_tree (token_tree (identifier) @unknown.of))))])

(source_file [
  (function_item name: (identifier) @export)
  (struct_item name: (type_identifier) @export)
  (union_item name: (type_identifier) @export)
  (enum_item name: (type_identifier) @export)
  (trait_item name: (type_identifier) @export)
  (type_item name: (type_identifier) @export)
  (const_item name: (identifier) @export)
  (static_item name: (identifier) @export)
  (mod_item name: (identifier) @export)
  (macro_definition name: (identifier) @export)
  (extern_crate_declaration name: (identifier) @export)
  (foreign_mod_item) @unknown
  (macro_invocation) @unknown
  (expression_statement (macro_invocation) @unknown)])
(source_file (use_declaration argument: (_) @import))
(mod_item body: (declaration_list (use_declaration argument: (_) @import)))

(parameter pattern: (identifier) @variable type: (type_identifier) @variable.type)
(parameter pattern: (identifier) @variable type: (reference_type type: (type_identifier) @variable.type))
(parameter pattern: (identifier) @variable type: [(generic_type) (scoped_type_identifier) (primitive_type) (abstract_type) (dynamic_type) (tuple_type) (array_type) (function_type)])
(parameter pattern: (identifier) @variable type: (reference_type type: [(generic_type) (scoped_type_identifier) (primitive_type) (abstract_type) (dynamic_type) (tuple_type) (array_type) (reference_type)]))
(let_declaration pattern: (identifier) @variable type: (type_identifier) @variable.type)
(let_declaration pattern: (identifier) @variable type: (reference_type type: (type_identifier) @variable.type))
(let_declaration pattern: (identifier) @variable !type value: (struct_expression name: (type_identifier) @variable.type))
(let_declaration pattern: (identifier) @variable !type value: (reference_expression value: (struct_expression name: (type_identifier) @variable.type)))
((let_declaration pattern: (identifier) @variable !type value: (_) @condition) (#not-match? @condition "^&?(mut )?[A-Z][A-Za-z0-9_]* *\\{"))
(let_declaration pattern: (identifier) @variable !value !type)
(closure_parameters (identifier) @variable)
(tuple_pattern (identifier) @variable)
(tuple_struct_pattern (identifier) @variable)
(field_pattern name: (shorthand_field_identifier) @variable)
(field_pattern pattern: (identifier) @variable)
(reference_pattern (identifier) @variable)
(ref_pattern (identifier) @variable)
(captured_pattern . (identifier) @variable)
(for_expression pattern: (identifier) @variable)
(match_pattern . (identifier) @variable)
(let_condition pattern: (identifier) @variable)

; What a literal, or a pattern like one, names of a type.
(struct_expression name: [(type_identifier) (scoped_type_identifier)] @given.to body: (field_initializer_list) @given)
(struct_expression name: (generic_type_with_turbofish type: (_) @given.to) body: (field_initializer_list) @given)
(field_initializer field: (field_identifier) @given.name)
(shorthand_field_initializer (identifier) @given.name)
(struct_pattern type: (_) @given.to) @given
(field_pattern name: (_) @given.name)
