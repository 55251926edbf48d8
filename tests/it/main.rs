//! The one integration-test binary: each module is an area.

mod cancellation;
mod config;
mod context;
mod describe;
mod documents;
mod engine;
mod full_size;
mod gguf;
mod greedy;
mod hub;
mod inline_completion;
mod lifecycle;
mod model;
mod parity;
mod prompts;
mod pull;
mod quant;
mod queries;
mod readme;
mod settings;
mod shaping;
mod support;
mod text;
mod tidy;
mod tokenizer;
mod vscode_settings;
