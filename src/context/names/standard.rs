//! The members of every value, type and module in a language, and those that its most used types and traits give to
//! types that extend them.

use crate::syntax::{Modules, Reach};

/// Members that every value or type has, or may have without a word in the text.
pub(super) fn everywhere(modules: Modules, reach: Reach) -> &'static [&'static str] {
    match (modules, reach) {
        (Modules::Python, _) => PYTHON_OBJECT,
        (Modules::Rust, Reach::Type) => RUST_TYPE,
        (Modules::Rust, _) => RUST_VALUE,
        (Modules::Script, _) => SCRIPT_OBJECT,
        (Modules::Java, _) => JAVA_OBJECT,
        _ => &[],
    }
}

/// What every module has besides its own.
pub(super) fn of_modules(modules: Modules) -> &'static [&'static str] {
    match modules {
        Modules::Python => PYTHON_MODULE,
        Modules::Rust => &["self"],
        _ => &[],
    }
}

/// What stands between names that are imported.
pub(super) fn in_imports(modules: Modules) -> &'static [&'static str] {
    match modules {
        Modules::Script => &["type"],
        _ => &[],
    }
}

/// What may stand before a name that is given a value.
pub(super) fn before_given(modules: Modules) -> &'static [&'static str] {
    match modules {
        Modules::Rust => &["mut", "ref"],
        Modules::Script => &["async", "get", "set"],
        _ => &[],
    }
}

/// The members of a base that the language comes with; `None` for any other, which the project has to define.
pub(super) fn base(modules: Modules, name: &str) -> Option<&'static [&'static str]> {
    let known = match modules {
        Modules::Python => PYTHON_BASES,
        Modules::Rust => RUST_TRAITS,
        Modules::Script => SCRIPT_BASES,
        Modules::Java => JAVA_BASES,
        _ => return None,
    };
    let separator = if modules == Modules::Rust { "::" } else { "." };
    let last = name.rsplit(separator).next().unwrap_or(name);
    known.iter().find(|(names, _)| names.contains(&last)).map(|(_, members)| *members)
}

