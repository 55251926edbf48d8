//! The command line as a person or an editor runs it: the binary itself.

mod command_line;
pub(crate) mod stdio;
