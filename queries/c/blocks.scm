(compound_statement "{" @open.body)
(field_declaration_list "{" @open.body)
(enumerator_list "{" @open.body)
(case_statement ":" @open.body)
(initializer_list "{" @open.literal)
(argument_list "(" @open.literal)
; While a body is being typed its braces often belong to nothing yet.
(ERROR "{" @open.body)
