(method_invocation name: (identifier) @reference.call)
(type_identifier) @reference.type
(method_invocation object: (identifier) @reference.type (#match? @reference.type "^[A-Z]"))
((identifier) @reference.type (#match? @reference.type "^[A-Z][A-Z0-9_]+$"))
