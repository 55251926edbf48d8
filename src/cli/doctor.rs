//! `phi-ls doctor`: the machine, the folders, the settings, the models, and which model fits; or what applies to a file.

mod engines;
mod file;

use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::ModelArgs;
use super::advice::{QUALITY_SOURCE, Recommendation, beside, quality};
use super::fits::{Fit, fits, needs, tokens_per_second};
use super::models::InstalledModel;
use crate::config::{
    self, Backend, CompletionLayout, Machine, MemoryBudget, Needs, RemoteServer, Role, Settings, Source,
};
use crate::engine::embedded::kept_prefixes;
use crate::engine::embedded::tuning::{self, StoredTuning};
use crate::engine::remote::{self, Abilities, Patience};
use crate::hub::{self, HubError, ModelRef};
use crate::kernels::level::Level;
use crate::model::{self, ModelReport};
use crate::private;
use engines::Engines;

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Show what applies to this file instead: its workspace, its language, whether it is completed, and if not, which
    /// rule says so
    file: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Load a model and repeat the measurements of this processor
    #[arg(long, conflicts_with = "file")]
    retune: bool,
}

/// Prints what phi-ls finds on this machine, and what to do about what is missing.
///
/// # Errors
/// If there is no folder for models, or the given file does not exist.
pub(super) fn doctor(args: &DoctorArgs) -> anyhow::Result<()> {
    if args.retune {
        retune()?;
    }
    if let Some(file) = &args.file {
        return file::doctor_file(file, &super::user_settings(), args.json);
    }
    let findings = Findings::collect()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings.to_json())?);
    } else {
        findings.print();
    }
    Ok(())
}

/// Deletes the measurements and loads a model, which repeats them.
fn retune() -> anyhow::Result<()> {
    if let Some(file) = tuning::file()
        && let Err(error) = std::fs::remove_file(&file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        anyhow::bail!("cannot remove the measurement in {}: {error}", file.display());
    }
    ModelArgs { model: None, threads: 0 }.load()?;
    Ok(())
}

struct Findings {
    machine: Machine,
    settings: Settings,
    settings_file: Option<PathBuf>,
    models_folder: PathBuf,
    /// The folder with what is kept between sessions, and its size in bytes.
    kept: Option<(PathBuf, u64)>,
    free_space: Option<u64>,
    /// What was measured on this processor.
    tuning: Option<StoredTuning>,
    installed: Vec<PathBuf>,
    roles: Vec<RoleModel>,
    fits: Vec<Fit>,
    recommendation: Option<Recommendation>,
    engines: Engines,
    problems: Vec<String>,
}

/// The model of one role, as the settings name it.
struct RoleModel {
    role: Role,
    model: String,
    found: Result<PathBuf, String>,
    /// How it is asked for completions; `None` if that is not known, or the role is another one.
    layout: Option<String>,
    /// The model server that is asked instead, and what it can do.
    server: Option<(RemoteServer, Result<Abilities, String>)>,
}

impl RoleModel {
    fn name(&self) -> &'static str {
        match self.role {
            Role::Completion => "completion",
            Role::Assistant => "assistant",
        }
    }

    fn asked(&self) -> String {
        self.layout.as_ref().map_or_else(String::new, |layout| format!(" (asked {layout})"))
    }

    fn needs(&self, settings: &Settings) -> Option<Needs> {
        needs(self.role, settings, self.found.as_deref().ok())
    }

    /// Whether a model on this machine is used, if only as a fallback for a server.
    fn may_be_loaded(&self) -> bool {
        self.server.as_ref().is_none_or(|(server, _)| Backend::OpenAi(server.clone()).may_load_a_model())
    }

    /// Why the role cannot produce text.
    fn problem(&self) -> Option<&String> {
        match &self.server {
            Some((_, found)) => found.as_ref().err(),
            None => self.found.as_ref().err(),
        }
    }
}

