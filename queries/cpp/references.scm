(call_expression function: (identifier) @reference.call)
(type_identifier) @reference.type
((identifier) @reference.type (#match? @reference.type "^[A-Z][A-Z0-9_]+$"))
(call_expression function: (field_expression field: (field_identifier) @reference.call))
(call_expression function: (qualified_identifier name: (identifier) @reference.call))
(call_expression function: (template_function name: (identifier) @reference.call))
