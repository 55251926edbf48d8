//! `phi-ls pull`: downloads models.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::hub::{Alias, Hub, ModelRef, PullEvent, Pulled};

/// If the output is not a terminal, a line is printed every time this many per cent have been downloaded.
const PERCENT_PER_LINE: u64 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct PullArgs {
    /// The models: phi-3.5-mini (completions), phi-4-mini (questions), starter (98 MB, for a first try or a small
    /// machine), any other short name that `phi-ls models --all` lists, or hf:OWNER/REPO/FILE.gguf; by default
    /// phi-3.5-mini and phi-4-mini
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
}

/// Downloads what `args` names. Progress goes to standard error, the paths of the files to standard output.
///
/// # Errors
/// The first download that fails. What it has downloaded is kept for the next call.
pub(super) fn pull(args: &PullArgs) -> anyhow::Result<()> {
    let references = match args.models.as_slice() {
        [] => vec![ModelRef::Alias(Alias::Phi35Mini), ModelRef::Alias(Alias::Phi4Mini)],
        models => models.iter().map(|model| model.parse()).collect::<Result<_, _>>()?,
    };
    for reference in references {
        println!("{}", pull_model(&reference)?.path.display());
    }
    Ok(())
}

/// Downloads one model, with progress on standard error.
///
/// # Errors
/// Those of [`Hub::pull`].
pub(super) fn pull_model(reference: &ModelRef) -> anyhow::Result<Pulled> {
    let hub = Hub::from_environment()?;
    let mut report = Report::new(reference);
    let outcome = hub.pull(reference, &mut |event| report.event(&event));
    report.bar.finish_and_clear();
    let pulled = outcome?;
    let state = if pulled.already_installed { "is installed" } else { "downloaded" };
    let checksum = if pulled.checksum_verified { "checksum right" } else { "the hub has no checksum for it" };
    eprintln!("{reference} {state}: {}, {checksum}", HumanBytes(pulled.bytes));
    Ok(pulled)
}

/// Reports the progress of one download: a progress bar on a terminal, otherwise a line now and then.
struct Report {
    name: String,
    bar: ProgressBar,
    is_terminal: bool,
    total: Option<u64>,
    /// The percentage on the last line printed.
    percent: u64,
}

impl Report {
    fn new(reference: &ModelRef) -> Self {
        let bar = ProgressBar::hidden();
        let is_terminal = std::io::stderr().is_terminal();
        Self { name: reference.to_string(), bar, is_terminal, total: None, percent: 0 }
    }

    fn event(&mut self, event: &PullEvent) {
        match event {
            PullEvent::Started { from, done, total } => self.started(from, *done, *total),
            PullEvent::Progress { done } => self.progress(*done),
            PullEvent::Retrying { reason } => self.line(&format!("{reason}; trying again")),
            PullEvent::Checking { bytes } => {
                self.line(&format!("checking {} on disk", HumanBytes(*bytes)));
            }
            PullEvent::NextPlace { reason } => self.line(&format!("{reason}; trying another source")),
        }
    }

    fn started(&mut self, from: &str, done: u64, total: Option<u64>) {
        let resumed = if done > 0 { format!(", continuing at {}", HumanBytes(done)) } else { String::new() };
        self.line(&format!("from {from}{resumed}"));
        self.total = total;
        self.percent = total.map_or(0, |total| 100 * done / total.max(1));
        if self.is_terminal {
            self.bar.finish_and_clear();
            self.bar = progress_bar(total);
            self.bar.set_position(done);
            // Speed and remaining time are those of this download, without what was downloaded before.
            self.bar.reset_eta();
        }
    }

    fn progress(&mut self, done: u64) {
        self.bar.set_position(done);
        let percent = self.total.map_or(0, |total| 100 * done / total.max(1));
        if !self.is_terminal && percent / PERCENT_PER_LINE > self.percent / PERCENT_PER_LINE {
            self.percent = percent;
            self.line(&format!("{percent} %, {}", HumanBytes(done)));
        }
    }

    fn line(&self, text: &str) {
        let line = format!("{}: {text}", self.name);
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

fn progress_bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {elapsed}"),
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template is a constant that is well formed"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
