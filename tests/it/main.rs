//! The one integration-test binary: each module is an area.

mod config;
mod quant;
mod queries;
mod text;
