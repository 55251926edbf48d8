; Names of Python: members of classes, what a module has, and what variables are.
(class_definition name: (identifier) @part.name) @part
(class_definition superclasses: (argument_list [(identifier) (attribute) (subscript)] @base))
(class_definition superclasses: (argument_list [(call) (list_splat) (dictionary_splat)] @unknown))
((class_definition superclasses: (argument_list (keyword_argument) @unknown))
  (#not-match? @unknown "^metaclass *= *(abc\\.)?ABCMeta$"))
((decorated_definition (decorator (_) @unknown) definition: (class_definition) @part)
  (#not-match? @unknown "^(dataclass|dataclasses\\.dataclass|final|typing\\.final|t\\.final|unique|enum\\.unique|total_ordering|functools\\.total_ordering|runtime_checkable|t\\.runtime_checkable|typing\\.runtime_checkable|attr\\.s|attr\\.attrs|attrs\\.define|define|attrs\\.frozen|frozen)\\b"))
; What is bound in a class or module, in whatever block of it. A function is a scope of its own.
(function_definition name: (identifier) @bound)
(function_definition body: (block) @scope)
(class_definition name: (identifier) @bound)
(lambda) @scope
(assignment left: (identifier) @bound)
(pattern_list (identifier) @bound)
(tuple_pattern (identifier) @bound)
(list_pattern (identifier) @bound)
(list_splat_pattern (identifier) @bound)
(named_expression name: (identifier) @bound)
(for_statement left: (identifier) @bound)
(as_pattern_target (identifier) @bound)
(as_pattern_target [(tuple (identifier) @bound) (list (identifier) @bound)])
(case_pattern (dotted_name . (identifier) @bound .))
(case_pattern (as_pattern (identifier) @bound))
(splat_pattern (identifier) @bound)
(keyword_pattern (dotted_name . (identifier) @bound .))
(future_import_statement name: (dotted_name) @bound)
(type_alias_statement left: (type (identifier) @bound))
(type_alias_statement left: (type (generic_type (identifier) @bound)))
((attribute object: (identifier) @condition attribute: (identifier) @member) (#any-of? @condition "self" "cls"))
((attribute object: (identifier) @condition attribute: (identifier) @unknown) (#any-of? @condition "self" "cls") (#eq? @unknown "__dict__"))
((subscript value: (attribute) @unknown subscript: (identifier) @condition)
  (#eq? @unknown "sys.modules") (#eq? @condition "__name__"))
((function_definition name: (identifier) @unknown) (#any-of? @unknown "__getattr__" "__getattribute__"))
((call function: (identifier) @unknown) (#any-of? @unknown "setattr" "globals" "vars" "locals" "exec"))
((call function: (identifier) @condition arguments: (argument_list . (identifier) @unknown.of)) (#eq? @condition "setattr"))
(expression_statement (call arguments: (argument_list . (identifier) @unknown.of . (string))))
(assignment left: (attribute object: (identifier) @member.of attribute: (identifier) @member))
((assignment
  left: (identifier) @condition
  right: [
    (string (string_content) @member)
    (tuple (string (string_content) @member))
    (list (string (string_content) @member))
    (set (string (string_content) @member))
    (expression_list (string (string_content) @member))])
  (#eq? @condition "__slots__"))
((assignment
  left: (identifier) @condition
  right: [(identifier) (attribute) (call) (binary_operator) (dictionary) (list_comprehension) (conditional_expression) (subscript)] @unknown)
  (#eq? @condition "__slots__"))


(global_statement (identifier) @export)

(import_from_statement module_name: (_) @import.module name: (dotted_name) @import.name @export)
(import_from_statement
  module_name: (_) @import.module
  name: (aliased_import name: (dotted_name) @import.name alias: (identifier) @import.alias @export))
(import_from_statement module_name: (_) @import.module (wildcard_import) @import.all)
(import_statement name: (dotted_name) @import.module @export)
(import_statement name: (aliased_import name: (dotted_name) @import.module alias: (identifier) @import.alias @export))

(typed_parameter (identifier) @variable type: (type (identifier) @variable.type))
(typed_parameter (identifier) @variable type: (type [(attribute) (string) (subscript) (binary_operator) (generic_type) (union_type)]))
(typed_default_parameter name: (identifier) @variable type: (type (identifier) @variable.type))
(typed_default_parameter name: (identifier) @variable type: (type [(attribute) (string) (subscript) (binary_operator) (generic_type) (union_type)]))
(parameters [(identifier) @variable (default_parameter name: (identifier) @variable)])
(lambda_parameters (identifier) @variable)
(assignment left: (identifier) @variable type: (type (identifier) @variable.type))
(assignment left: (identifier) @variable !type right: (call function: (identifier) @variable.type))
(assignment left: (identifier) @variable !type right: (_) @condition (#not-match? @condition "^[A-Za-z_][A-Za-z_0-9]*\\("))
(pattern_list (identifier) @variable)
(tuple_pattern (identifier) @variable)
(for_statement left: (identifier) @variable)
(for_in_clause left: (identifier) @variable)
(as_pattern_target (identifier) @variable)
(named_expression name: (identifier) @variable)
((call function: (identifier) @condition arguments: (argument_list . (identifier) @variable)) (#any-of? @condition "isinstance" "hasattr" "setattr" "issubclass"))

; What a call can give by name.
(function_definition name: (identifier) @callable.name) @callable
(parameters [
  (identifier) @parameter
  (default_parameter name: (identifier) @parameter)
  (typed_parameter . (identifier) @parameter)
  (typed_default_parameter name: (identifier) @parameter)])
(parameters [(dictionary_splat_pattern) (typed_parameter (dictionary_splat_pattern))] @parameter.unknown)
((decorated_definition (decorator (_) @parameter.unknown) definition: (function_definition) @callable)
  (#not-match? @parameter.unknown "^((functools\\.)?(lru_cache|cache|wraps)|(contextlib\\.)?(async)?contextmanager|(abc\\.)?abstractmethod|((typing|t)\\.)?(overload|override|final)|staticmethod|classmethod)\\b"))
((decorated_definition (decorator (_) @condition) definition: (class_definition body: (block (expression_statement (assignment left: (identifier) @parameter type: (_))))))
  (#match? @condition "^(dataclasses\\.)?dataclass\\b"))
((class_definition superclasses: (argument_list (_) @condition) body: (block (expression_statement (assignment left: (identifier) @parameter type: (_)))))
  (#match? @condition "^((typing|t)\\.)?NamedTuple$"))
(class_definition body: (block [(if_statement) (try_statement) (with_statement) (for_statement) (while_statement) (match_statement)] @parameter.unknown))
((decorated_definition (decorator (_) @parameter.unknown) definition: (class_definition) @part)
  (#match? @parameter.unknown "^(attr|attrs|define|frozen)\\b"))

(call function: [(identifier) (attribute)] @given.to arguments: (argument_list) @given)
(argument_list (keyword_argument name: (identifier) @given.name))
(argument_list [(keyword_argument) (dictionary_splat)] (identifier) @given.place)
