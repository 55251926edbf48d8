//! Speculation without a second model: when the last few tokens have occurred before, what followed them then is a
//! guess at what follows now (prompt lookup). A guess is verified in the same pass that would otherwise produce one
//! token.

use std::collections::HashMap;
use std::time::Duration;

/// How many tokens have to match for a guess.
const NGRAM: usize = 3;

/// Longest guess.
pub(super) const MAX_DRAFT: usize = 15;

/// How fast the acceptance rate follows the latest guesses.
const ACCEPTANCE_WEIGHT: f32 = 0.2;

/// How fast the measured costs follow the latest passes.
const COST_WEIGHT: f32 = 0.25;

/// Guesses for one sequence.
pub(super) struct Drafter {
    history: Vec<u32>,
    /// Index of the token that last followed each n-gram.
    followed_by: HashMap<[u32; NGRAM], usize>,
    /// The recent share of guessed tokens that were right.
    acceptance: f32,
}

impl Drafter {
    pub(super) fn new(prompt: &[u32]) -> Self {
        let mut drafter = Self { history: Vec::new(), followed_by: HashMap::new(), acceptance: 0.7 };
        prompt.iter().for_each(|&token| drafter.push(token));
        drafter
    }

    /// Adds the next token of the sequence.
    pub(super) fn push(&mut self, token: u32) {
        if let Some(ngram) = self.history.last_chunk::<NGRAM>() {
            self.followed_by.insert(*ngram, self.history.len());
        }
        self.history.push(token);
    }

    /// The guess at the next tokens: as many as are worth their cost, at most `limit`.
    pub(super) fn draft(&self, cost: &BatchCost, limit: usize) -> Vec<u32> {
        let start = self.history.last_chunk::<NGRAM>().and_then(|ngram| self.followed_by.get(ngram));
        let Some(&start) = start else { return Vec::new() };
        let available = (self.history.len() - start).min(limit).min(MAX_DRAFT);
        let len = cost.best_draft(self.acceptance, available);
        self.history[start..start + len].to_vec()
    }

    /// Records how good the last guess was.
    pub(super) fn record(&mut self, drafted: usize, accepted: usize) {
        if drafted > 0 {
            let rate = accepted as f32 / drafted as f32;
            self.acceptance += ACCEPTANCE_WEIGHT * (rate - self.acceptance);
        }
    }
}

/// What a pass over several rows costs compared with a pass over one, as measured on this machine.
pub(super) struct BatchCost {
    /// Seconds by number of rows; 0 where nothing was measured.
    seconds: [f32; MAX_DRAFT + 2],
}

impl Default for BatchCost {
    fn default() -> Self {
        Self { seconds: [0.0; MAX_DRAFT + 2] }
    }
}

impl BatchCost {
    /// Used before anything is measured: each additional row costs a twelfth of the first, because decoding is limited
    /// by memory and not by arithmetic.
    const ASSUMED_SLOPE: f32 = 1.0 / 12.0;

    pub(super) fn record(&mut self, rows: usize, took: Duration) {
        let Some(seconds) = self.seconds.get_mut(rows) else { return };
        let took = took.as_secs_f32();
        *seconds = if *seconds == 0.0 { took } else { *seconds + COST_WEIGHT * (took - *seconds) };
    }

    /// Cost of `rows` rows relative to one row.
    fn relative(&self, rows: usize) -> f32 {
        let one = self.seconds[1];
        if one == 0.0 {
            return 1.0 + Self::ASSUMED_SLOPE * (rows - 1) as f32;
        }
        // The nearest measured number of rows, scaled along a line through one row.
        let measured = (2..self.seconds.len()).filter(|&other| self.seconds[other] > 0.0);
        match measured.min_by_key(|&other| other.abs_diff(rows)) {
            Some(other) if rows > 1 => {
                let slope = (self.seconds[other] / one - 1.0) / (other - 1) as f32;
                1.0 + slope.max(0.0) * (rows - 1) as f32
            }
            _ => 1.0 + Self::ASSUMED_SLOPE * (rows - 1) as f32,
        }
    }

    /// The length of guess, up to `available`, with the most tokens per time if each guessed token is right with
    /// probability `acceptance`.
    fn best_draft(&self, acceptance: f32, available: usize) -> usize {
        let mut expected = 1.0;
        let mut best = (0, 1.0);
        for len in 1..=available {
            expected += acceptance.powi(len as i32);
            let rate = expected / self.relative(len + 1);
            if rate > best.1 {
                best = (len, rate);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(history: &[u32], limit: usize) -> Vec<u32> {
        Drafter::new(history).draft(&BatchCost::default(), limit)
    }

    #[test]
    fn what_followed_the_same_three_tokens_last_time_is_the_guess() {
        assert_eq!(draft(&[1, 2, 3, 4, 5, 6, 1, 2, 3], 3), [4, 5, 6]);
        assert_eq!(draft(&[1, 2, 3, 4, 1, 2, 3, 9, 1, 2, 3], 1), [9]);
        assert!(draft(&[1, 2, 3, 4, 5, 6, 7], 3).is_empty());
        assert!(draft(&[1, 2], 3).is_empty());
    }

    #[test]
    fn guesses_that_fail_get_shorter_and_stop_when_rows_are_dear() {
        let mut drafter = Drafter::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3]);
        let mut cost = BatchCost::default();
        let hopeful = drafter.draft(&cost, 9).len();
        for _ in 0..12 {
            drafter.record(4, 0);
        }
        assert!(drafter.draft(&cost, 9).len() < hopeful);
        cost.record(1, Duration::from_millis(10));
        cost.record(4, Duration::from_millis(40));
        assert!(drafter.draft(&cost, 9).is_empty());
    }
}
