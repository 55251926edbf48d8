//! What is computed that nobody has asked for: in a part of the time, and while other programs leave a processor.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::Effort;
use crate::config::machine::OtherPrograms;

/// The time of which a part may be spent.
const SPAN: Duration = Duration::from_secs(60);

/// One processor, as far as that can be measured beside others.
const ONE: f64 = 0.75;

/// What was computed for nobody lately.
#[derive(Default)]
pub(super) struct Spending {
    /// When each pass began, and how long it took.
    passes: VecDeque<(Instant, Duration)>,
    others: OtherPrograms,
}

impl Spending {
    /// Whether one more pass may begin at `now` for nobody.
    pub(super) fn allows(&mut self, effort: Effort, now: Instant) -> bool {
        let Some(share) = effort.share() else { return true };
        while self.passes.front().is_some_and(|(at, _)| now.duration_since(*at) > SPAN) {
            self.passes.pop_front();
        }
        let spent: Duration = self.passes.iter().map(|(_, elapsed)| *elapsed).sum();
        spent < SPAN.mul_f64(share) && self.others.spare_processors().is_none_or(|spare| spare >= ONE)
    }

    /// A pass for nobody began at `at` and took `elapsed`.
    pub(super) fn record(&mut self, at: Instant, elapsed: Duration) {
        self.passes.push_back((at, elapsed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_every_minute_may_be_spent() {
        let mut spending = Spending::default();
        // Nobody tells what other programs do at the first look, and it is not looked again for a while.
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut passes = 0;
        while spending.allows(Effort::Balanced, began + second * passes) {
            spending.record(began + second * passes, second);
            passes += 1;
        }
        assert_eq!(passes, 15);
        assert!(!spending.allows(Effort::Balanced, began + second * 60));
        assert!(spending.allows(Effort::Balanced, began + second * 61), "the first pass is a minute ago");
        assert!(spending.allows(Effort::Eager, began + second * 15) && !Spending::default().allows(Effort::Eco, began));
    }
}
