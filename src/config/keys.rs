//! The table of settings keys: name, type, meaning. Defaults are those of [`Settings::default`], so that neither
//! documentation nor editors' schemas can drift from what the code does.

use serde_json::{Map, Value, json};

use super::{Backend, Enabled, Settings};

/// One settings key.
pub(super) struct Key {
    /// Dotted, camelCase.
    pub name: &'static str,
    pub kind: Kind,
    /// A workspace that the person has not trusted must not set it. Only an editor knows where a setting comes from: its
    /// manifest names these keys.
    pub trusted_only: bool,
    pub doc: &'static str,
}

/// The type of a key's value.
pub(super) enum Kind {
    Bool,
    Text,
    /// A whole number within both bounds.
    Integer(u64, u64),
    OneOf(&'static [&'static str]),
    /// Names of languages to [`Enabled`].
    Languages,
    Globs,
    /// [`Backend`].
    Backend,
}

/// A key as documentation and editors show it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDescription {
    pub key: &'static str,
    /// JSON schema of the value, without default and description.
    pub schema: Value,
    pub default: Value,
    /// A workspace that the person has not trusted must not set it; editors see to that.
    pub trusted_only: bool,
    pub doc: &'static str,
}

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, trusted_only: false, doc }
}

const fn trusted_key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, trusted_only: true, doc }
}

pub(super) const KEYS: &[Key] = &[
    key("completion.enabled", Kind::Bool, "offer inline completions"),
    key(
        "completion.languages",
        Kind::Languages,
        "turn completions on (`true`), off (`false`) or to `\"manual\"` (only when you ask for one) in a language, by \
         any of its names (`shellscript` or `sh`); they are on in languages that are not listed",
    ),
    trusted_key(
        "completion.model",
        Kind::Text,
        "the model that completes code: a path to a `.gguf` file, a short name, or `hf:OWNER/REPO/FILE`",
    ),
    trusted_key(
        "completion.backend",
        Kind::Backend,
        "where completions come from: `\"embedded\"` runs the model above on this machine, `{\"kind\": \"openai\", \
         \"baseUrl\": \"http://localhost:8080\"}` asks a server that speaks OpenAI's protocol",
    ),
    key(
        "completion.contextTokens",
        Kind::Integer(64, 4095),
        "maximum length of the prompt, in tokens; at most 4096 together with `maxTokens`",
    ),
    key("completion.maxTokens", Kind::Integer(1, 2048), "maximum length of a completion, in tokens"),
    key(
        "completion.multiline",
        Kind::OneOf(&["auto", "never", "always"]),
        "whether a completion may have more than one line: `auto` where the syntax says that a block begins, `never`, \
         or `always`",
    ),
    key(
        "completion.layout",
        Kind::OneOf(&["auto", "chat", "fim"]),
        "how the model is asked: `fim` with its fill-in-the-middle tokens, `chat` with a chat turn, `auto` with the \
         tokens if the model has them and with a chat turn otherwise",
    ),
    key(
        "completion.otherFiles",
        Kind::Bool,
        "include your latest changes, and definitions and similar code from other files of the project, in the prompt",
    ),
    key(
        "completion.knownNames",
        Kind::Bool,
        "begin a completion only with names that exist, if the project shows all names that can come next (members of \
         a type, variants, contents of a module, parameters and fields that are given by name)",
    ),
    key(
        "completion.inComments",
        Kind::Bool,
        "complete in comments while you type; you can ask for a completion there in any case",
    ),
    key(
        "completion.inStrings",
        Kind::Bool,
        "complete in strings while you type; you can ask for a completion there in any case",
    ),
    key(
        "completion.confidence",
        Kind::OneOf(&["low", "balanced", "high"]),
        "the certainty that a completion needs to appear while you type: `low` shows whatever the model writes, `high` \
         only what is probably right",
    ),
    key(
        "completion.timeBudgetMs",
        Kind::Integer(0, 600_000),
        "milliseconds after which a completion is shown as far as it is written, up to the last whole word; it may \
         finish its line, but begins no further one",
    ),
    key(
        "completion.prepareNext",
        Kind::Bool,
        "while a completion is shown, compute the next one as if you accepted it, so that it appears at once; uses \
         more power, and pauses after three in a row that you do not accept",
    ),
    key(
        "completion.effort",
        Kind::OneOf(&["eco", "balanced", "eager"]),
        "how much may be computed in advance, such as the next completion and the code around a place you go to: \
         `eco` nothing; `balanced` in a quarter of the time, while other programs leave a processor free, and nothing \
         on battery (known on Linux only); `eager` everything",
    ),
    key(
        "completion.popup",
        Kind::Bool,
        "offer the completion in the editor's popup (`textDocument/completion`) as well; editors that show no ghost text \
         get it there in any case",
    ),
    key(
        "completion.statistics",
        Kind::Bool,
        "count what becomes of completions (shown, accepted, kept) in a file on this machine, for `phi-ls stats` and \
         to show fewer of a model whose completions you rarely accept; nothing is sent anywhere",
    ),
    key(
        "completion.idleUnloadMinutes",
        Kind::Integer(0, 10_080),
        "minutes without use after which the completion model is unloaded, until it is needed again; 0 keeps it loaded",
    ),
    key(
        "completion.keptPrefixesMiB",
        Kind::Integer(0, 1_048_576),
        "MiB on disk for what the model has read of your last files, so that it need not read them again after a \
         restart; 0 stores nothing and deletes what is stored",
    ),
    trusted_key(
        "assistant.model",
        Kind::Text,
        "the model that answers questions: a path to a `.gguf` file, a short name, or `hf:OWNER/REPO/FILE`",
    ),
    trusted_key(
        "assistant.backend",
        Kind::Backend,
        "where answers come from: the model above or a server, written as in `completion.backend`",
    ),
    key(
        "assistant.contextTokens",
        Kind::Integer(256, 126_976),
        "maximum length of the prompt, in tokens; if the sum with `maxTokens` exceeds 4096, the model's long-context \
         factors are used",
    ),
    key("assistant.maxTokens", Kind::Integer(1, 4096), "maximum length of an answer, in tokens"),
    key(
        "assistant.idleUnloadMinutes",
        Kind::Integer(0, 10_080),
        "minutes without use after which the assistant model is unloaded, until it is needed again; 0 keeps it loaded",
    ),
    key(
        "assistant.whenItDoesNotFit",
        Kind::OneOf(&["fallback", "swap", "refuse"]),
        "what to do if there is not enough memory for both models: `fallback` has the completion model answer, `swap` \
         unloads it while the assistant model answers, `refuse` refuses the question",
    ),
    key(
        "engine.shared",
        Kind::Bool,
        "load the models in one process that all windows and editors share; `false` loads them in each language server",
    ),
    key(
        "engine.lingerMinutes",
        Kind::Integer(0, 10_080),
        "minutes that the shared process keeps running after the last window is closed, in case one opens again",
    ),
    key(
        "threads",
        Kind::Integer(0, super::MAX_THREADS),
        "number of threads to compute with; 0 uses one per physical core",
    ),
    key(
        "memoryBudgetMiB",
        Kind::Integer(0, 16_777_216),
        "memory for models and caches together, in MiB; 0 derives it from the machine's memory",
    ),
    key(
        "kvCacheType",
        Kind::OneOf(&["f16", "q8_0"]),
        "number format of the cached keys and values: `f16`, or `q8_0` for about half the memory",
    ),
    trusted_key(
        "exclude",
        Kind::Globs,
        "globs of files that must not enter a prompt, besides files that look like secrets and those that git or \
         `.phi-lsignore` ignores; `!GLOB` allows a file that looks like a secret",
    ),
];

