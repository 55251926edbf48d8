//! The features of phi-ls. Each is a pure `plan()` (what to ask the model) and a pure `finish()` (what to show of its
//! answer). No channels, no protocol types, no model.

pub mod answering;
pub mod code_actions;
pub mod commit;
pub mod completability;
pub mod conversation;
pub mod edit;
pub mod explain;
mod indentation;
pub mod inline_completion;
pub mod next_edit;
pub mod question;

#[cfg(test)]
mod fixture;
