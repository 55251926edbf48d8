; Names of Go: fields and methods of types, what a package has, and what variables are.
(type_spec name: (type_identifier) @part.name type: [(struct_type) (interface_type)]) @part
(type_spec type: (struct_type (field_declaration_list (field_declaration name: (field_identifier) @member))))
(type_spec type: (struct_type (field_declaration_list (field_declaration !name type: (_) @base))))
(type_spec type: (struct_type (field_declaration_list (field_declaration name: (field_identifier) @member type: [
  (type_identifier) @member.is
  (pointer_type (type_identifier) @member.is)]))))
(type_spec type: (interface_type (method_elem name: (field_identifier) @member)))
(type_spec type: (interface_type (type_elem (_) @base)))
(method_declaration
  receiver: (parameter_list (parameter_declaration type: [
    (type_identifier) @part.name
    (generic_type type: (type_identifier) @part.name)
    (pointer_type [(type_identifier) @part.name (generic_type type: (type_identifier) @part.name)])]))
  name: (field_identifier) @member) @part.more

(source_file [
  (function_declaration name: (identifier) @export)
  (type_declaration [(type_spec name: (type_identifier) @export) (type_alias name: (type_identifier) @export)])
  (const_declaration (const_spec name: (identifier) @export))
  (var_declaration (var_spec name: (identifier) @export))
  (var_declaration (var_spec_list (var_spec name: (identifier) @export)))])
(import_spec path: (_) @import.module !name)
(import_spec name: (package_identifier) @import.alias path: (_) @import.module)

(parameter_declaration name: (identifier) @variable type: (type_identifier) @variable.type)
(parameter_declaration name: (identifier) @variable type: (pointer_type (type_identifier) @variable.type))
(parameter_declaration name: (identifier) @variable type: [(qualified_type) (generic_type) (slice_type) (map_type) (channel_type) (function_type) (array_type) (interface_type) (struct_type)])
(parameter_declaration name: (identifier) @variable type: (pointer_type [(qualified_type) (generic_type) (pointer_type)]))
(variadic_parameter_declaration name: (identifier) @variable)
(var_spec name: (identifier) @variable type: (type_identifier) @variable.type)
(var_spec name: (identifier) @variable type: (pointer_type (type_identifier) @variable.type))
(var_spec name: (identifier) @variable !type)
(short_var_declaration
  left: (expression_list . (identifier) @variable .)
  right: (expression_list . (composite_literal type: (type_identifier) @variable.type) .))
(short_var_declaration
  left: (expression_list . (identifier) @variable .)
  right: (expression_list . (unary_expression operand: (composite_literal type: (type_identifier) @variable.type)) .))
((short_var_declaration left: (expression_list . (identifier) @variable .) right: (_) @condition) (#not-match? @condition "^&?[A-Za-z_][A-Za-z0-9_]*\\{"))
(short_var_declaration left: (expression_list (identifier) @variable . "," ))
(short_var_declaration left: (expression_list "," . (identifier) @variable))
(range_clause left: (expression_list (identifier) @variable))
(type_switch_statement alias: (expression_list (identifier) @variable))

; What a literal names of a type.
(composite_literal type: [(type_identifier) (qualified_type)] @given.to body: (literal_value) @given)
(composite_literal type: (generic_type type: (_) @given.to) body: (literal_value) @given)
(composite_literal
  type: [
    (slice_type element: [(type_identifier) (qualified_type)] @given.to)
    (slice_type element: (pointer_type [(type_identifier) (qualified_type)] @given.to))
    (array_type element: [(type_identifier) (qualified_type)] @given.to)
    (implicit_length_array_type element: [(type_identifier) (qualified_type)] @given.to)]
  body: (literal_value (literal_element (literal_value) @given)))
(composite_literal
  type: [
    (map_type value: [(type_identifier) (qualified_type)] @given.to)
    (map_type value: (pointer_type [(type_identifier) (qualified_type)] @given.to))]
  body: (literal_value (keyed_element value: (literal_element (literal_value) @given))))
(keyed_element key: (literal_element (identifier) @given.name))
(literal_value (keyed_element) (literal_element (identifier) @given.place))