pub(super) fn describe() -> Vec<KeyDescription> {
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let describe = |key: &Key| KeyDescription {
        key: key.name,
        schema: key.kind.schema(),
        default: pointer(&defaults, key.name).cloned().unwrap_or_default(),
        trusted_only: key.trusted_only,
        doc: key.doc,
    };
    KEYS.iter().map(describe).collect()
}

impl Kind {
    fn schema(&self) -> Value {
        match self {
            Self::Bool => json!({"type": "boolean"}),
            Self::Text => json!({"type": "string"}),
            Self::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
            Self::OneOf(names) => json!({"type": "string", "enum": names}),
            Self::Languages => json!({"type": "object", "additionalProperties": {"enum": [true, false, "manual"]}}),
            Self::Globs => json!({"type": "array", "items": {"type": "string"}}),
            Self::Backend => Backend::schema(),
        }
    }

    /// The part of `value` that can be stored, `None` if nothing can, and why the rest cannot.
    pub(super) fn check(&self, value: &Value) -> (Option<Value>, Vec<String>) {
        let checked = match self {
            Self::Languages => return check_languages(value),
            Self::Globs => return check_globs(value),
            Self::Backend => {
                return match Backend::try_from(value.clone()) {
                    Ok(backend) => (Some(backend.into()), Vec::new()),
                    Err(reason) => (None, vec![reason]),
                };
            }
            Self::Bool => value.is_boolean().then(|| value.clone()).ok_or_else(|| "true or false".to_owned()),
            Self::Text => match value.as_str().map(str::trim) {
                Some(text) if !text.is_empty() => Ok(json!(text)),
                _ => Err("a non-empty string".to_owned()),
            },
            Self::Integer(min, max) => match whole_number(value) {
                Some(number) if (*min..=*max).contains(&number) => Ok(json!(number)),
                _ => Err(format!("a whole number from {min} to {max}")),
            },
            Self::OneOf(names) => match value.as_str() {
                Some(name) if names.contains(&name) => Ok(value.clone()),
                _ => Err(format!("one of \"{}\"", names.join("\", \""))),
            },
        };
        match checked {
            Ok(value) => (Some(value), Vec::new()),
            Err(expected) => (None, vec![format!("expected {expected}, found {}", found(value))]),
        }
    }
}

