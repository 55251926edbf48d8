//! The model: its files, its tokenizer, and its numbers against other programs.

mod decoder;
mod describe;
mod device;
mod families;
mod full_size;
mod gguf;
pub(crate) mod greedy;
mod parity;
mod quant;
pub(crate) mod tokenizer;
