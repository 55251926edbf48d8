(call_expression function: (identifier) @reference.call)
(call_expression function: (member_expression property: (property_identifier) @reference.call))
(new_expression constructor: (identifier) @reference.type)
(member_expression object: (identifier) @reference.type (#match? @reference.type "^[A-Z]"))
((identifier) @reference.type (#match? @reference.type "^[A-Z][A-Z0-9_]+$"))
(extends_clause value: (identifier) @reference.type)
(type_identifier) @reference.type
