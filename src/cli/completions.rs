//! `phi-ls completions`: the script with which a shell completes the arguments of this program.

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap_complete::Shell;

#[derive(clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), env!("CARGO_PKG_NAME"), &mut script);
    io::stdout().write_all(&script).context("cannot write the script to standard output")
}
