//! Which kind of engine a role gets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::embedded::{self, EngineOptions, KeepOptions, MakeLoader};
use super::remote::{self, Patience, StandIn};
use super::shared::{self, Endpoint, Setup, Wishes};
use super::{Engine, Gate, OnEvent};
use crate::config::{Backend, Machine, MemoryBudget, Role, Settings, WhenItFails};

/// How long a model that stood in for a server stays in memory once the server is back.
const STAND_IN_UNLOAD: Duration = Duration::from_secs(5 * 60);

/// What an engine is started with beside the settings.
pub struct StartOptions {
    /// Load at once instead of at the first job.
    pub load_at_start: bool,
    /// Unload the model after this long without a job; `None` keeps it.
    pub idle_unload: Option<Duration>,
    /// Bytes of keys and values that the model may use.
    pub kv_budget_bytes: usize,
    /// Where to keep in files what the model has read for completions; `None` keeps nothing.
    pub keep: Option<KeepOptions>,
    /// How long a minute in the settings lasts; tests shorten it.
    pub minute: Duration,
    /// Shared with the other engines of this process.
    pub gate: Gate,
    /// The program that the engine process for all windows is started from. Without it, every engine is in this
    /// process.
    pub program: Option<PathBuf>,
}

/// Starts the engine of `role` as `settings` say. `loader` creates the loader of the model, which is needed if the
/// model is loaded into this process.
///
/// # Errors
/// If the thread cannot be started.
pub fn start_for(
    role: Role,
    settings: &Settings,
    options: StartOptions,
    loader: MakeLoader,
    on_event: OnEvent,
) -> std::io::Result<Engine> {
    match settings.backend(role) {
        Backend::Embedded => start_local(role, settings, options, loader, on_event),
        Backend::OpenAi(server) => {
            let gate = options.gate.clone();
            let stands_in = server.when_it_fails == WhenItFails::Embedded;
            let stand_in = stands_in.then(|| stand_in(role, settings, options, loader));
            remote::start(server.clone(), Patience::default(), gate, stand_in, on_event)
        }
    }
}

/// The model on this machine that answers while a server does not: loaded when it is needed and not kept for long.
fn stand_in(role: Role, settings: &Settings, options: StartOptions, loader: MakeLoader) -> StandIn {
    let idle_unload = Some(options.idle_unload.unwrap_or(STAND_IN_UNLOAD).min(STAND_IN_UNLOAD));
    let options = StartOptions { load_at_start: false, idle_unload, ..options };
    let settings = settings.clone();
    StandIn::new(Box::new(move |on_event| start_local(role, &settings, options, loader, on_event)))
}

/// An engine whose model is on this machine: in the process that all windows share, or in this one.
fn start_local(
    role: Role,
    settings: &Settings,
    options: StartOptions,
    loader: MakeLoader,
    on_event: OnEvent,
) -> std::io::Result<Engine> {
    let StartOptions { load_at_start, idle_unload, kv_budget_bytes, keep, minute, gate, program } = options;
    if let (Some(setup), Some(program)) = (setup_of(settings, program.as_deref()), program) {
        match Endpoint::of(&setup) {
            Ok(endpoint) => {
                let linger = minute.saturating_mul(u32::try_from(settings.engine.linger_minutes).unwrap_or(u32::MAX));
                let fits_beside_the_other = fits_beside_the_other(role, settings);
                let wishes =
                    Wishes { role, load_at_start, idle_unload, kv_budget_bytes, keep, fits_beside_the_other, linger };
                return shared::start(endpoint, setup, wishes, program, gate, on_event);
            }
            // A model for this window only is better than none.
            Err(reason) => tracing::warn!("this window does not share an engine with others: {reason}"),
        }
    }
    embedded::start(loader(), EngineOptions { load_at_start, idle_unload, kv_budget_bytes, keep, gate }, on_event)
}

/// The setup of the engine process that `settings` ask for, which is started from `program`; `None` if the engines are
/// in this process.
pub fn setup_of(settings: &Settings, program: Option<&Path>) -> Option<Setup> {
    Some(Setup::new(settings, program.filter(|_| settings.engine.shared)?))
}

/// Whether the models of both roles can be in memory at the same time. A model that is not installed or not known does
/// not count.
fn fits_beside_the_other(role: Role, settings: &Settings) -> bool {
    let own = embedded::load::needs(role, settings);
    let (Some(own), Some(other)) = (own, embedded::load::needs_beside(role, settings)) else { return true };
    MemoryBudget::new(settings, &Machine::read()).fits(&[own, other]) != Some(false)
}
