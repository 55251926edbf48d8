//! The arithmetic: quantised matrix products, attention over the paged KV cache, norms, rotary embedding, and the
//! thread pool they share. It works on slices and shapes, and knows no models or files. The `unsafe` code is here.

pub mod attention;
pub mod buffer;
mod disjoint;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod lanes;
pub mod level;
mod math;
pub mod matmul;
pub mod ops;
pub mod page_pool;
pub mod pool;
pub mod quant;
#[cfg(test)]
mod random;
pub mod tuning;
