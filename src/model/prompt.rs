//! Prompts as text and as token ids, in either of the two layouts in which a model can be asked.

use serde::{Deserialize, Serialize};

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One finished turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub role: Role,
    pub text: String,
}

/// What a model is asked to continue: finished turns, then an assistant turn that already begins with `prefill`.
/// Without turns, `prefill` is continued as plain text, with no role tags at all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Prompt {
    pub turns: Vec<Turn>,
    pub prefill: String,
    /// The same for a model that fills in the middle: it is asked in this form, any other one in the form above. Who plans
    /// a completion does not know which model will be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fim: Option<FimParts>,
    /// For a model of next edits, which has no other form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_edit: Option<NextEditParts>,
}

impl Prompt {
    /// Whether only a model that fills in the middle can be asked this.
    pub fn is_fim_only(&self) -> bool {
        self.fim.is_some() && self.turns.is_empty() && self.prefill.is_empty()
    }
}

/// In which of its two forms a prompt was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PromptForm {
    /// As turns, or as plain text.
    #[default]
    Chat,
    /// As the code around the cursor.
    Fim,
}

/// A prompt as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPrompt {
    pub tokens: Vec<u32>,
    /// Index of the first token of the prefill: healing may not back up beyond it.
    pub prefill_start: usize,
    pub form: PromptForm,
}

/// The code around a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FimParts {
    /// The file's path within its project.
    pub path: Option<String>,
    /// What begins a comment, for formats that have no token for a path.
    pub line_comment: Option<String>,
    /// Code of other files, the most telling one last.
    pub files: Vec<FimFile>,
    /// The code before `typed`.
    pub prefix: String,
    /// The code right before the cursor: what grows while somebody types. Where the suffix stands behind the prefix, this
    /// is the beginning of the middle, so that a key costs the tokens it adds and no more.
    pub typed: String,
    /// The code after the cursor.
    pub suffix: String,
}

/// Code of another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FimFile {
    pub path: String,
    pub text: String,
}

/// What a model of next edits is shown: some lines of a file, how they came about, and what changed elsewhere. It writes
/// the lines as they will be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NextEditParts {
    /// The file around the lines, then what changed, oldest first.
    pub files: Vec<FimFile>,
    /// Where the lines are: the file's path, the first line and the last, counted from 1.
    pub place: String,
    /// The lines before the last changes.
    pub original: String,
    /// The lines as they are, before and after the cursor.
    pub current: (String, String),
}