impl Findings {
    fn collect() -> Result<Self, HubError> {
        let machine = Machine::read();
        let settings_file = config::default_file();
        let (layer, mut problems) = settings_file.as_deref().map(config::read_file).unwrap_or_default();
        let (settings, found) = Settings::from_layers(&[(Source::File, layer)]);
        problems.extend(found);
        let models_folder = hub::models_folder().ok_or(HubError::NoFolder)?;
        let budget = MemoryBudget::new(&settings, &machine);
        let roles = [(Role::Completion, &settings.completion.model), (Role::Assistant, &settings.assistant.model)];
        let roles = roles.map(|(role, model)| RoleModel {
            server: ask(&settings, role),
            ..find(role, model, &models_folder, settings.completion.layout)
        });
        let needs_of = |role| roles.iter().find(|found| found.role == role)?.needs(&settings);
        let tuning = tuning::file().and_then(|file| StoredTuning::read(&file, settings.thread_count(&machine)));
        let installed: Vec<_> = hub::installed(&models_folder).into_iter().map(InstalledModel::look_into).collect();
        let model_problems = installed.iter().flat_map(InstalledModel::problems);
        Ok(Self {
            problems: problems.iter().map(ToString::to_string).chain(model_problems).collect(),
            installed: installed.into_iter().map(|model| model.file.path).collect(),
            fits: fits(&settings, budget, needs_of),
            recommendation: Recommendation::new(&settings, budget, tuning.as_ref(), needs_of),
            roles: roles.into(),
            engines: Engines::look(&settings, &models_folder),
            free_space: hub::free_space(&models_folder),
            kept: private::folder().map(|folder| {
                let bytes = kept_prefixes::kept_bytes(&folder.join(kept_prefixes::FOLDER));
                (folder, bytes)
            }),
            tuning,
            machine,
            settings,
            settings_file,
            models_folder,
        })
    }

