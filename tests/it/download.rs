//! Models from the hub to the models folder.

pub(crate) mod hub;
pub(crate) mod pull;
mod tls;
