//! Settings: how they are written, that each has an effect, and what is reported about them.

mod config;
mod effects;
mod problems;
mod vscode;
