; Names of C: fields of structs, and what variables are.
(struct_specifier name: (type_identifier) @part.name body: (field_declaration_list)) @part
(union_specifier name: (type_identifier) @part.name body: (field_declaration_list)) @part
(type_definition type: (struct_specifier body: (field_declaration_list)) declarator: (type_identifier) @part.name) @part
(type_definition type: (struct_specifier name: (type_identifier) @base) declarator: (type_identifier) @part.name) @part
(type_definition type: (union_specifier body: (field_declaration_list)) declarator: (type_identifier) @part.name) @part
(type_definition type: (union_specifier name: (type_identifier) @base) declarator: (type_identifier) @part.name) @part
(field_declaration (field_identifier) @member)
(field_declaration (_ (field_identifier) @member))
(field_declaration
  type: [(type_identifier) @member.is (struct_specifier name: (type_identifier) @member.is)]
  declarator: [(field_identifier) @member (pointer_declarator declarator: (field_identifier) @member)])
(field_declaration (_ (_ (field_identifier) @member)))
(field_declaration (_ (_ (_ (field_identifier) @member))))
(field_declaration_list (ERROR) @unknown)
((field_declaration_list [(preproc_call) @unknown (_ (preproc_call) @unknown)]) (#not-match? @unknown "^#[ \t]*(pragma|error|warning|undef)"))
; Macros, and what other compilers take in.
(field_declaration !declarator type: [(type_identifier) (struct_specifier name: (_) !body) (union_specifier name: (_) !body)] @unknown)

(parameter_declaration
  type: [(type_identifier) @variable.type (struct_specifier name: (type_identifier) @variable.type)]
  declarator: [(identifier) @variable (pointer_declarator declarator: (identifier) @variable)])
(parameter_declaration type: [(primitive_type) (sized_type_specifier)] declarator: [(identifier) @variable (pointer_declarator declarator: (identifier) @variable)])
(declaration
  type: [(type_identifier) @variable.type (struct_specifier name: (type_identifier) @variable.type)]
  declarator: [
    (identifier) @variable
    (pointer_declarator declarator: (identifier) @variable)
    (init_declarator declarator: [(identifier) @variable (pointer_declarator declarator: (identifier) @variable)])])
(declaration
  type: [(primitive_type) (sized_type_specifier)]
  declarator: [
    (identifier) @variable
    (pointer_declarator declarator: (identifier) @variable)
    (init_declarator declarator: [(identifier) @variable (pointer_declarator declarator: (identifier) @variable)])])

; What a literal names of a type.
(declaration
  type: [(type_identifier) @given.to (struct_specifier name: (type_identifier) @given.to) (union_specifier name: (type_identifier) @given.to)]
  declarator: (init_declarator declarator: (identifier) value: (initializer_list) @given))
(declaration
  type: [(type_identifier) @given.to (struct_specifier name: (type_identifier) @given.to)]
  declarator: (init_declarator declarator: (array_declarator declarator: (identifier)) value: (initializer_list (initializer_list) @given)))
(compound_literal_expression
  type: (type_descriptor type: [(type_identifier) @given.to (struct_specifier name: (type_identifier) @given.to)])
  value: (initializer_list) @given)
(initializer_pair designator: (field_designator (field_identifier) @given.name))
