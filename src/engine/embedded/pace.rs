//! How fast a model reads, estimated from its size until it is measured, and what follows from that for prompts with
//! and without somebody who waits.

use std::time::Duration;

/// Prompt tokens in one forward pass, during which the engine does not notice a newer completion. With 64 the weights
/// are read and unpacked half as often as with 32, which gives a tenth more tokens per second (measured); 128 give no
/// more.
pub const PREFILL_CHUNK: usize = 64;

/// How long somebody waits for the first word if nothing of the prompt has been read: this part of the time that the
/// job may take.
const PATIENCE: f64 = 2.0 / 3.0;

/// Tokens that are read however long it takes, because without them the model knows nothing about the code at the
/// cursor.
const LEAST_TOKENS: usize = 64;

/// A pass that nobody waits for takes about this long at most, because a request that arrives meanwhile has to wait
/// until it ends.
const PASS_TIME: Duration = Duration::from_millis(250);

/// With fewer tokens in a pass, reading and unpacking the weights is hardly worth it.
const LEAST_CHUNK: usize = 16;

/// Bytes of weights times tokens that are processed per second on two cores with AVX2; used before anything is
/// measured.
const GUESSED_BYTES: f64 = 60e9;

/// Weight of the newest measurement relative to the earlier ones.
const NEWEST: f64 = 0.25;

/// How fast a model reads.
pub(super) struct Pace {
    tokens_per_second: f64,
    is_measured: bool,
}

impl Pace {
    /// An estimate for a model with this many bytes of weights.
    pub(super) fn guessed(weight_bytes: u64) -> Self {
        Self { tokens_per_second: GUESSED_BYTES / weight_bytes as f64, is_measured: false }
    }

    /// Records that a pass over `tokens` tokens of a prompt took `elapsed`.
    pub(super) fn record(&mut self, tokens: usize, elapsed: Duration) {
        if tokens < LEAST_CHUNK || elapsed.is_zero() {
            return;
        }
        let measured = tokens as f64 / elapsed.as_secs_f64();
        let weight = if self.is_measured { NEWEST } else { 1.0 };
        self.tokens_per_second += weight * (measured - self.tokens_per_second);
        self.is_measured = true;
    }

    /// Tokens per second, once measured.
    pub(super) fn measured(&self) -> Option<f32> {
        self.is_measured.then_some(self.tokens_per_second as f32)
    }

    /// Whether reading this many tokens takes too much of the time that a request has.
    pub(super) fn is_too_much(&self, tokens: usize, time_budget: Option<Duration>) -> bool {
        let patience = time_budget.map_or(f64::INFINITY, |budget| budget.as_secs_f64() * PATIENCE);
        tokens > LEAST_TOKENS && tokens as f64 > self.tokens_per_second * patience
    }

    /// Tokens in one pass over a prompt that nobody waits for.
    pub(super) fn chunk(&self) -> usize {
        ((self.tokens_per_second * PASS_TIME.as_secs_f64()) as usize / 8 * 8).clamp(LEAST_CHUNK, PREFILL_CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHI: u64 = 2_390_000_000;

    #[test]
    fn it_is_guessed_until_it_is_measured() {
        let mut pace = Pace::guessed(PHI);
        assert_eq!((pace.measured(), pace.chunk()), (None, 16));
        let is_too_much = |pace: &Pace, tokens| pace.is_too_much(tokens, Some(Duration::from_millis(1500)));
        assert!(is_too_much(&pace, 65) && !is_too_much(&pace, 64));
        assert!(!pace.is_too_much(65, Some(Duration::from_secs(60))) && !pace.is_too_much(65, None));
        // Too few to tell.
        pace.record(15, Duration::from_millis(1));
        assert_eq!(pace.measured(), None);
        pace.record(64, Duration::from_millis(400));
        assert_eq!((pace.measured(), pace.chunk()), (Some(160.0), 40));
        assert!(is_too_much(&pace, 161) && !is_too_much(&pace, 160));
        pace.record(64, Duration::from_millis(200));
        assert_eq!(pace.measured(), Some(200.0));
    }

    #[test]
    fn nothing_is_too_much_for_a_model_without_weights() {
        let pace = Pace::guessed(0);
        assert!(!pace.is_too_much(1_000_000, Some(Duration::from_millis(1500))));
        assert_eq!(pace.chunk(), PREFILL_CHUNK);
    }
}
