//! The settings: one JSON object, the same from `initializationOptions`, `workspace/didChangeConfiguration`,
//! `config.toml` and flags. Unknown or ill-typed keys are reported once and the default kept.
