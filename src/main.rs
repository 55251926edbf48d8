//! The `phi-ls` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    phi_ls::cli::main()
}
