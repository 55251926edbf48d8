//! Model servers that are asked instead of a model on this machine.

mod no_network;
mod real_servers;
pub(crate) mod remote;
