//! What all clients of an engine process agree on.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::{KvCacheType, Machine, Settings};
use crate::hub::{self, ModelRef};
use crate::kernels::level::Level;

/// How an engine process is set up. Clients share a process only if all of this is the same. Everything else (stop
/// rules, tokens, idle times) may differ between clients and jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    pub version: String,
    /// Distinguishes builds of one version, whose messages may differ.
    pub build: String,
    pub kernels: String,
    pub threads: usize,
    pub memory_budget_mib: u64,
    pub kv_cache_type: KvCacheType,
    /// The folder in which the names of models are looked up.
    pub models_folder: PathBuf,
    pub completion_model: String,
    pub assistant_model: String,
}

impl Setup {
    /// The setup that `settings` ask for, of a process started from `program`.
    pub fn new(settings: &Settings, program: &Path) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: build(program),
            kernels: Level::in_use().to_string(),
            threads: settings.thread_count(&Machine::read()),
            memory_budget_mib: settings.memory_budget_mib,
            kv_cache_type: settings.kv_cache_type,
            models_folder: hub::models_folder().and_then(|folder| std::path::absolute(folder).ok()).unwrap_or_default(),
            completion_model: model_name(&settings.completion.model),
            assistant_model: model_name(&settings.assistant.model),
        }
    }

    /// Checks that `program` is still of this version and build.
    ///
    /// # Errors
    /// A message for the person, if it has been replaced.
    pub fn check_program(&self, program: &Path) -> Result<(), String> {
        let (version, build) = (env!("CARGO_PKG_VERSION"), build(program));
        if self.version == version && self.build == build {
            return Ok(());
        }
        let expected = format!("{} (build {})", self.version, self.build);
        Err(format!("expected phi-ls {expected}, found {version} (build {build}); restart the editor"))
    }

    /// A short name for this setup.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(json).iter().take(8).fold(String::new(), |mut digest, byte| {
            // Writing to a string cannot fail.
            let _ = write!(digest, "{byte:02x}");
            digest
        })
    }
}

/// Copies of one release are the same, whichever editor installed them, and have the same length. Development builds of
/// one version often have the same length, too, but not the same time.
fn build(program: &Path) -> String {
    let Ok(metadata) = std::fs::metadata(program) else { return "unknown".to_owned() };
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    match changed.filter(|_| cfg!(debug_assertions)) {
        Some(changed) => format!("{} {}", metadata.len(), changed.as_nanos()),
        None => metadata.len().to_string(),
    }
}

/// `name` in a form that means the same in every folder. A short name stays as it is, since its file may be installed
/// later.
fn model_name(name: &str) -> String {
    name.parse::<ModelRef>().map_or_else(|_| name.to_owned(), |reference| reference.from_anywhere().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_match_is_in_the_digest_and_what_may_differ_is_not() {
        let program = std::env::current_exe().unwrap();
        let digest = |settings: &Settings| Setup::new(settings, &program).digest();
        let default = digest(&Settings::default());
        let check = |shared: bool, change: &dyn Fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            assert_eq!(digest(&settings) == default, shared, "{settings:?}");
        };
        check(true, &|settings| settings.completion.max_tokens = 10);
        check(true, &|settings| settings.completion.idle_unload = Some(std::time::Duration::from_secs(60)));
        check(true, &|settings| settings.engine.linger_minutes = 1);
        check(true, &|settings| settings.completion.model = "PHI-3.5-mini".to_owned());
        check(false, &|settings| settings.completion.model = "starter".to_owned());
        check(false, &|settings| settings.assistant.model = "starter".to_owned());
        check(false, &|settings| settings.threads = 77);
        check(false, &|settings| settings.memory_budget_mib = 1000);
        check(false, &|settings| settings.kv_cache_type = KvCacheType::Q8_0);
    }

    #[test]
    fn a_number_of_threads_that_the_machine_has_anyway_is_no_difference() {
        let threads = Settings::default().thread_count(&Machine::read());
        let program = std::env::current_exe().unwrap();
        let named = Settings { threads, ..Settings::default() };
        assert_eq!(Setup::new(&named, &program), Setup::new(&Settings::default(), &program));
    }

    #[test]
    fn a_path_means_the_same_file_from_every_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.gguf");
        std::fs::write(&file, "").unwrap();
        let roundabout = folder.path().join(".").join("m.gguf");
        assert_eq!(model_name(roundabout.to_str().unwrap()), model_name(file.to_str().unwrap()));
        assert!(Path::new(&model_name("m/x.gguf")).is_absolute());
        let home = directories::BaseDirs::new().expect("a home folder").home_dir().join("nowhere/x.gguf");
        assert_eq!(model_name("~/nowhere/x.gguf"), home.to_str().unwrap());
        // It may be in the models folder one day.
        assert_eq!(model_name("nowhere.gguf"), "nowhere.gguf");
    }
}
