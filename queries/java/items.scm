; Items of Java.
(class_declaration name: (identifier) @name body: (class_body) @body) @item.class
(enum_declaration name: (identifier) @name body: (enum_body) @body) @item.class
(record_declaration name: (identifier) @name body: (class_body) @body) @item.class
(interface_declaration name: (identifier) @name body: (interface_body) @body) @item.interface
(annotation_type_declaration name: (identifier) @name body: (_) @body) @item.interface
(method_declaration name: (identifier) @name body: (block)? @body) @item.method
(constructor_declaration name: (identifier) @name body: (constructor_body) @body) @item.method
(field_declaration declarator: (variable_declarator name: (identifier) @name)) @item.constant
