//! The engine processes of this user: their clients, their models, and their log.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::Settings;
use crate::engine::setup_of;
use crate::engine::shared::process::{self, Found};
use crate::engine::shared::{Endpoint, ModelState, Report, log};

/// The engine processes and their log.
#[derive(Default)]
pub(super) struct Engines {
    /// Whether the settings ask for an engine process.
    shared: bool,
    linger_minutes: u64,
    log: PathBuf,
    /// Why windows cannot share a process although they may.
    cannot: Option<String>,
    processes: Vec<Report>,
    /// Those that do not answer.
    silent: Vec<u32>,
}

impl Engines {
    /// Asks every running engine process.
    pub(super) fn look(settings: &Settings, models_folder: &Path) -> Self {
        let mut engines = Self {
            shared: settings.engine.shared,
            linger_minutes: settings.engine.linger_minutes,
            log: log::file(models_folder),
            cannot: cannot_share(settings),
            ..Self::default()
        };
        for found in Endpoint::all().iter().map(process::ask) {
            match found {
                Found::Process(report) => engines.processes.push(*report),
                Found::Silent(pid) => engines.silent.extend(pid),
                Found::Nobody => {}
            }
        }
        engines
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "shared": self.shared,
            "cannot_share": self.cannot,
            "log": self.log,
            "processes": self.processes,
            "silent": self.silent,
        })
    }

    pub(super) fn print(&self) {
        println!("\nengine");
        match (self.shared, &self.cannot) {
            (true, Some(reason)) => println!("  windows           each load their own models: {reason}"),
            (true, None) => println!(
                "  windows           share one process, which ends {} minutes after the last window \
                 (engine.lingerMinutes)",
                self.linger_minutes
            ),
            (false, _) => println!("  windows           each load their own models (engine.shared is false)"),
        }
        for process in &self.processes {
            println!("  process           {}", describe(process));
            println!("  its log           {}", process.log.display());
        }
        for pid in &self.silent {
            println!("  process           {pid} does not answer; end it (`kill -9 {pid}`)");
        }
        if self.shared && self.cannot.is_none() && self.processes.is_empty() && self.silent.is_empty() {
            println!("  process           not running; its log is {}", self.log.display());
        }
    }
}

/// Why windows with these settings cannot share a process, if they may but cannot.
fn cannot_share(settings: &Settings) -> Option<String> {
    let program = std::env::current_exe().ok()?;
    Endpoint::of(&setup_of(settings, Some(&program))?).err()
}

/// Describes one process in a line.
fn describe(report: &Report) -> String {
    let mut clients: Vec<_> = report.clients.iter().map(|client| client.pid).collect();
    clients.sort_unstable();
    clients.dedup();
    let clients = match clients.as_slice() {
        [] => "nobody".to_owned(),
        pids => pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let models: Vec<_> =
        report.models.iter().map(|model| format!("{} ({})", model.model, state(&model.state))).collect();
    let models = if models.is_empty() { "no model".to_owned() } else { models.join(", ") };
    format!("{} (phi-ls {}), used by {clients}: {models}", report.pid, report.setup.version)
}

fn state(state: &ModelState) -> String {
    match state {
        ModelState::Unloaded => "not in memory".to_owned(),
        ModelState::Loading(fraction) => format!("loading, {:.0} %", fraction * 100.0),
        ModelState::Loaded(_) => "in memory".to_owned(),
        ModelState::Failed(reason) => reason.clone(),
    }
}
