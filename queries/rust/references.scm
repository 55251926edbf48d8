(call_expression function: (identifier) @reference.call)
(call_expression function: (field_expression field: (field_identifier) @reference.call))
(call_expression function: (scoped_identifier name: (identifier) @reference.call))
(call_expression function: (generic_function function: (identifier) @reference.call))
(call_expression
  function: (generic_function function: (scoped_identifier name: (identifier) @reference.call)))
(call_expression
  function: (generic_function function: (field_expression field: (field_identifier) @reference.call)))
(macro_invocation macro: (identifier) @reference.call)
(type_identifier) @reference.type
(scoped_identifier path: (identifier) @reference.type (#match? @reference.type "^[A-Z]"))
; Constants are only told from variables by their spelling.
((identifier) @reference.type (#match? @reference.type "^[A-Z][A-Z0-9_]+$"))
