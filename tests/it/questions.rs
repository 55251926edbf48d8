//! Questions about code: code actions, their answers and edits, and commit messages.

pub(crate) mod actions;
mod answer_documents;
mod bad_questions;
mod commit;
mod follow_ups;
