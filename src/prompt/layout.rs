//! How a completion is asked for, as a value: in which form, and where in the prompt its parts stand.

use crate::config;

/// How a model is asked for a completion. `phi-ls eval --layouts` compares several at the same places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub form: Form,
    pub others: Others,
    // The following are of the chat form only.
    /// The turns begin with an example: a question like this one, and its answer.
    pub has_example: bool,
    /// The question shows the lines around the cursor with a mark in its place, not only those after it.
    pub marks_place: bool,
    /// The answer begins with the lines right before the cursor only; what comes before them is in the question.
    pub has_short_answer: bool,
}

/// In which form a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As [`Form::Fim`] of a model that was made for it, as [`Form::Chat`] of any other.
    Auto,
    /// For models that follow instructions: the code after the cursor goes into the question, and the answer already begins
    /// with the code before it, which the model continues.
    Chat,
    /// For models with tokens to fill in the middle: the code before and after the cursor.
    Fim,
    /// For models that only continue text: the file as it is, up to the cursor.
    Plain,
}

/// Where code of other files stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// As files of their own: in the question, or between the tokens that a model has for the files of a project.
    Files,
    /// As comments above the code of the file and its imports, which then are not in the question either; where the language has
    /// none, as files.
    Comments,
}

impl Layout {
    /// The layout that completions have, in this `form`.
    pub const fn of(form: Form) -> Self {
        Self { form, others: Others::Files, has_example: false, marks_place: false, has_short_answer: false }
    }
}

impl From<config::CompletionLayout> for Form {
    fn from(layout: config::CompletionLayout) -> Self {
        match layout {
            config::CompletionLayout::Auto => Self::Auto,
            config::CompletionLayout::Chat => Self::Chat,
            config::CompletionLayout::Fim => Self::Fim,
        }
    }
}
