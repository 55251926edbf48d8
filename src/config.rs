//! The settings: one JSON object, the same from `config.toml`, `initializationOptions`,
//! `workspace/didChangeConfiguration` and flags. Unknown or ill-typed keys become [`Problem`]s and the value that was
//! there before stays: reading settings never fails.
//!
//! Every key is one row of the table in [`keys`]; the fields below only say where its value is kept. Which files stay
//! out of prompts is decided in [`exclude`].

mod backend;
pub mod exclude;
mod home;
pub mod keys;
pub mod machine;
pub mod memory;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use backend::{Backend, Protocol, RemoteServer, WhenItFails};
pub use exclude::{ExcludeMatcher, Exclusion};
pub use home::in_home;
pub use keys::KeyDescription;
pub use machine::Machine;
pub use memory::{MemoryBudget, ModelSize, Needs, Role};

use crate::kernels::attention::KvType;
use keys::{KEYS, Key};

/// Longest context for which both models use their short rotary factors, and so the most a completion may need.
pub const SHORT_CONTEXT_TOKENS: u64 = 4096;

/// The largest number of threads that can be set.
pub const MAX_THREADS: u64 = 1024;

/// All settings. `Settings::default()` holds the documented defaults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    pub completion: CompletionSettings,
    pub assistant: AssistantSettings,
    pub engine: EngineSettings,
    /// Number of threads to compute with; 0 uses one per physical core.
    pub threads: usize,
    /// MiB that models and caches may use together; 0 derives them from the machine's memory.
    #[serde(rename = "memoryBudgetMiB")]
    pub memory_budget_mib: u64,
    pub kv_cache_type: KvCacheType,
    /// Globs beyond the built-in ones, see [`ExcludeMatcher`].
    pub exclude: Vec<String>,
}

/// Inline completions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletionSettings {
    pub enabled: bool,
    /// By any name of a language; completions are on in languages that are not named.
    pub languages: BTreeMap<String, Enabled>,
    /// A path to a `.gguf` file, a short name, or `hf:OWNER/REPO/FILE`.
    pub model: String,
    /// Where the text comes from.
    pub backend: Backend,
    /// Maximum length of the prompt, in tokens.
    pub context_tokens: usize,
    /// Maximum length of an answer, in tokens.
    pub max_tokens: usize,
    pub multiline: Multiline,
    pub layout: CompletionLayout,
    /// Prompts may contain code from other files of the project.
    pub other_files: bool,
    /// Where all names are known that can stand at a place, a completion begins with one of them.
    pub known_names: bool,
    /// Whether to complete in comments, and in strings, while the person types; they can ask for a completion there in
    /// any case.
    pub in_comments: bool,
    pub in_strings: bool,
    /// The certainty that a completion needs to be shown while the person types.
    pub confidence: Confidence,
    /// After this time, a waiting request gets what is written up to the last whole word, and generation stops at the
    /// end of the line.
    #[serde(rename = "timeBudgetMs", with = "milliseconds")]
    pub time_budget: Duration,
    /// While a completion is shown, the next one is computed as if it were accepted.
    pub prepare_next: bool,
    /// How much may be computed in advance.
    pub effort: Effort,
    /// Clients that show ghost text get the same completion for their popup as well.
    pub popup: bool,
    /// Completions are counted (shown, accepted, kept), on this machine only.
    pub statistics: bool,
    /// Time without use after which the model is unloaded; `None` keeps it loaded.
    #[serde(rename = "idleUnloadMinutes", with = "minutes")]
    pub idle_unload: Option<Duration>,
    /// MiB of files in which it is kept what the model has read; 0: nothing is kept.
    #[serde(rename = "keptPrefixesMiB")]
    pub kept_prefixes_mib: u64,
}

/// Questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssistantSettings {
    /// A path to a `.gguf` file, a short name, or `hf:OWNER/REPO/FILE`.
    pub model: String,
    /// Where the text comes from.
    pub backend: Backend,
    pub context_tokens: usize,
    pub max_tokens: usize,
    /// Time without use after which the model is unloaded; `None` keeps it loaded.
    #[serde(rename = "idleUnloadMinutes", with = "minutes")]
    pub idle_unload: Option<Duration>,
    pub when_it_does_not_fit: WhenItDoesNotFit,
}

