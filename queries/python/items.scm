; Items of Python. A decorated definition is the item, decorators included.
(decorated_definition
  definition: (function_definition name: (identifier) @name body: (block) @body)) @item.function
(decorated_definition
  definition: (class_definition name: (identifier) @name body: (block) @body)) @item.class
(function_definition name: (identifier) @name body: (block) @body) @item.function
(class_definition name: (identifier) @name body: (block) @body) @item.class
(type_alias_statement left: (type (identifier) @name)) @item.type
(module (expression_statement (assignment left: (identifier) @name)) @item.constant)
