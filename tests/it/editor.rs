//! The language server as an editor sees it, apart from completions and questions.

mod cancellation;
mod documents;
mod large_documents;
mod lifecycle;
mod line_endings;
mod notebooks;
mod off;
mod text;
mod workspaces;
