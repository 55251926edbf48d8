//! The `phi-ls` binary: everything is in the library.
fn main() {}
