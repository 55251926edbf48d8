(call_expression function: (identifier) @reference.call)
(type_identifier) @reference.type
((identifier) @reference.type (#match? @reference.type "^[A-Z][A-Z0-9_]+$"))
