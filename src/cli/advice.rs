//! Which quantisation of which model to use on this machine: the advice of `doctor`, `models` and the editors' menus.

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::fits::{Fit, tokens_per_second};
use super::model_of;
use crate::config::{MemoryBudget, Needs, Role, Settings};
use crate::engine::embedded::tuning::StoredTuning;
use crate::hub::{Alias, KNOWN_FILES, KnownFile, ModelRef};

/// The source of [`quality`]. This project has not measured it, since that takes the real weights of the models.
pub(super) const QUALITY_SOURCE: &str =
    "quality as reported by publishers of such files and, for Llama-3.1-8B, by arXiv 2601.14277; not measured here";

/// What is reported about the quality of a quantisation.
pub(super) fn quality(quantisation: &str) -> Option<&'static str> {
    Some(match quantisation {
        "Q8_0" => "no noticeable loss",
        "Q6_K" => "hardly any loss",
        "Q5_K_M" => "very small loss",
        "Q4_K_M" | "Q4_1" => "small loss",
        "Q3_K_M" => "clear loss, most of all in reasoning",
        "Q2_K" => "large loss",
        _ => return None,
    })
}

/// The models that are recommended for this machine.
pub(super) struct Recommendation {
    /// One sentence for a person.
    pub(super) sentence: String,
    /// The files that it names, the one for completions first.
    pub(super) files: Vec<&'static KnownFile>,
}

/// A file that a role may use.
struct Candidate {
    name: String,
    needs: Needs,
    /// `None` for a file that the person has added.
    known: Option<&'static KnownFile>,
}

impl Recommendation {
    /// `None` if the memory is not known, or no model on this machine is used. `needs_of` gives the memory that the
    /// model of a role needs.
    pub(super) fn new(
        settings: &Settings,
        budget: MemoryBudget,
        tuning: Option<&StoredTuning>,
        needs_of: impl Fn(Role) -> Option<Needs>,
    ) -> Option<Self> {
        let allowed = HumanBytes(budget.bytes()?);
        let candidates = |role| candidates(role, settings, needs_of(role));
        let (completion, assistant) = (candidates(Role::Completion), candidates(Role::Assistant));
        let fits = |needs: &[Needs]| budget.fits(needs) == Some(true);
        let pairs = assistant.iter().flat_map(|second| completion.iter().map(move |first| (first, second)));
        if let Some((first, second)) = pairs.into_iter().find(|(first, second)| fits(&[first.needs, second.needs])) {
            let smaller = match first.known.filter(|known| known.is_smaller_than_preferred()) {
                Some(known) => format!("; {} {} would not", known.alias, known.alias.preferred_file().quantisation),
                None => String::new(),
            };
            let (first_text, second_text) = (first.describe(tuning), second.describe(tuning));
            let sentence =
                format!("{first_text} for completions and {second_text} for questions: they fit together{smaller}");
            return Some(Self { sentence, files: first.known.into_iter().chain(second.known).collect() });
        }
        let (only, role) = match (completion.is_empty(), assistant.is_empty()) {
            (true, true) => return None,
            (true, false) => (&assistant, "questions"),
            (false, _) => (&completion, "completions"),
        };
        if let Some(chosen) = only.iter().find(|candidate| fits(&[candidate.needs])) {
            let other = match completion.is_empty() || assistant.is_empty() {
                true => String::new(),
                false => format!(
                    "; {} does not fit beside it, so `assistant.whenItDoesNotFit` says what answers questions",
                    settings.assistant.model
                ),
            };
            let sentence = format!("{} for {role}{other}", chosen.describe(tuning));
            return Some(Self { sentence, files: chosen.known.into_iter().collect() });
        }
        let small = |known: &&&KnownFile| {
            known.alias.main_role() == Role::Completion && fits(&[known.size().needs_as(Role::Completion, settings)])
        };
        let preferred = Alias::ALL.map(Alias::preferred_file);
        let known = *preferred.iter().find(small).unwrap_or(&Alias::Starter.preferred_file());
        let name = describe(known, tuning);
        let sentence = format!("{name}: {} does not fit into the {allowed} that models may use", only[0].name);
        Some(Self { sentence, files: vec![known] })
    }