/// Where models are loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineSettings {
    /// In one process that all windows share, or else in each server.
    pub shared: bool,
    /// How long that process keeps running after the last window is closed.
    pub linger_minutes: u64,
}

/// Whether a language gets completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Enabled {
    On,
    Off,
    /// Only when the person asks for one.
    Manual,
}

/// When completions may have more than one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Multiline {
    /// Where the syntax says that a block begins.
    #[default]
    Auto,
    Never,
    Always,
}

/// The certainty that a completion needs to be shown to a person who did not ask for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Whatever the model writes is shown.
    Low,
    /// Completions that are hardly ever right are not shown.
    #[default]
    Balanced,
    /// Only completions that are probably right are shown.
    High,
}

/// How much may be computed that nobody has asked for: the code around a place where somebody may write, what follows a completion
/// that may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    Eco,
    /// In a part of the time, while another program leaves a processor; on battery nothing, where the system tells.
    #[default]
    Balanced,
    Eager,
}

impl Effort {
    /// The part of the time that the model may compute for nobody; `None` where it may compute all the time.
    pub fn share(self) -> Option<f64> {
        match self {
            Self::Eco => Some(0.0),
            Self::Balanced => Some(0.25),
            Self::Eager => None,
        }
    }
}

/// How a model is asked for completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompletionLayout {
    /// With its fill-in-the-middle tokens if it has them, or else with a chat turn.
    #[default]
    Auto,
    Chat,
    Fim,
}

/// What to do if the assistant model does not fit into memory beside the completion model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenItDoesNotFit {
    /// The completion model answers.
    #[default]
    Fallback,
    /// The completion model is unloaded while the assistant model answers.
    Swap,
    /// The question is refused, with the reason.
    Refuse,
}

/// Number format of the cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum KvCacheType {
    #[default]
    #[serde(rename = "f16")]
    F16,
    #[serde(rename = "q8_0")]
    Q8_0,
}

impl From<KvCacheType> for KvType {
    fn from(kv_cache_type: KvCacheType) -> Self {
        match kv_cache_type {
            KvCacheType::F16 => KvType::F16,
            KvCacheType::Q8_0 => KvType::Q8_0,
        }
    }
}

/// Where settings come from. Later sources take precedence over earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The user's `config.toml`.
    File,
    /// `initializationOptions` and `workspace/didChangeConfiguration`.
    Editor,
    /// Flags of the command line.
    Flags,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "config.toml",
            Self::Editor => "the editor's settings",
            Self::Flags => "the command line",
        })
    }
}

/// Something in the settings that was ignored, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub source: Source,
    /// The dotted key; empty for the whole object.
    pub key: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.source, self.message),
            key => write!(f, "{}: `{key}`: {}", self.source, self.message),
        }
    }
}

impl Default for CompletionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            languages: BTreeMap::new(),
            model: "phi-3.5-mini".to_owned(),
            backend: Backend::default(),
            context_tokens: 1536,
            max_tokens: 96,
            multiline: Multiline::default(),
            layout: CompletionLayout::default(),
            other_files: true,
            known_names: true,
            in_comments: true,
            in_strings: true,
            confidence: Confidence::default(),
            time_budget: Duration::from_millis(1500),
            prepare_next: true,
            effort: Effort::default(),
            popup: false,
            statistics: true,
            idle_unload: None,
            kept_prefixes_mib: 1024,
        }
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { shared: true, linger_minutes: 15 }
    }
}

impl CompletionSettings {
    /// Whether documents of the language that has all of `names` get completions; the first name with a setting
    /// decides.
    pub fn language<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Enabled {
        match self.enabled {
            true => names.into_iter().find_map(|name| self.languages.get(name).copied()).unwrap_or(Enabled::On),
            false => Enabled::Off,
        }
    }
}

impl Default for AssistantSettings {
    fn default() -> Self {
        Self {
            model: "phi-4-mini".to_owned(),
            backend: Backend::default(),
            context_tokens: 3072,
            max_tokens: 1024,
            idle_unload: Some(Duration::from_secs(10 * 60)),
            when_it_does_not_fit: WhenItDoesNotFit::default(),
        }
    }
}

