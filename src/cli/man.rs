//! `phi-ls man`: the manual pages, generated from the same descriptions as the help.

use std::path::PathBuf;

use anyhow::Context as _;

#[derive(clap::Args)]
pub(super) struct ManArgs {
    /// The folder for `phi-ls.1` and one page per command
    folder: PathBuf,
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let folder = &args.folder;
    let write = || {
        std::fs::create_dir_all(folder)?;
        clap_mangen::generate_to(super::command(), folder)
    };
    write().with_context(|| format!("cannot write the manual pages to {}", folder.display()))
}