    /// The files as arguments of `pull`, in one line.
    pub(super) fn references(&self) -> String {
        self.files.iter().map(|known| known.reference()).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn to_json(&self) -> Value {
        let files: Vec<String> = self.files.iter().map(|known| known.reference()).collect();
        json!({ "sentence": self.sentence, "models": files })
    }
}

impl Candidate {
    fn describe(&self, tuning: Option<&StoredTuning>) -> String {
        self.known.map_or_else(|| self.name.clone(), |known| describe(known, tuning))
    }
}

fn describe(known: &KnownFile, tuning: Option<&StoredTuning>) -> String {
    let speed = tokens_per_second(tuning, known.bytes).map(|speed| format!(" (about {speed:.0} tokens/s)"));
    format!("{} {}{}", known.alias, known.quantisation, speed.unwrap_or_default())
}

/// The files for `role`, best first. A file that is larger than the preferred one costs speed and gives little quality.
/// The smallest ones have three bits for completions, which are short and close to the code around them, and four bits
/// for questions, whose answers take reasoning.
fn candidates(role: Role, settings: &Settings, own: Option<Needs>) -> Vec<Candidate> {
    let name = model_of(role, settings).1;
    let Some(own) = own else { return Vec::new() };
    let Ok(ModelRef::Alias(alias)) = name.parse() else {
        return vec![Candidate { name: name.to_owned(), needs: own, known: None }];
    };
    let least_bits = match role {
        Role::Completion => 3,
        Role::Assistant => 4,
    };
    let preferred = alias.preferred_file();
    let of_alias = KNOWN_FILES.iter().filter(|known| known.alias == alias && known.bytes <= preferred.bytes);
    let mut known: Vec<_> = of_alias.filter(|known| known.bits() >= least_bits).collect();
    known.sort_by_key(|known| std::cmp::Reverse(known.bytes));
    let candidate = |known: &'static KnownFile| {
        let needs = known.size().needs_as(role, settings);
        Candidate { name: name.to_owned(), needs, known: Some(known) }
    };
    known.into_iter().map(candidate).collect()
}

/// The model beside which `fit` has to fit, as the end of a sentence; empty if the other role has a server.
pub(super) fn beside(fit: &Fit, settings: &Settings) -> String {
    let other = fit.known.alias.main_role().other();
    match settings.backend(other).may_load_a_model() {
        true => format!(" beside {}", model_of(other, settings).1),
        false => String::new(),
    }
}