impl TryFrom<Value> for Enabled {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::Bool(true) => Ok(Self::On),
            Value::Bool(false) => Ok(Self::Off),
            Value::String(text) if text == "manual" => Ok(Self::Manual),
            other => Err(format!("expected true, false or \"manual\", found {other}")),
        }
    }
}

impl From<Enabled> for Value {
    fn from(enabled: Enabled) -> Self {
        match enabled {
            Enabled::On => json!(true),
            Enabled::Off => json!(false),
            Enabled::Manual => json!("manual"),
        }
    }
}

impl Settings {
    /// Every key with its type, default and meaning, in the order of the documentation.
    pub fn describe() -> Vec<KeyDescription> {
        keys::describe()
    }

    /// The settings of all `layers`, lower sources first whatever their order, and what was ignored in them.
    pub fn from_layers(layers: &[(Source, Value)]) -> (Self, Vec<Problem>) {
        let mut ordered: Vec<_> = layers.iter().collect();
        ordered.sort_by_key(|(source, _)| *source);
        let mut settings = Self::default();
        let problems = ordered.into_iter().flat_map(|(source, value)| settings.apply(value, *source)).collect();
        (settings, problems)
    }

    /// Merges `value`, an object with any of the keys, nested (`{"completion": {"model": ..}}`), dotted
    /// (`{"completion.model": ..}`) or both. An object called `phi-ls` among them holds more of them, which take
    /// precedence over those beside it. `null` means "not set". Returns what was ignored.
    pub fn apply(&mut self, value: &Value, source: Source) -> Vec<Problem> {
        let mut merge = Merge { settings: self, source, problems: Vec::new() };
        match value.get("phi-ls") {
            Some(inner) => {
                merge.root(&beside(value, source));
                merge.root(inner);
            }
            None => merge.root(value),
        }
        merge.problems
    }
}

/// What is beside the object `phi-ls` in `value`. An editor may send the settings of all its servers, each under its
/// name; only those with one of our names are ours.
fn beside(value: &Value, source: Source) -> Value {
    let mut rest = value.as_object().cloned().unwrap_or_default();
    rest.retain(|name, _| name != "phi-ls" && (source != Source::Editor || keys::is_known(name)));
    Value::Object(rest)
}

/// One call of [`Settings::apply`].
struct Merge<'a> {
    settings: &'a mut Settings,
    source: Source,
    problems: Vec<Problem>,
}

impl Merge<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { source: self.source, key: key.to_owned(), message: message.into() });
    }

    /// Merges `value`, which should be an object of settings.
    fn root(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(object) => self.object("", object),
            other => self.problem("", format!("expected an object, found {}", keys::found(other))),
        }
    }

    /// Merges the members of `object`, which is at the dotted key `parent` (empty: the root). Values that belong
    /// together are stored together, so that `contextTokens` and `maxTokens` are checked as a pair, in either order.
    fn object(&mut self, parent: &str, object: &Map<String, Value>) {
        let mut budgets = Vec::new();
        for (name, value) in object {
            let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
            let Some(key) = KEYS.iter().find(|key| key.name == path) else {
                self.group_or_unknown(&path, value);
                continue;
            };
            if let Some(value) = self.checked(key, value) {
                match key.name.starts_with("completion.") && key.name.ends_with("Tokens") {
                    true => budgets.push((key.name, value)),
                    false => self.store(&[(key.name, value)]),
                }
            }
        }
        if !budgets.is_empty() {
            self.store(&budgets);
        }
    }

    /// Handles a path that is not a key of the table.
    fn group_or_unknown(&mut self, path: &str, value: &Value) {
        if let Some(language) = path.strip_prefix("completion.languages.") {
            let languages = Map::from_iter([(language.to_owned(), value.clone())]);
            return self.object("completion", &Map::from_iter([("languages".to_owned(), Value::Object(languages))]));
        }
        let is_group = KEYS.iter().any(|key| key.name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
        match value {
            Value::Object(object) if is_group => self.object(path, object),
            Value::Null if is_group => {}
            other if is_group => {
                self.problem(path, format!("expected an object, found {}; it is ignored", keys::found(other)));
            }
            _ => match keys::nearest(path) {
                Some(nearest) => self.problem(path, format!("there is no such setting; did you mean `{nearest}`?")),
                None => self.problem(path, "there is no such setting"),
            },
        }
    }

    /// `value` as it can be stored, or `None` if there is nothing to store; the reason is then recorded.
    fn checked(&mut self, key: &Key, value: &Value) -> Option<Value> {
        if value.is_null() {
            return None;
        }
        let (kept, reasons) = key.kind.check(value);
        let outcome = match &kept {
            Some(_) => "left out".to_owned(),
            None => format!("keeping {}", self.current(key.name)),
        };
        reasons.iter().for_each(|reason| self.problem(key.name, format!("{reason}; {outcome}")));
        kept
    }

    /// The value of `key` now, as it would be written.
    fn current(&self, key: &str) -> Value {
        let all = serde_json::to_value(&*self.settings).unwrap_or_default();
        keys::pointer(&all, key).cloned().unwrap_or_default()
    }

    /// Stores checked values, all or none.
    fn store(&mut self, values: &[(&str, Value)]) {
        let mut all = serde_json::to_value(&*self.settings).unwrap_or_default();
        for (key, value) in values {
            match keys::pointer_mut(&mut all, key) {
                Some(Value::Object(languages)) if *key == "completion.languages" => {
                    languages.extend(value.as_object().cloned().unwrap_or_default());
                }
                Some(slot) => *slot = value.clone(),
                None => {}
            }
        }
        let problem = match serde_json::from_value::<Settings>(all) {
            Ok(settings) => match settings.budget_problem() {
                None => {
                    *self.settings = settings;
                    return;
                }
                Some(problem) => problem,
            },
            Err(error) => error.to_string(),
        };
        for (key, _) in values {
            self.problem(key, format!("{problem}; keeping {}", self.current(key)));
        }
    }
}

