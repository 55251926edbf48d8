//! `phi-ls doctor`: the machine, the folders, the settings, the models, and which model fits; or what applies to a file.

mod file;

use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::models::InstalledModel;
use crate::config::{self, KvCacheType, Machine, Settings, Source};
use crate::hub::{self, Alias, HubError, KNOWN_FILES, KnownFile, ModelRef};

/// Beside weights and cache: buffers, tokenizer, documents.
const OTHER_BYTES: u64 = 400 << 20;

/// Show what this machine can run, what is installed and what is wrong
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// A file to say of what applies to it: its workspace, its language, whether it is completed, and by which rule not
    file: Option<PathBuf>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Prints what this program finds on this machine and what to do about what is missing.
///
/// # Errors
/// There is no folder for models, or not the file to look at.
pub(super) fn doctor(args: &DoctorArgs) -> anyhow::Result<()> {
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

struct Findings {
    machine: Machine,
    settings: Settings,
    settings_file: Option<PathBuf>,
    models_folder: PathBuf,
    free_space: Option<u64>,
    installed: Vec<PathBuf>,
    roles: Vec<RoleModel>,
    fits: Vec<Fit>,
    problems: Vec<String>,
}

/// The model of one role, as the settings name it.
struct RoleModel {
    role: &'static str,
    model: String,
    found: Result<PathBuf, String>,
}

/// Whether one published file can run here.
struct Fit {
    known: &'static KnownFile,
    needed_bytes: u64,
    /// `None` where the memory is not known.
    fits: Option<bool>,
}

impl Findings {
    fn collect() -> Result<Self, HubError> {
        let machine = Machine::read();
        let settings_file = config::default_file();
        let (layer, mut problems) = settings_file.as_deref().map(config::read_file).unwrap_or_default();
        let (settings, found) = Settings::from_layers(&[(Source::File, layer)]);
        problems.extend(found);
        let models_folder = hub::models_folder().ok_or(HubError::NoFolder)?;
        let budget = settings.memory_budget(&machine);
        let roles = [("completion", &settings.completion.model), ("assistant", &settings.assistant.model)];
        let installed: Vec<_> = hub::installed(&models_folder).into_iter().map(InstalledModel::look_into).collect();
        let model_problems = installed.iter().flat_map(InstalledModel::problems);
        Ok(Self {
            problems: problems.iter().map(ToString::to_string).chain(model_problems).collect(),
            installed: installed.into_iter().map(|model| model.file.path).collect(),
            roles: roles.map(|(role, model)| find(role, model, &models_folder)).into(),
            fits: fits(&settings, budget),
            free_space: hub::free_space(&models_folder),
            machine,
            settings,
            settings_file,
            models_folder,
        })
    }

    fn to_json(&self) -> Value {
        let role = |role: &RoleModel| {
            json!({
                "role": role.role,
                "model": role.model,
                "path": role.found.as_ref().ok(),
                "problem": role.found.as_ref().err(),
            })
        };
        let fit = |fit: &Fit| {
            json!({
                "alias": fit.known.alias.name(),
                "quantisation": fit.known.quantisation,
                "file": fit.known.file,
                "bytes": fit.known.bytes,
                "needed_bytes": fit.needed_bytes,
                "fits": fit.fits,
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
            "gpu": Value::Null,
            "models_folder": self.models_folder,
            "free_bytes": self.free_space,
            "settings_file": self.settings_file,
            "problems": self.problems,
            "models": self.roles.iter().map(role).collect::<Vec<_>>(),
            "installed": self.installed,
            "fits": self.fits.iter().map(fit).collect::<Vec<_>>(),
            "both_fit": self.both_fit(),
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
        println!("  GPU               not used");
        println!("\nfolders");
        println!("  models            {}, {} free", self.models_folder.display(), size(self.free_space));
        if let Some(file) = &self.settings_file {
            let state = if file.exists() { "" } else { " (none: defaults)" };
            println!("  settings          {}{state}", file.display());
        }
        self.print_models();
        self.print_advice();
    }

    fn print_models(&self) {
        println!("\nmodels");
        for role in &self.roles {
            match &role.found {
                Ok(path) => println!("  {:17} {}: {}", role.role, role.model, path.display()),
                Err(reason) => println!("  {:17} {reason}", role.role),
            }
        }
        for path in &self.installed {
            println!("  installed         {}", path.display());
        }
        println!("\nwhat fits");
        for fit in &self.fits {
            let verdict = match fit.fits {
                Some(true) => "fits",
                Some(false) => "too large",
                None => "memory unknown",
            };
            println!(
                "  {:17} {:7} needs {:>10}: {verdict}",
                fit.known.alias.name(),
                fit.known.quantisation,
                HumanBytes(fit.needed_bytes).to_string()
            );
        }
        match self.both_fit() {
            Some(true) => println!("  both models fit together"),
            Some(false) => println!(
                "  the two models do not fit together: see the setting `assistant.whenItDoesNotFit`, now {}",
                serde_json::to_string(&self.settings.assistant.when_it_does_not_fit).unwrap_or_default()
            ),
            None => {}
        }
    }

    fn print_advice(&self) {
        let resident_is_missing = self.roles.iter().any(|role| role.role == "completion" && role.found.is_err());
        if resident_is_missing {
            println!("\nto begin, run `phi-ls {}`", self.first_pull());
        }
        if !self.problems.is_empty() {
            println!("\nproblems");
            self.problems.iter().for_each(|problem| println!("  {problem}"));
        }
    }

    /// The arguments that bring the best model this machine can hold.
    fn first_pull(&self) -> String {
        let mut phi = self.fits.iter().filter(|fit| fit.known.alias == Alias::Phi35Mini);
        match phi.find(|fit| fit.fits != Some(false)).map(|fit| fit.known) {
            Some(known) if known == Alias::Phi35Mini.preferred_file() => "pull".to_owned(),
            Some(known) => format!("pull hf:{}/{}/{}", known.owner, known.repo, known.file),
            None => "pull starter".to_owned(),
        }
    }

    /// Whether the preferred files of both roles can be loaded at the same time.
    fn both_fit(&self) -> Option<bool> {
        let budget = self.settings.memory_budget(&self.machine)?;
        let needed = |alias: Alias| needed_bytes(alias.preferred_file(), &self.settings);
        Some(needed(Alias::Phi35Mini) + needed(Alias::Phi4Mini) - OTHER_BYTES <= budget)
    }
}

fn find(role: &'static str, model: &str, folder: &Path) -> RoleModel {
    let found = model.parse().and_then(|reference: ModelRef| hub::resolve(&reference, folder));
    RoleModel { role, model: model.to_owned(), found: found.map_err(|error| error.to_string()) }
}

/// One row per model and quantisation, whoever publishes it.
fn fits(settings: &Settings, budget: Option<u64>) -> Vec<Fit> {
    let same = |a: &KnownFile, b: &KnownFile| a.alias == b.alias && a.quantisation == b.quantisation;
    let first = |known: &&KnownFile| KNOWN_FILES.iter().find(|other| same(other, known)) == Some(known);
    let fit = |known: &'static KnownFile| {
        let needed_bytes = needed_bytes(known, settings);
        Fit { known, needed_bytes, fits: budget.map(|budget| needed_bytes <= budget) }
    };
    KNOWN_FILES.iter().filter(first).map(fit).collect()
}

/// Weights, the cache of a full context and the rest.
fn needed_bytes(known: &KnownFile, settings: &Settings) -> u64 {
    let (completion, assistant) = (&settings.completion, &settings.assistant);
    // Keys and values of one position in f16: layers * 2 * key/value heads * head size * 2 bytes.
    let (position_bytes, positions) = match known.alias {
        Alias::Phi35Mini => (32 * 2 * 32 * 96 * 2, completion.context_tokens + completion.max_tokens),
        Alias::Phi4Mini => (32 * 2 * 8 * 128 * 2, assistant.context_tokens + assistant.max_tokens),
        Alias::Starter => (30 * 2 * 3 * 64 * 2, completion.context_tokens + completion.max_tokens),
    };
    let f16_bytes = position_bytes * positions as u64;
    let cache_bytes = match settings.kv_cache_type {
        KvCacheType::F16 => f16_bytes,
        // 34 bytes for 32 values.
        KvCacheType::Q8_0 => f16_bytes * 17 / 32,
    };
    known.bytes + cache_bytes + OTHER_BYTES
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| HumanBytes(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(gib: u64) -> Findings {
        let machine = Machine { total_memory: Some(gib << 30), ..Machine::default() };
        let settings = Settings::default();
        let budget = settings.memory_budget(&machine);
        Findings {
            fits: fits(&settings, budget),
            installed: Vec::new(),
            machine,
            settings,
            settings_file: None,
            models_folder: PathBuf::new(),
            free_space: None,
            roles: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn check(gib: u64, first_pull: &str, both_fit: bool) {
        let findings = findings(gib);
        assert_eq!((findings.first_pull().as_str(), findings.both_fit()), (first_pull, Some(both_fit)), "{gib} GiB");
    }

    #[test]
    fn the_advice_depends_on_the_memory() {
        check(2, "pull starter", false);
        check(5, "pull hf:bartowski/Phi-3.5-mini-instruct-GGUF/Phi-3.5-mini-instruct-Q3_K_M.gguf", false);
        check(8, "pull", false);
        check(16, "pull", true);
    }

    #[test]
    fn a_smaller_cache_format_needs_less() {
        let mut settings = Settings::default();
        let known = Alias::Phi35Mini.preferred_file();
        let f16 = needed_bytes(known, &settings);
        // 384 KiB per position.
        assert_eq!(f16, known.bytes + OTHER_BYTES + (1536 + 96) * 384 * 1024);
        settings.kv_cache_type = KvCacheType::Q8_0;
        assert_eq!(f16 - needed_bytes(known, &settings), (1536 + 96) * 384 * 1024 * 15 / 32);
    }
}
