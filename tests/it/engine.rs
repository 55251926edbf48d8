//! Engines: how jobs are scheduled, what is cached, and the process that all windows share.

mod jobs;
pub(crate) mod kept;
mod resident_memory;
mod reuse;
pub(crate) mod shared;
mod two_models;
