//! What the repository promises: its rules, and that its documentation is true.

mod docs;
mod tidy;