/// What a menu says about a file: whether it fits, and beside which model. The file is the first of `fits`; the others
/// are other quantisations of its model.
pub(super) fn advice(fits: &[&Fit], recommended: Option<&Recommendation>, settings: &Settings) -> Option<String> {
    let preferred = fits.first()?;
    let beside = beside(preferred, settings);
    let largest = |fitting: fn(&Fit) -> bool| {
        let fitting = fits.iter().filter(|fit| fitting(fit));
        fitting.max_by_key(|fit| fit.known.bytes).map(|fit| fit.known.quantisation)
    };
    let text = match (preferred.fits?, preferred.fits_beside?) {
        (true, true) => format!("fits{beside}"),
        (true, false) => match largest(|fit| fit.fits_beside == Some(true)) {
            Some(quantisation) => format!("only {quantisation} fits{beside}"),
            None => format!("fits alone, not{beside}"),
        },
        (false, _) => match largest(|fit| fit.fits == Some(true)) {
            Some(quantisation) => format!("only {quantisation} fits"),
            None => "too large for this machine".to_owned(),
        },
    };
    let is_recommended = recommended.is_some_and(|advice| advice.files.contains(&preferred.known));
    Some(if is_recommended { format!("recommended: {text}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fits::{fits, needs};
    use crate::config::Machine;

    fn settings(mib: u64) -> (Settings, MemoryBudget) {
        let settings = Settings { memory_budget_mib: mib, ..Settings::default() };
        let budget = MemoryBudget::new(&settings, &Machine::default());
        (settings, budget)
    }

    fn check(mib: u64, sentence: &str, files: &str) {
        let (settings, budget) = settings(mib);
        let found = Recommendation::new(&settings, budget, None, |role| needs(role, &settings, None)).unwrap();
        assert_eq!((found.sentence.as_str(), found.references().as_str()), (sentence, files), "{mib} MiB");
    }

    #[test]
    fn the_recommendation_is_the_best_that_fits() {
        let both = "phi-3.5-mini Q4_K_M for completions and phi-4-mini Q4_K_M for questions: they fit together";
        check(100_000, both, "phi-3.5-mini phi-4-mini");
        check(6100, both, "phi-3.5-mini phi-4-mini");
        let small = "hf:bartowski/Phi-3.5-mini-instruct-GGUF/Phi-3.5-mini-instruct-Q3_K_M.gguf";
        check(
            5700,
            "phi-3.5-mini Q3_K_M for completions and phi-4-mini Q4_K_M for questions: they fit together; \
             phi-3.5-mini Q4_K_M would not",
            &format!("{small} phi-4-mini"),
        );
        let alone = "; phi-4-mini does not fit beside it, so `assistant.whenItDoesNotFit` says what answers questions";
        check(4000, &format!("phi-3.5-mini Q4_K_M for completions{alone}"), "phi-3.5-mini");
        check(2700, &format!("phi-3.5-mini Q3_K_M for completions{alone}"), small);
        let too_large =
            |mib: u64| format!(": phi-3.5-mini does not fit into the {} that models may use", HumanBytes(mib << 20));
        check(2000, &format!("qwen2.5-coder-1.5b Q8_0{}", too_large(2000)), "qwen2.5-coder-1.5b");
        check(100, &format!("starter Q4_1{}", too_large(100)), "starter");
    }

    #[test]
    fn a_menu_says_what_of_a_model_fits() {
        let check = |mib: u64, alias: Alias, expected: &str| {
            let (settings, budget) = settings(mib);
            let needs = |role| needs(role, &settings, None);
            let rows = fits(&settings, budget, needs);
            let rows: Vec<&Fit> = rows.iter().filter(|fit| fit.known.alias == alias).collect();
            let recommended = Recommendation::new(&settings, budget, None, needs);
            assert_eq!(advice(&rows, recommended.as_ref(), &settings).as_deref(), Some(expected), "{mib} {alias}");
        };
        check(6100, Alias::Phi35Mini, "recommended: fits beside phi-4-mini");
        check(5700, Alias::Phi35Mini, "only Q3_K_M fits beside phi-4-mini");
        check(6100, Alias::Mellum, "fits alone, not beside phi-4-mini");
        check(9000, Alias::Mellum, "fits beside phi-4-mini");
        check(4000, Alias::Phi4Mini, "fits alone, not beside phi-3.5-mini");
        check(2000, Alias::Phi4Mini, "too large for this machine");
        check(5500, Alias::Phi4Mini, "only Q2_K fits beside phi-3.5-mini");
    }

    #[test]
    fn every_quantisation_of_the_phis_has_its_quality() {
        let of_phi = |known: &&KnownFile| [Alias::Phi35Mini, Alias::Phi4Mini].contains(&known.alias);
        for alias in [Alias::Phi35Mini, Alias::Phi4Mini] {
            let mut found: Vec<&str> =
                KNOWN_FILES.iter().filter(|known| known.alias == alias).map(|known| known.quantisation).collect();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, ["Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"], "{alias}");
        }
        assert!(KNOWN_FILES.iter().filter(of_phi).all(|known| quality(known.quantisation).is_some()));
    }
}
