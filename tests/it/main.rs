//! The one integration-test binary: each module is an area.

mod config;
mod context;
mod describe;
mod engine;
mod gguf;
mod greedy;
mod hub;
mod model;
mod parity;
mod prompts;
mod pull;
mod quant;
mod queries;
mod support;
mod text;
mod tokenizer;
