//! `phi-ls models --all`: the models a person can choose from, installed or not, for menus and for reading.

use std::path::PathBuf;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::cli::fits::{fits, tokens_per_second};
use crate::config::{Machine, MemoryBudget};
use crate::engine::embedded::tuning::{self, StoredTuning};
use crate::hub::Installed;

/// A model that can be written as `completion.model` or `assistant.model`.
pub(super) struct Choice {
    /// As it is written there.
    model: String,
    /// Which role it is made for: `completion`, `assistant` or `any`.
    role: &'static str,
    licence: Option<&'static str>,
    quantisation: Option<&'static str>,
    bytes: u64,
    installed: Option<PathBuf>,
    tokens_per_second: Option<f64>,
    /// Whether its memory is there; `None` where that is not known.
    fits: Option<bool>,
}

/// The models with a short name, in the order of preference, then the other files that are `installed`.
pub(super) fn choices(installed: &[Installed]) -> Vec<Choice> {
    let settings = crate::cli::user_settings();
    let machine = Machine::read();
    let tuning = tuning::file().and_then(|file| StoredTuning::read(&file, settings.thread_count(&machine)));
    let speed = |bytes| tokens_per_second(tuning.as_ref(), bytes);
    let known = fits(&settings, MemoryBudget::new(&settings, &machine));
    let preferred = known.iter().filter(|fit| fit.known == fit.known.alias.preferred_file());
    let named = preferred.map(|fit| {
        let alias = fit.known.alias;
        let file = installed.iter().find(|file| file.alias == Some(alias));
        let bytes = file.map_or(fit.known.bytes, |file| file.bytes);
        Choice {
            model: alias.name().to_owned(),
            role: alias.role(),
            licence: Some(alias.licence()),
            quantisation: file.is_none().then_some(fit.known.quantisation),
            bytes,
            installed: file.map(|file| file.path.clone()),
            tokens_per_second: speed(bytes),
            fits: fit.fits,
        }
    });
    let other = installed.iter().filter(|file| file.alias.is_none()).map(|file| Choice {
        model: file.path.display().to_string(),
        role: "any",
        licence: None,
        quantisation: None,
        bytes: file.bytes,
        installed: Some(file.path.clone()),
        tokens_per_second: speed(file.bytes),
        fits: None,
    });
    named.chain(other).collect()
}

impl Choice {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "model": self.model,
            "role": self.role,
            "licence": self.licence,
            "quantisation": self.quantisation,
            "bytes": self.bytes,
            "installed": self.installed,
            "tokens_per_second": self.tokens_per_second,
            "fits": self.fits,
        })
    }

    pub(super) fn print(&self) {
        let state = match (&self.installed, self.fits) {
            (Some(_), _) => "installed",
            (None, Some(false)) => "too large for this machine",
            (None, _) => "not installed",
        };
        let speed = self.tokens_per_second.map_or_else(String::new, |speed| format!(", about {speed:.0} tokens/s"));
        let licence = self.licence.map_or_else(String::new, |licence| format!(", {licence}"));
        let size = HumanBytes(self.bytes).to_string();
        println!("{:20} {:10} {size:>10}  {state}{speed}{licence}", self.model, self.role);
    }
}
