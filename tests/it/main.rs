//! The one integration-test binary: each folder is an area; `tests/README.md` says what is where.

mod cli;
mod completion;
mod download;
mod editor;
mod engine;
mod model;
mod model_server;
mod project;
mod prompt;
mod questions;
mod settings;
mod support;
