//! The one integration-test binary: each module is an area.

mod config;
mod engine;
mod hub;
mod quant;
mod queries;
mod support;
mod text;