type Bases = &'static [(&'static [&'static str], &'static [&'static str])];

const PYTHON_OBJECT: &[&str] = &[
    "__annotations__",
    "__bases__",
    "__class__",
    "__delattr__",
    "__dict__",
    "__dir__",
    "__doc__",
    "__eq__",
    "__format__",
    "__ge__",
    "__getattribute__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__init_subclass__",
    "__le__",
    "__lt__",
    "__module__",
    "__mro__",
    "__name__",
    "__ne__",
    "__new__",
    "__qualname__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__setattr__",
    "__sizeof__",
    "__slots__",
    "__str__",
    "__subclasses__",
    "__subclasshook__",
    "__weakref__",
    "mro",
];
const PYTHON_MODULE: &[&str] = &[
    "__all__",
    "__builtins__",
    "__cached__",
    "__dict__",
    "__doc__",
    "__file__",
    "__loader__",
    "__name__",
    "__package__",
    "__path__",
    "__spec__",
];
const PYTHON_BASES: Bases = &[
    (&["object", "ABC", "Generic", "Protocol"], &[]),
    (
        &["Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"],
        &[
            "name",
            "value",
            "_name_",
            "_value_",
            "_missing_",
            "_generate_next_value_",
            "_member_map_",
            "_member_names_",
            "_ignore_",
            "_order_",
            "_value2member_map_",
            "__members__",
            "bit_length",
            "real",
            "imag",
            "numerator",
            "denominator",
            "lower",
            "upper",
        ],
    ),
    (
        &[
            "BaseException",
            "Exception",
            "ArithmeticError",
            "AssertionError",
            "AttributeError",
            "KeyError",
            "LookupError",
            "IndexError",
            "NotImplementedError",
            "RuntimeError",
            "TypeError",
            "ValueError",
            "Warning",
            "UserWarning",
            "DeprecationWarning",
            "ZeroDivisionError",
            "RecursionError",
        ],
        &[
            "args",
            "with_traceback",
            "add_note",
            "__cause__",
            "__context__",
            "__notes__",
            "__suppress_context__",
            "__traceback__",
            "name",
            "obj",
        ],
    ),
    (&["NamedTuple"], &["_asdict", "_replace", "_fields", "_make", "_field_defaults", "count", "index"]),
];

/// What traits of the standard library give, those that are derived too.
const RUST_VALUE: &[&str] = &[
    "as_mut",
    "as_ref",
    "await",
    "borrow",
    "borrow_mut",
    "clamp",
    "clone",
    "clone_from",
    "clone_into",
    "cmp",
    "deserialize",
    "eq",
    "fmt",
    "ge",
    "gt",
    "hash",
    "into",
    "le",
    "lt",
    "max",
    "min",
    "ne",
    "not",
    "partial_cmp",
    "serialize",
    "to_owned",
    "to_string",
    "try_into",
    "type_id",
];
const RUST_TYPE: &[&str] = &[
    "as_mut",
    "as_ref",
    "borrow",
    "borrow_mut",
    "clone",
    "cmp",
    "default",
    "deserialize",
    "eq",
    "fmt",
    "from",
    "from_iter",
    "from_str",
    "hash",
    "into",
    "max",
    "min",
    "ne",
    "partial_cmp",
    "serialize",
    "to_owned",
    "to_string",
    "try_from",
    "try_into",
];
/// Of traits, what need not be written and not every value may have.
const RUST_TRAITS: Bases = &[
    (
        &[
            "Add",
            "AddAssign",
            "AsMut",
            "AsRef",
            "BitAnd",
            "BitAndAssign",
            "BitOr",
            "BitOrAssign",
            "BitXor",
            "BitXorAssign",
            "Borrow",
            "BorrowMut",
            "Clone",
            "Copy",
            "Debug",
            "Default",
            "Deserialize",
            "Display",
            "Div",
            "DivAssign",
            "Drop",
            "Eq",
            "From",
            "FromIterator",
            "FromStr",
            "Hash",
            "Index",
            "IndexMut",
            "Into",
            "IntoIterator",
            "Mul",
            "MulAssign",
            "Neg",
            "Not",
            "Ord",
            "PartialEq",
            "PartialOrd",
            "Rem",
            "Send",
            "Serialize",
            "Shl",
            "Shr",
            "Sized",
            "Sub",
            "SubAssign",
            "Sync",
            "ToOwned",
            "TryFrom",
            "TryInto",
            "Unpin",
        ],
        &[],
    ),
    (&["Error"], &["source", "description", "cause", "provide"]),
    (&["Extend"], &[]),
];

const SCRIPT_OBJECT: &[&str] = &[
    "__proto__",
    "apply",
    "arguments",
    "bind",
    "call",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "length",
    "name",
    "propertyIsEnumerable",
    "prototype",
    "toLocaleString",
    "toString",
    "valueOf",
];
const SCRIPT_BASES: Bases = &[
    (&["Object"], &[]),
    (
        &["Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError"],
        &["cause", "message", "name", "stack", "captureStackTrace", "stackTraceLimit"],
    ),
];

const JAVA_OBJECT: &[&str] = &[
    "class",
    "clone",
    "compareTo",
    "equals",
    "finalize",
    "getClass",
    "getDeclaringClass",
    "hashCode",
    "name",
    "notify",
    "notifyAll",
    "ordinal",
    "super",
    "this",
    "toString",
    "valueOf",
    "values",
    "wait",
];
const JAVA_BASES: Bases = &[
    (
        &[
            "Object",
            "AutoCloseable",
            "Callable",
            "Cloneable",
            "Closeable",
            "Comparable",
            "Runnable",
            "Serializable",
            "Parcelable",
        ],
        &[],
    ),
    (
        &[
            "Throwable",
            "Exception",
            "RuntimeException",
            "Error",
            "IllegalArgumentException",
            "IllegalStateException",
            "IOException",
            "UnsupportedOperationException",
        ],
        &[
            "addSuppressed",
            "fillInStackTrace",
            "getCause",
            "getLocalizedMessage",
            "getMessage",
            "getStackTrace",
            "getSuppressed",
            "initCause",
            "printStackTrace",
            "setStackTrace",
        ],
    ),
];