impl Settings {
    /// Where the text of `role` comes from.
    pub fn backend(&self, role: Role) -> &Backend {
        match role {
            Role::Completion => &self.completion.backend,
            Role::Assistant => &self.assistant.backend,
        }
    }

    /// Whether completions and answers come from the same model, so that one engine writes both.
    pub fn has_one_engine(&self) -> bool {
        let (completion, assistant) = (&self.completion, &self.assistant);
        let is_same_model = completion.model == assistant.model || !completion.backend.may_load_a_model();
        completion.backend == assistant.backend && is_same_model
    }

    /// Why the token budgets of completions are not valid together, if they are not.
    fn budget_problem(&self) -> Option<String> {
        let CompletionSettings { context_tokens, max_tokens, .. } = self.completion;
        let sum = (context_tokens + max_tokens) as u64;
        (sum > SHORT_CONTEXT_TOKENS).then(|| {
            format!(
                "completion.contextTokens ({context_tokens}) and completion.maxTokens ({max_tokens}) may add up to \
                 {SHORT_CONTEXT_TOKENS}, found {sum}"
            )
        })
    }
}

/// The user's `config.toml`, in the platform's folder for configuration.
pub fn default_file() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "phi-ls")?.config_dir().join("config.toml"))
}

/// The settings in the TOML file at `path`; [`Value::Null`] where there is no such file.
pub fn read_file(path: &Path) -> (Value, Vec<Problem>) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (Value::Null, Vec::new()),
        Err(error) => return (Value::Null, vec![file_problem(format!("cannot read {}: {error}", path.display()))]),
    };
    match parse_toml(&text) {
        Ok(value) => (value, Vec::new()),
        Err(reason) => {
            (Value::Null, vec![file_problem(format!("{}: {reason}; the whole file is ignored", path.display()))])
        }
    }
}

fn file_problem(message: String) -> Problem {
    Problem { source: Source::File, key: String::new(), message }
}

/// The object in a TOML text.
///
/// # Errors
/// What is wrong, and on which line.
pub fn parse_toml(text: &str) -> Result<Value, String> {
    toml::from_str::<Value>(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        format!("line {line}: {}", error.message().trim_end())
    })
}

/// A [`Duration`] as a whole number of milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_millis() as u64)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// An optional [`Duration`] as a whole number of minutes, 0 being none.
mod minutes {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.map_or(0, |duration| duration.as_secs() / 60))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let minutes = u64::deserialize(deserializer)?;
        Ok((minutes > 0).then(|| Duration::from_secs(minutes * 60)))
    }
}
