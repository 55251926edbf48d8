//! `phi-ls serve`: the language server on standard input and output.

use crate::config::Settings;
use crate::server::{self, ServerOptions};

/// Flags of `serve`: they win over every setting.
#[derive(clap::Args)]
pub(super) struct ServeArgs {
    /// The resident model: a path to a .gguf, a name, or hf:OWNER/REPO/FILE
    #[arg(long, value_name = "MODEL")]
    completion_model: Option<String>,
    /// The model of escalated actions, likewise
    #[arg(long, value_name = "MODEL")]
    assistant_model: Option<String>,
    /// Threads to compute with; 0 is as many as the machine has cores
    #[arg(long)]
    threads: Option<usize>,
    /// Accepted because many editors pass it; standard input and output are the only transport
    #[arg(long, hide = true)]
    stdio: bool,
}