    fn to_json(&self) -> Value {
        let role = |role: &RoleModel| {
            json!({
                "role": role.name(),
                "model": role.model,
                "layout": role.layout,
                "path": role.found.as_ref().ok(),
                "problem": role.problem(),
                "server": role.server.as_ref().map(|(server, found)| server_json(server, found)),
            })
        };
        let fit = |fit: &Fit| {
            json!({
                "alias": fit.known.alias.name(),
                "role": fit.known.alias.role(),
                "licence": fit.known.alias.licence(),
                "tokens_per_second": tokens_per_second(self.tuning.as_ref(), fit.known.bytes),
                "quantisation": fit.known.quantisation,
                "file": fit.known.file,
                "bytes": fit.known.bytes,
                "needed_bytes": fit.needed_bytes,
                "fits": fit.fits,
                "fits_beside": fit.fits_beside,
                "quality": quality(fit.known.quantisation),
            })
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "memory": {
                "total_bytes": self.machine.total_memory,
                "available_bytes": self.machine.available_memory,
                "budget_bytes": self.settings.memory_budget(&self.machine),
            },
            "cores": self.machine.cores,
            "hardware_threads": self.machine.hardware_threads,
            "threads": self.settings.thread_count(&self.machine),
            "instruction_sets": self.machine.instruction_sets,
            "gpu": gpu_backend(),
            "tuning": self.tuning,
            "models_folder": self.models_folder,
            "free_bytes": self.free_space,
            "kept_folder": self.kept.as_ref().map(|(folder, _)| folder),
            "kept_bytes": self.kept.as_ref().map(|(_, bytes)| bytes),
            "settings_file": self.settings_file,
            "problems": self.problems,
            "models": self.roles.iter().map(role).collect::<Vec<_>>(),
            "installed": self.installed,
            "fits": self.fits.iter().map(fit).collect::<Vec<_>>(),
            "both_fit": self.both_fit(),
            "quality_source": QUALITY_SOURCE,
            "recommendation": self.recommendation.as_ref().map(Recommendation::to_json),
            "engine": self.engines.to_json(),
        })
    }

    fn print(&self) {
        println!("phi-ls {}", env!("CARGO_PKG_VERSION"));
        println!("\nmachine");
        let budget = self.settings.memory_budget(&self.machine);
        println!(
            "  memory            {}, {} available, models may use {}",
            size(self.machine.total_memory),
            size(self.machine.available_memory),
            size(budget)
        );
        println!(
            "  cores             {} ({} threads), computing with {}",
            self.machine.cores,
            self.machine.hardware_threads,
            self.settings.thread_count(&self.machine)
        );
        println!("  instruction sets  {}", self.machine.instruction_sets.join(" "));
        println!("  kernels           {}", self.kernels());
        println!("  GPU               {}", gpu_backend().unwrap_or("not used (this build computes on the processor)"));
        println!("\nfolders");
        println!("  models            {}, {} free", self.models_folder.display(), size(self.free_space));
        if let Some((folder, bytes)) = &self.kept {
            let bytes = HumanBytes(*bytes);
            println!(
                "  kept              {}, {bytes} of what models have read (completion.keptPrefixesMiB)",
                folder.display()
            );
        }
        if let Some(file) = &self.settings_file {
            let state = if file.exists() { "" } else { " (none: defaults)" };
            println!("  settings          {}{state}", file.display());
        }
        self.print_models();
        self.engines.print();
        self.print_advice();
    }

    /// The kernels that are used here, and what was measured with them.
    fn kernels(&self) -> String {
        let level = Level::in_use();
        let Some(StoredTuning { read_bandwidth, was_busy, tuning, .. }) = &self.tuning else {
            return format!("{level}; this processor is measured when a model is first loaded");
        };
        let bandwidth = read_bandwidth * 1e-9;
        let when = if *was_busy { "measured while other programs were busy, will be repeated" } else { "measured" };
        format!(
            "{level}; memory is read at {bandwidth:.1} GB/s, with {} bytes fetched ahead and threads that wait {} us \
             for work ({when}; --retune repeats this)",
            tuning.fetch_ahead, tuning.spin_micros
        )
    }

    fn expected_speed(&self, bytes: u64) -> String {
        tokens_per_second(self.tuning.as_ref(), bytes)
            .map_or_else(String::new, |speed| format!(" (about {speed:.0} tokens/s)"))
    }

    fn print_models(&self) {
        println!("\nmodels");
        for role in &self.roles {
            if let Some((server, found)) = &role.server {
                match found {
                    Ok(found) => {
                        println!(
                            "  {:17} {} at {server} ({}): {}",
                            role.name(),
                            found.name(),
                            found.software,
                            found.way
                        );
                        if let Some(middle) = found.middle {
                            println!("  {:17} {middle}", "");
                        }
                    }
                    Err(reason) => println!("  {:17} {reason}", role.name()),
                }
            }
            match &role.found {
                _ if !role.may_be_loaded() => {}
                Ok(path) => println!("  {:17} {}: {}{}", role.name(), role.model, path.display(), role.asked()),
                Err(reason) => println!("  {:17} {reason}", role.name()),
            }
        }
        for path in &self.installed {
            let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            println!("  installed         {}{}", path.display(), self.expected_speed(bytes));
        }
        self.print_fits();
    }

    fn print_fits(&self) {
        println!("\nwhat fits");
        self.fits.iter().for_each(|fit| self.print_fit(fit));
        println!("  ({QUALITY_SOURCE})");
        let pair = [&self.settings.completion.model, &self.settings.assistant.model];
        match self.both_fit() {
            Some(true) => println!("  {} and {} fit together", pair[0], pair[1]),
            Some(false) => println!(
                "  {} and {} do not fit together; the setting `assistant.whenItDoesNotFit`, which is {}, says what \
                 happens",
                pair[0],
                pair[1],
                serde_json::to_string(&self.settings.assistant.when_it_does_not_fit).unwrap_or_default()
            ),
            None => {}
        }
        if let Some(recommendation) = &self.recommendation {
            println!("  recommended: {}", recommendation.sentence);
        }
    }

    fn print_fit(&self, fit: &Fit) {
        let verdict = match (fit.fits, fit.fits_beside) {
            (Some(true), Some(true)) => format!("fits{}", beside(fit, &self.settings)),
            (Some(true), _) => "fits alone".to_owned(),
            (Some(false), _) => "too large".to_owned(),
            (None, _) => "memory unknown".to_owned(),
        };
        println!(
            "  {:20} {:10} {:7} needs {:>10}: {verdict}{}{}, {}",
            fit.known.alias.name(),
            fit.known.alias.role(),
            fit.known.quantisation,
            HumanBytes(fit.needed_bytes).to_string(),
            self.expected_speed(fit.known.bytes),
            quality(fit.known.quantisation).map_or_else(String::new, |quality| format!(", {quality}")),
            fit.known.alias.licence()
        );
    }

    fn print_advice(&self) {
        let is_missing =
            |role: &RoleModel| role.role == Role::Completion && role.server.is_none() && role.found.is_err();
        let completion_model_is_missing = self.roles.iter().any(is_missing);
        if completion_model_is_missing {
            println!("\nto start, run `phi-ls {}`", self.first_pull());
        }
        if !self.problems.is_empty() {
            println!("\nproblems");
            self.problems.iter().for_each(|problem| println!("  {problem}"));
        }
    }

    /// The arguments of `pull` for the recommended models, or for the defaults if the memory is not known.
    fn first_pull(&self) -> String {
        self.recommendation.as_ref().map_or_else(|| "pull".to_owned(), |advice| format!("pull {}", advice.references()))
    }

    /// Whether the models of both roles can be loaded at the same time.
    fn both_fit(&self) -> Option<bool> {
        let needs = self.roles.iter().map(|role| role.needs(&self.settings)).collect::<Option<Vec<_>>>()?;
        MemoryBudget::new(&self.settings, &self.machine).fits(&needs)
    }
}

