//! The one integration-test binary: each module is an area.

mod quant;
mod text;
