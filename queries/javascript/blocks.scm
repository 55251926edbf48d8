(statement_block "{" @open.body)
(class_body "{" @open.body)
(switch_body "{" @open.body)
(object "{" @open.literal)
(array "[" @open.literal)
(arguments "(" @open.literal)
; While a body is being typed its braces often belong to nothing yet.
(ERROR "{" @open.body)
