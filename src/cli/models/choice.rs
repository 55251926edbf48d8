//! `phi-ls models --all`: the models that a person can choose from, installed or not, for menus and as text.

use std::path::PathBuf;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::cli::advice::{Recommendation, advice, quality};
use crate::cli::fits::{Fit, fits, needs, tokens_per_second};
use crate::cli::model_of;
use crate::config::{Machine, MemoryBudget, Role};
use crate::engine::embedded::tuning::{self, StoredTuning};
use crate::hub::{Alias, Installed};

/// A model that can be written as `completion.model` or `assistant.model`.
pub(super) struct Choice {
    /// Its name in the settings.
    model: String,
    /// Which role it is made for: `completion`, `assistant` or `any`.
    role: &'static str,
    licence: Option<&'static str>,
    quantisation: Option<&'static str>,
    bytes: u64,
    installed: Option<PathBuf>,
    tokens_per_second: Option<f64>,
    /// Whether it fits into memory; `None` if that is not known.
    fits: Option<bool>,
    /// Whether it fits together with the model of the other role.
    fits_beside: Option<bool>,
    /// Whether it fits, and beside which model, for a person.
    advice: Option<String>,
    /// Its quantisations, for menus.
    quantisations: Vec<Value>,
}

/// The models to choose from, and which of them are recommended.
pub(super) struct Choices {
    pub(super) list: Vec<Choice>,
    pub(super) recommendation: Option<Recommendation>,
}

/// The models with a short name in the order of preference, including the recommended file if that is another
/// quantisation; then the other `installed` files.
pub(super) fn choices(installed: &[Installed]) -> Choices {
    let settings = crate::cli::user_settings();
    let machine = Machine::read();
    let tuning = tuning::file().and_then(|file| StoredTuning::read(&file, settings.thread_count(&machine)));
    let speed = |bytes| tokens_per_second(tuning.as_ref(), bytes);
    let budget = MemoryBudget::new(&settings, &machine);
    let needs_of = |role: Role| {
        let path = crate::cli::installed(model_of(role, &settings).1).and_then(|model| model.resolve()).ok();
        needs(role, &settings, path.as_deref())
    };
    let rows = fits(&settings, budget, needs_of);
    let recommendation = Recommendation::new(&settings, budget, tuning.as_ref(), needs_of);
    let quantisation = |fit: &Fit| {
        json!({
            "quantisation": fit.known.quantisation,
            "model": fit.known.reference(),
            "bytes": fit.known.bytes,
            "tokens_per_second": speed(fit.known.bytes),
            "fits": fit.fits,
            "fits_beside": fit.fits_beside,
            "quality": quality(fit.known.quantisation),
        })
    };
    let choice = |fits: &[&Fit], file: Option<&Installed>| {
        let fit = fits[0];
        let bytes = file.map_or(fit.known.bytes, |file| file.bytes);
        Choice {
            model: fit.known.reference(),
            role: fit.known.alias.role(),
            licence: Some(fit.known.alias.licence()),
            quantisation: file.is_none().then_some(fit.known.quantisation),
            bytes,
            installed: file.map(|file| file.path.clone()),
            tokens_per_second: speed(bytes),
            fits: fit.fits,
            fits_beside: fit.fits_beside,
            advice: advice(fits, recommendation.as_ref(), &settings),
            quantisations: fits.iter().map(|fit| quantisation(fit)).collect(),
        }
    };
    let of_alias = |alias: Alias| {
        let fits: Vec<&Fit> = rows.iter().filter(|fit| fit.known.alias == alias).collect();
        let is_recommended =
            |fit: &&&Fit| recommendation.as_ref().is_some_and(|advice| advice.files.contains(&fit.known));
        let another = fits.iter().skip(1).find(is_recommended).map(|fit| choice(&[fit], None));
        [Some(choice(&fits, installed.iter().find(|file| file.alias == Some(alias)))), another].into_iter().flatten()
    };
    let other = installed.iter().filter(|file| file.alias.is_none()).map(|file| Choice {
        model: file.path.display().to_string(),
        role: "any",
        licence: None,
        quantisation: None,
        bytes: file.bytes,
        installed: Some(file.path.clone()),
        tokens_per_second: speed(file.bytes),
        fits: None,
        fits_beside: None,
        advice: None,
        quantisations: Vec::new(),
    });
    let list = Alias::ALL.into_iter().flat_map(of_alias).chain(other).collect();
    Choices { list, recommendation }
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
            "fits_beside": self.fits_beside,
            "advice": self.advice,
            "quantisations": self.quantisations,
        })
    }

    pub(super) fn print(&self) {
        let state = if self.installed.is_some() { "installed" } else { "not installed" };
        let advice = self.advice.as_ref().map_or_else(String::new, |advice| format!(", {advice}"));
        let speed = self.tokens_per_second.map_or_else(String::new, |speed| format!(", about {speed:.0} tokens/s"));
        let licence = self.licence.map_or_else(String::new, |licence| format!(", {licence}"));
        let size = HumanBytes(self.bytes).to_string();
        println!("{:20} {:10} {size:>10}  {state}{advice}{speed}{licence}", self.model, self.role);
    }
}
