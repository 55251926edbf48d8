//! What enters a prompt: the context around the cursor, other files, and the wording.

mod context;
mod fim;
mod grounding;
mod prompts;
mod queries;
