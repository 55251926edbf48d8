//! `phi-ls engine`: the process that holds the models for every window.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::engine::shared::{Endpoint, Setup, process};

/// How long the process waits for the language server that has started it.
const FIRST_CLIENT: Duration = Duration::from_secs(30);

const MINUTE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(super) struct EngineArgs {
    /// What its clients agree on, as they print it
    #[arg(long, hide = true, value_name = "JSON")]
    setup: Option<String>,
    /// The folder of sockets and locks, as they found it
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
    /// Start it as a process that outlives the one that starts it
    #[arg(long, hide = true)]
    detach: bool,
}

pub(super) fn engine(args: &EngineArgs) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find the file of this program")?;
    if args.detach {
        return detach(&program);
    }
    let (setup, patience) = match &args.setup {
        Some(json) => (serde_json::from_str::<Setup>(json).context("expected a setup")?, FIRST_CLIENT),
        None => {
            let settings = super::user_settings();
            (Setup::new(&settings, &program), MINUTE * u32::try_from(settings.engine.linger_minutes)?)
        }
    };
    setup.check_program(&program).map_err(anyhow::Error::msg)?;
    let endpoint = match &args.folder {
        Some(folder) => Endpoint::in_folder(folder.clone(), &setup),
        None => Endpoint::of(&setup),
    };
    let endpoint = endpoint.map_err(anyhow::Error::msg)?;
    let ended = process::run(&endpoint, setup, patience).context("cannot start or join the engine process")?;
    if ended == process::Ended::NotNeeded {
        tracing::info!("an engine process is already running");
    }
    Ok(())
}

/// Runs the same command without `--detach` in a new session, with the standard error of this process. The new process
/// is not a descendant of the one that started this one, so an editor that ends all its descendants does not end it.
fn detach(program: &Path) -> anyhow::Result<()> {
    // This fails for the leader of a process group, such as a process started from a shell.
    #[cfg(unix)]
    let _ = rustix::process::setsid();
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1).filter(|argument| argument != "--detach"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // The process must not stay in the folder that it was started in, which may be deleted.
    if let Some(root) = program.ancestors().last() {
        command.current_dir(root);
    }
    #[cfg(windows)]
    {
        const DETACHED_PROCESS: u32 = 0x8;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(
            &mut command,
            DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP,
        );
    }
    command.spawn().context("cannot start the engine process")?;
    Ok(())
}