fn find(role: Role, model: &str, folder: &Path, layout: CompletionLayout) -> RoleModel {
    let found = model.parse().and_then(|reference: ModelRef| hub::resolve(&reference, folder));
    let report = found.as_ref().ok().filter(|_| role == Role::Completion).and_then(|path| model::describe(path).ok());
    RoleModel {
        role,
        model: model.to_owned(),
        found: found.map_err(|error| error.to_string()),
        layout: report.and_then(|report| asked(&report, layout)),
        server: None,
    }
}

/// How the model is asked for completions with this setting.
fn asked(report: &ModelReport, layout: CompletionLayout) -> Option<String> {
    match (layout, report.fim()) {
        (CompletionLayout::Auto | CompletionLayout::Fim, Some(fim)) => Some(format!("to fill in the middle, {fim}")),
        (CompletionLayout::Fim, None) => Some("to fill in the middle, for which it has no tokens".to_owned()),
        _ => Some(format!("by a chat turn, {}", report.chat()?)),
    }
}

/// The model server of `role`, if it has one, and what it can do.
fn ask(settings: &Settings, role: Role) -> Option<(RemoteServer, Result<Abilities, String>)> {
    let server = settings.backend(role).server()?;
    Some((server.clone(), remote::look_into(server, Patience::default())))
}

fn server_json(server: &RemoteServer, found: &Result<Abilities, String>) -> Value {
    let found = found.as_ref().ok();
    json!({
        "url": server.to_string(),
        "model": found.map(|found| &found.model),
        "software": found.map(|found| found.software.to_string()),
        "way": found.map(|found| found.way.to_string()),
        "middle": found.and_then(|found| found.middle).map(|middle| middle.to_string()),
    })
}

/// The GPU backend of this build.
fn gpu_backend() -> Option<&'static str> {
    match (cfg!(feature = "cuda"), cfg!(feature = "metal")) {
        (true, _) => Some("CUDA, the first one"),
        (false, true) => Some("Metal, the first one"),
        (false, false) => None,
    }
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| HumanBytes(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Alias;

    fn findings(mib: u64) -> Findings {
        let machine = Machine { total_memory: Some(mib << 20), ..Machine::default() };
        let settings = Settings::default();
        let budget = MemoryBudget::new(&settings, &machine);
        let needs_of = |role| needs(role, &settings, None);
        Findings {
            tuning: None,
            fits: fits(&settings, budget, needs_of),
            recommendation: Recommendation::new(&settings, budget, None, needs_of),
            engines: Engines::default(),
            installed: Vec::new(),
            machine,
            settings,
            settings_file: None,
            models_folder: PathBuf::new(),
            kept: None,
            free_space: None,
            roles: [(Role::Completion, Alias::Phi35Mini), (Role::Assistant, Alias::Phi4Mini)]
                .map(|(role, alias)| RoleModel {
                    role,
                    model: alias.to_string(),
                    found: Err("it is not installed".to_owned()),
                    layout: None,
                    server: None,
                })
                .into(),
            problems: Vec::new(),
        }
    }

    fn check(mib: u64, first_pull: &str, both_fit: bool) {
        let findings = findings(mib);
        assert_eq!((findings.first_pull().as_str(), findings.both_fit()), (first_pull, Some(both_fit)), "{mib} MiB");
    }

    #[test]
    fn the_advice_depends_on_the_memory() {
        check(2 * 1024, "pull starter", false);
        check(4 * 1024 + 700, "pull hf:bartowski/Phi-3.5-mini-instruct-GGUF/Phi-3.5-mini-instruct-Q3_K_M.gguf", false);
        check(6 * 1024, "pull phi-3.5-mini", false);
        check(8 * 1024, "pull phi-3.5-mini phi-4-mini", true);
    }
}
