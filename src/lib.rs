//! phi-ls: a language server that completes code with Phi-3.5-mini and explains it with Phi-4-mini.
//!
//! Modules, lowest layer first; a module imports from lower rows only (`tests/it/tidy.rs` enforces it).
//!
//! ```text
//!  5  main -> cli                 prints only here
//!  4  server                      tower-lsp-server, tokio, channels to editors, request ids
//!  3  lsp -> features             lsp: protocol types only     features: pure plan() and finish()
//!  2  prompt -> context           pure text, no protocol types, no tensors
//!     engine                      threads, scheduling, decode loop; sees token ids and the model, never documents
//!  1  syntax     model  hub       tree-sitter only here | candle only here (and engine) | network only in hub
//!  0  text  config  kernels       std, serde; `unsafe` only in kernels (and the file map)
//! ```

pub mod config;
pub mod kernels;
pub mod text;

pub mod hub;
pub mod model;
pub mod syntax;

pub mod context;
pub mod engine;
pub mod prompt;

pub mod features;
pub mod lsp;

pub mod server;

pub mod cli;
