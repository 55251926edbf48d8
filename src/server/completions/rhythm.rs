//! Decides whether to ask the model at once: not while a person types faster than it answers, and not at every key if
//! the person has used nothing for a while. A completion that is known or being written is shown at once in any case.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many gaps between keys are remembered, and how many are needed.
const REMEMBERED: usize = 20;
const LEAST: usize = 5;

/// A longer gap is a pause.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// The longest wait, as a part of the time that the model takes anyway.
const SHARE: u32 = 4;

/// A pause is as long as this many gaps, within these bounds.
const GAPS_OF_PAUSE: u32 = 3;
const PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_millis(300)..=Duration::from_millis(1000);

/// Weight of the newest answer among those before it.
const NEWEST: f64 = 0.25;

/// How a person types, and how fast the model begins to answer.
#[derive(Default)]
pub(super) struct Rhythm {
    typed_at: Option<Instant>,
    gaps: VecDeque<Duration>,
    /// The time from a request to the first token.
    answers_after: Option<Duration>,
}

impl Rhythm {
    /// Notes that the person has typed at `now`.
    pub(super) fn typed(&mut self, now: Instant) {
        let gap = self.typed_at.replace(now).map(|before| now.duration_since(before));
        if let Some(gap) = gap.filter(|gap| *gap <= LONGEST_GAP) {
            self.gaps.push_back(gap);
            if self.gaps.len() > REMEMBERED {
                self.gaps.pop_front();
            }
        }
    }

    /// Notes how long after a request the model began to answer.
    pub(super) fn answered(&mut self, after: Duration) {
        let known = self.answers_after.unwrap_or(after);
        self.answers_after = Some(known.mul_f64(1.0 - NEWEST) + after.mul_f64(NEWEST));
    }

    /// How long to wait for another key before the model is asked for a completion that was not requested explicitly.
    /// `used` says whether the person has used a completion lately.
    pub(super) fn delay(&self, used: bool, now: Instant) -> Duration {
        let gap = self.usual_gap();
        if !used {
            return gap.map_or(*PAUSE.end(), |gap| (gap * GAPS_OF_PAUSE).clamp(*PAUSE.start(), *PAUSE.end()));
        }
        let is_typing = |gap: &Duration| self.typed_at.is_some_and(|at| now.duration_since(at) <= *gap);
        match (gap.filter(is_typing), self.answers_after) {
            (Some(gap), Some(after)) if after > gap => gap.min(after / SHARE),
            // Either the answer arrives before the next key, or no other key is expected.
            _ => Duration::ZERO,
        }
    }

    fn usual_gap(&self) -> Option<Duration> {
        let mut gaps: Vec<_> = self.gaps.iter().copied().collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().filter(|_| gaps.len() >= LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The rhythm of somebody who types with these gaps, and the time of the last key.
    fn typing(gaps: &[u32]) -> (Rhythm, Instant) {
        let (mut rhythm, mut now) = (Rhythm::default(), Instant::now());
        rhythm.typed(now);
        for gap in gaps {
            now += MS * *gap;
            rhythm.typed(now);
        }
        (rhythm, now)
    }

    #[test]
    fn only_a_model_that_is_slower_than_the_keys_is_not_asked_at_every_key() {
        let (mut rhythm, now) = typing(&[100, 200, 200, 5000, 200, 300]);
        assert_eq!(rhythm.delay(true, now), Duration::ZERO, "nobody knows how fast the model is");
        rhythm.answered(MS * 2000);
        assert_eq!(rhythm.delay(true, now), MS * 200);
        assert_eq!(rhythm.delay(true, now + MS * 250), Duration::ZERO, "the person has paused already");
        let (mut fast, now) = typing(&[100, 200, 200, 200, 300]);
        fast.answered(MS * 400);
        assert_eq!(fast.delay(true, now), MS * 100);
        for _ in 0..10 {
            fast.answered(MS * 50);
        }
        assert_eq!(fast.delay(true, now), Duration::ZERO, "the answer is there before the next key");
        let (mut new, now) = typing(&[100, 100]);
        new.answered(MS * 2000);
        assert_eq!(new.delay(true, now), Duration::ZERO, "too little is known of the person");
    }

    #[test]
    fn who_uses_nothing_is_asked_after_a_pause() {
        assert_eq!(Rhythm::default().delay(false, Instant::now()), MS * 1000);
        let (rhythm, now) = typing(&[200; 8]);
        assert_eq!(rhythm.delay(false, now), MS * 600);
        let (rhythm, now) = typing(&[50; 8]);
        assert_eq!(rhythm.delay(false, now), MS * 300);
    }
}