/// `value` as a whole number; editors whose numbers are all floats send `4.0`.
fn whole_number(value: &Value) -> Option<u64> {
    let from_float = || value.as_f64().filter(|float| float.fract() == 0.0 && *float >= 0.0).map(|float| float as u64);
    value.as_u64().or_else(from_float)
}

fn check_languages(value: &Value) -> (Option<Value>, Vec<String>) {
    let Value::Object(languages) = value else {
        let reason = format!("expected an object of language ids, found {}", found(value));
        return (None, vec![reason]);
    };
    let mut kept = Map::new();
    let mut reasons = Vec::new();
    for (language, value) in languages {
        match Enabled::try_from(value.clone()) {
            Ok(_) => drop(kept.insert(language.clone(), value.clone())),
            Err(reason) => reasons.push(format!("{language}: {reason}")),
        }
    }
    ((!kept.is_empty() || reasons.is_empty()).then_some(Value::Object(kept)), reasons)
}

fn check_globs(value: &Value) -> (Option<Value>, Vec<String>) {
    let Value::Array(globs) = value else {
        return (None, vec![format!("expected a list of globs, found {}", found(value))]);
    };
    let mut reasons = Vec::new();
    let mut usable = |glob: &&Value| match glob.as_str().map(super::exclude::check_glob) {
        Some(Ok(())) => true,
        Some(Err(reason)) => {
            reasons.push(reason);
            false
        }
        None => {
            reasons.push(format!("expected a glob, found {}", found(glob)));
            false
        }
    };
    let kept: Vec<_> = globs.iter().filter(|glob| usable(glob)).cloned().collect();
    ((!kept.is_empty() || reasons.is_empty()).then_some(Value::Array(kept)), reasons)
}

/// `value` for an error message, shortened if it is long.
pub(super) fn found(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The similarity from which a name counts as a misspelling of another: that of `maxTokns` and `maxTokens` is 0.94.
const ALIKE: f32 = 0.7;

/// The key that `path` was probably meant to be, if any is similar.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let (group, last) = path.rsplit_once('.').unwrap_or(("", path));
    // In a group that is not ours, a name that resembles one of ours is a coincidence.
    if !group.is_empty() && !KEYS.iter().any(|key| likeness(group, group_of(key.name)) >= ALIKE) {
        return None;
    }
    let score = |name: &'static str| {
        let by_name = likeness(last, last_part(name));
        // The group may be forgotten or joined to the name: `model`, `completionModel`.
        if group.is_empty() { by_name.max(likeness(path, name)) } else { by_name }
    };
    // Of equally similar keys, the one whose group is most similar, and then the first.
    let scored = KEYS.iter().rev().map(|key| (score(key.name), likeness(group, group_of(key.name)), key.name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)))?;
    (best.0 >= ALIKE).then_some(best.2)
}

/// Whether `name`, dotted or not, is a key or begins like one.
pub(super) fn is_known(name: &str) -> bool {
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    KEYS.iter().any(|key| first(key.name) == first(name))
}

/// From 0 to 1, whatever the case.
fn likeness(a: &str, b: &str) -> f32 {
    similar::TextDiff::from_chars(a.to_lowercase().as_str(), b.to_lowercase().as_str()).ratio()
}

fn group_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(group, _)| group)
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The value at the dotted `key` of the serialised settings.
pub(super) fn pointer<'a>(settings: &'a Value, key: &str) -> Option<&'a Value> {
    settings.pointer(&json_pointer(key))
}

/// As [`pointer()`], to change it.
pub(super) fn pointer_mut<'a>(settings: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    settings.pointer_mut(&json_pointer(key))
}

fn json_pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}
