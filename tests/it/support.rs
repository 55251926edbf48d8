//! What several areas of the tests share.

pub(crate) mod scripted_model;
pub(crate) mod tiny_gguf;
