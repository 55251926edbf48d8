//! How the completion model reads: the bytes of code per token in each language, the tokens that it reads per second,
//! and the length of a prompt that it reads in about a second. All are measured on the prompts that it has read, so
//! that budgets suit the model.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::context::Reading;
use crate::engine::Generation;
use crate::model::{Prompt, PromptForm};

/// Shorter prompts are mostly instructions, and the time to read shorter parts says nothing about the speed.
const LEAST_TOKENS: usize = 200;
const LEAST_FRESH_TOKENS: usize = 64;
/// A value outside this range is not a count of bytes per token.
const PLAUSIBLE_BYTES: std::ops::RangeInclusive<f64> = 1.5..=6.0;
/// The weight of a new measurement among the old ones. A lower speed has this weight, because the job may have waited
/// for others; a higher speed counts at once.
const NEW_SHARE: f64 = 0.25;
const SLOWER_SHARE: f64 = 0.1;

/// Tokens of code in a short prompt, however slow the model is, and before its speed is known.
const LEAST_SHORT_TOKENS: usize = 64;

/// The length of a prompt that a model reads in about a second, from the speeds that engines report.
#[derive(Debug, Serialize, Deserialize)]
struct ShortLength {
    tokens: usize,
}

impl Default for ShortLength {
    fn default() -> Self {
        Self { tokens: LEAST_SHORT_TOKENS }
    }
}

impl ShortLength {
    /// Records how fast the model was. The length stays the same while it is about right, because a new one moves the
    /// windows.
    fn learn(&mut self, generation: &Generation) {
        let Some(speed) = generation.reading_speed else { return };
        let wanted = (speed as usize).max(LEAST_SHORT_TOKENS);
        if wanted * 2 >= self.tokens * 3 || wanted * 3 <= self.tokens * 2 {
            self.tokens = wanted;
        }
    }
}

/// All measurements.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Readings {
    short: ShortLength,
    bytes_per_token: HashMap<String, f64>,
    tokens_per_second: Option<f64>,
}

impl Readings {
    /// Takes `generation` into account, the result of `prompt` for a document in the language `language_id`.
    pub(super) fn note(&mut self, language_id: &str, prompt: &Prompt, generation: &Generation) {
        self.note_length(generation);
        let Generation { prompt_tokens, cached_tokens, time_to_first_token, .. } = *generation;
        let form = generation.candidates.first().map(|candidate| candidate.form).unwrap_or_default();
        let ratio = prompt_bytes(prompt, form) as f64 / prompt_tokens.max(1) as f64;
        if prompt_tokens >= LEAST_TOKENS && PLAUSIBLE_BYTES.contains(&ratio) {
            let known = self.bytes_per_token.entry(language_id.to_owned()).or_insert(ratio);
            *known += (ratio - *known) * NEW_SHARE;
        }
        if let Some(speed) = generation.reading_speed {
            self.tokens_per_second = Some(f64::from(speed));
            return;
        }
        // A server does not report its speed, so it is computed from the time to the first token.
        let fresh = prompt_tokens.saturating_sub(cached_tokens);
        if fresh >= LEAST_FRESH_TOKENS && !time_to_first_token.is_zero() {
            let speed = fresh as f64 / time_to_first_token.as_secs_f64();
            let known = self.tokens_per_second.unwrap_or(speed);
            let share = if speed < known { SLOWER_SHARE } else { 1.0 };
            self.tokens_per_second = Some(known + (speed - known) * share);
        }
    }

    /// Takes into account how fast the model read for `generation`, whose prompt is not known.
    pub(super) fn note_length(&mut self, generation: &Generation) {
        self.short.learn(generation);
    }

    /// How many tokens the model reads in about a second.
    pub(super) fn short_tokens(&self) -> usize {
        self.short.tokens
    }

    /// The measurements for a document in the language `language_id`.
    pub(super) fn of(&self, language_id: &str) -> Reading {
        Reading {
            bytes_per_token: self.bytes_per_token.get(language_id).copied(),
            tokens_per_second: self.tokens_per_second,
        }
    }
}

/// Bytes of the prompt's text in `form`.
fn prompt_bytes(prompt: &Prompt, form: PromptForm) -> usize {
    match (form, &prompt.fim) {
        (PromptForm::Fim, Some(parts)) => {
            let files = parts.files.iter().map(|file| file.path.len() + file.text.len()).sum::<usize>();
            files + parts.prefix.len() + parts.typed.len() + parts.suffix.len()
        }
        _ => prompt.turns.iter().map(|turn| turn.text.len()).sum::<usize>() + prompt.prefill.len(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn generation(prompt_tokens: usize, cached_tokens: usize, millis: u64) -> Generation {
        Generation {
            prompt_tokens,
            cached_tokens,
            generated_tokens: 1,
            time_to_first_token: Duration::from_millis(millis),
            total: Duration::from_millis(millis),
            ..Generation::default()
        }
    }

    #[test]
    fn a_models_tokens_and_speed_are_learnt_from_what_it_reads() {
        let prompt = Prompt { prefill: "x".repeat(3600), ..Prompt::default() };
        let mut readings = Readings::default();
        assert_eq!(readings.of("rust"), Reading::default());
        readings.note("rust", &prompt, &generation(1000, 0, 10_000));
        assert_eq!(readings.of("rust").bytes_per_token, Some(3.6));
        assert_eq!(readings.of("python").bytes_per_token, None);
        assert_eq!(readings.of("python").tokens_per_second, Some(100.0));
        // A job that has waited counts little, a faster one fully, a cached one not at all.
        readings.note("rust", &prompt, &generation(1000, 0, 100_000));
        assert_eq!(readings.of("rust").tokens_per_second, Some(91.0));
        readings.note("rust", &prompt, &generation(1000, 0, 5000));
        readings.note("rust", &prompt, &generation(1000, 990, 5000));
        assert_eq!(readings.of("rust").tokens_per_second, Some(200.0));
        // A speed that the engine has measured takes precedence.
        readings.note("rust", &prompt, &Generation { reading_speed: Some(40.0), ..generation(1000, 0, 1) });
        assert_eq!(readings.of("rust").tokens_per_second, Some(40.0));
        // A server that does not count tokens.
        readings.note("go", &prompt, &generation(0, 0, 10));
        assert_eq!(readings.of("go").bytes_per_token, None);
    }

    #[test]
    fn the_length_follows_the_speed_and_not_its_noise() {
        let mut length = ShortLength::default();
        let mut after = |speed: Option<f32>| {
            let generation = Generation { reading_speed: speed, ..Generation::default() };
            length.learn(&generation);
            length.tokens
        };
        assert_eq!(after(None), 64);
        assert_eq!(after(Some(26.0)), 64);
        assert_eq!(after(Some(150.0)), 150);
        assert_eq!(after(Some(180.0)), 150);
        assert_eq!(after(Some(110.0)), 150);
        assert_eq!(after(Some(80.0)), 80);
        assert_eq!(after(Some(1000.0)), 1000);
    }
}
