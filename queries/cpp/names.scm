; Names of C++: members of classes, values of enums, and what variables are.
(struct_specifier name: (type_identifier) @part.name body: (field_declaration_list)) @part
(class_specifier name: (type_identifier) @part.name body: (field_declaration_list)) @part
(union_specifier name: (type_identifier) @part.name body: (field_declaration_list)) @part
(enum_specifier name: (type_identifier) @part.name body: (enumerator_list)) @part
(type_definition type: (struct_specifier body: (field_declaration_list)) declarator: (type_identifier) @part.name) @part
(type_definition type: (struct_specifier name: (type_identifier) @base) declarator: (type_identifier) @part.name) @part
(function_definition declarator: (function_declarator declarator: (qualified_identifier scope: (namespace_identifier) @part.name name: [(identifier) (destructor_name)]))) @part.more
(function_definition declarator: (_ declarator: (function_declarator declarator: (qualified_identifier scope: (namespace_identifier) @part.name name: (identifier))))) @part.more
(base_class_clause [(type_identifier) (qualified_identifier) (template_type)] @base)
(field_declaration (field_identifier) @member)
(field_declaration (_ (field_identifier) @member))
(field_declaration
  type: [(type_identifier) @member.is (struct_specifier name: (type_identifier) @member.is)]
  declarator: [(field_identifier) @member (pointer_declarator declarator: (field_identifier) @member)])
(field_declaration (_ (_ (field_identifier) @member)))
(field_declaration (_ (_ (_ (field_identifier) @member))))
(field_declaration_list (function_definition (function_declarator (field_identifier) @member)))
(field_declaration_list (function_definition (_ (function_declarator (field_identifier) @member))))
(field_declaration_list (function_definition (_ (_ (function_declarator (field_identifier) @member)))))
(field_declaration_list (template_declaration (_ (function_declarator (field_identifier) @member))))
(field_declaration_list (template_declaration (_ (_ (function_declarator (field_identifier) @member)))))
(field_declaration_list (template_declaration (function_definition (_ (function_declarator (field_identifier) @member)))))
(field_declaration_list (ERROR) @unknown)
((field_declaration_list [(preproc_call) @unknown (_ (preproc_call) @unknown)]) (#not-match? @unknown "^#[ \t]*(pragma|error|warning|undef)"))
; Macros, and what other compilers take in.
(field_declaration !declarator type: [(type_identifier) (struct_specifier name: (_) !body) (union_specifier name: (_) !body)] @unknown)
(field_declaration_list (using_declaration (qualified_identifier name: (identifier) @member)))
(enumerator name: (identifier) @member.type)

(parameter_declaration
  type: [(type_identifier) @variable.type (struct_specifier name: (type_identifier) @variable.type)]
  declarator: [
    (identifier) @variable
    (pointer_declarator declarator: (identifier) @variable)
    (reference_declarator (identifier) @variable)])
(parameter_declaration
  type: [(primitive_type) (sized_type_specifier) (qualified_identifier) (template_type) (placeholder_type_specifier)]
  declarator: [
    (identifier) @variable
    (pointer_declarator declarator: (identifier) @variable)
    (reference_declarator (identifier) @variable)])
(declaration
  type: [(type_identifier) @variable.type (struct_specifier name: (type_identifier) @variable.type)]
  declarator: [
    (identifier) @variable
    (pointer_declarator declarator: (identifier) @variable)
    (reference_declarator (identifier) @variable)
    (init_declarator declarator: [
      (identifier) @variable
      (pointer_declarator declarator: (identifier) @variable)
      (reference_declarator (identifier) @variable)])])
(declaration
  type: [(primitive_type) (sized_type_specifier) (qualified_identifier) (template_type) (placeholder_type_specifier)]
  declarator: [
    (identifier) @variable
    (pointer_declarator declarator: (identifier) @variable)
    (reference_declarator (identifier) @variable)
    (init_declarator declarator: [
      (identifier) @variable
      (pointer_declarator declarator: (identifier) @variable)
      (reference_declarator (identifier) @variable)])])
(for_range_loop declarator: [(identifier) @variable (reference_declarator (identifier) @variable)])

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
