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
    key("completion.enabled", Kind::Bool, "inline completions at all"),
    key(
        "completion.languages",
        Kind::Languages,
        "per language, by any of its names (`shellscript` or `sh`): `true`, `false` or `\"manual\"`; the rest is on",
    ),
    trusted_key(
        "completion.model",
        Kind::Text,
        "the resident model: a path to a `.gguf`, an alias, or `hf:OWNER/REPO/FILE`",
    ),
    trusted_key(
        "completion.backend",
        Kind::Backend,
        "what makes the text: `\"embedded\"`, the model above, or a server of OpenAI's protocol: `{\"kind\": \"openai\", \
         \"baseUrl\": \"http://localhost:8080\"}`",
    ),
    key("completion.contextTokens", Kind::Integer(64, 4095), "tokens of the prompt (with `maxTokens` at most 4096)"),
    key("completion.maxTokens", Kind::Integer(1, 2048), "tokens of one completion"),
    key(
        "completion.multiline",
        Kind::OneOf(&["auto", "never", "always"]),
        "more than one line: where the syntax says a block begins, never, or always",
    ),
    key(
        "completion.layout",
        Kind::OneOf(&["auto", "chat", "fim"]),
        "how the model is asked: `auto` by its tokens to fill in the middle if it has them, else by a chat turn; or always by \
         one of the two",
    ),
    key(
        "completion.otherFiles",
        Kind::Bool,
        "definitions and similar code from other files of the project, and your latest changes, in the prompt too",
    ),
    key("completion.inComments", Kind::Bool, "while typing in comments too; by hand they are there in any case"),
    key("completion.inStrings", Kind::Bool, "while typing in strings too; by hand they are there in any case"),
    key(
        "completion.confidence",
        Kind::OneOf(&["low", "balanced", "high"]),
        "how sure to be of what is shown unasked: `low` shows whatever the model writes, `high` only what is probably right",
    ),
    key(
        "completion.timeBudgetMs",
        Kind::Integer(0, 600_000),
        "after it, what is there is offered up to the last whole word, and no further line is begun",
    ),
    key(
        "completion.prepareNext",
        Kind::Bool,
        "while a completion is on screen, prepare the next one as if it were accepted: no wait, but more work (paused when three \
         in a row are not accepted)",
    ),
    key(
        "completion.effort",
        Kind::OneOf(&["eco", "balanced", "eager"]),
        "what is computed before anybody asks, such as the next completion and the code around a place you go to: `eco`: nothing; \
         `balanced`: in a quarter of the time, while other programs leave a processor free, and on battery nothing (where the \
         system tells: Linux); `eager`: everything",
    ),
    key(
        "completion.statistics",
        Kind::Bool,
        "count what becomes of completions (shown, accepted, kept) in a file on this machine, for `phi-ls stats`; never sent \
         anywhere",
    ),
    key(
        "completion.idleUnloadMinutes",
        Kind::Integer(0, 10_080),
        "idle minutes before the resident model is unloaded, to be loaded again when it is needed; 0 keeps it loaded",
    ),
    key(
        "completion.keptPrefixesMiB",
        Kind::Integer(0, 1_048_576),
        "MiB of files, on this machine, in which it is kept what the model has read of the last files, so that it need not read it \
         again after a restart; 0 keeps nothing and deletes them",
    ),
    trusted_key(
        "assistant.model",
        Kind::Text,
        "the model of escalated actions: a path to a `.gguf`, an alias, or `hf:OWNER/REPO/FILE`",
    ),
    trusted_key("assistant.backend", Kind::Backend, "what writes the answers, likewise"),
    key(
        "assistant.contextTokens",
        Kind::Integer(256, 126_976),
        "tokens of the prompt (with `maxTokens` over 4096: the model's long-context factors)",
    ),
    key("assistant.maxTokens", Kind::Integer(1, 4096), "tokens of one answer"),
    key(
        "assistant.idleUnloadMinutes",
        Kind::Integer(0, 10_080),
        "idle minutes before it is unloaded; 0 keeps it loaded",
    ),
    key(
        "assistant.whenItDoesNotFit",
        Kind::OneOf(&["fallback", "swap", "refuse"]),
        "without memory for both models: the resident one answers, makes room, or the action is refused",
    ),
    key(
        "engine.shared",
        Kind::Bool,
        "one process holds the models for all windows and editors; `false`: each language server loads them itself",
    ),
    key(
        "engine.lingerMinutes",
        Kind::Integer(0, 10_080),
        "minutes that this process stays after the last window, for one that opens again",
    ),
    key("threads", Kind::Integer(0, super::MAX_THREADS), "threads that compute; 0: from the machine"),
    key("memoryBudgetMiB", Kind::Integer(0, 16_777_216), "MiB for models and caches together; 0: from the machine"),
    key("kvCacheType", Kind::OneOf(&["f16", "q8_0"]), "number format of cached keys and values"),
    trusted_key(
        "exclude",
        Kind::Globs,
        "globs of files that never enter a prompt, beyond what looks like a secret and what git or `.phi-lsignore` \
         ignores; `!GLOB` takes a secret out again",
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

    /// What of `value` can be stored, `None` where nothing can, and why the rest cannot.
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
                _ => Err("a text that is not empty".to_owned()),
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

/// `value` for an error message: as it is, cut where it is long.
pub(super) fn found(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Likeness from which a name is taken for a misspelt other one: `maxTokns` is 0.94 like `maxTokens`.
const ALIKE: f32 = 0.7;

/// The key that `path` was probably meant to be, if any is like it.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let (group, last) = path.rsplit_once('.').unwrap_or(("", path));
    // In a group that is none of ours, a name like one of ours is chance.
    if !group.is_empty() && !KEYS.iter().any(|key| likeness(group, group_of(key.name)) >= ALIKE) {
        return None;
    }
    let score = |name: &'static str| {
        let by_name = likeness(last, last_part(name));
        // The group may be forgotten or joined to the name: `model`, `completionModel`.
        if group.is_empty() { by_name.max(likeness(path, name)) } else { by_name }
    };
    // Of equals, the one in the group most like, and then the first.
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
