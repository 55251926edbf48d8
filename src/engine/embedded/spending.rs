//! Limits the work that nobody has asked for: to a part of the time, and to times when other programs leave a processor
//! free.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::Effort;
use crate::config::machine::OtherPrograms;

/// The time of which a part may be used.
const SPAN: Duration = Duration::from_secs(60);

/// A little less than one processor, because measurements are not exact.
const ONE: f64 = 0.75;

/// The recent work that nobody had asked for.
#[derive(Default)]
pub(super) struct Spending {
    /// When each pass began, and how long it took.
    passes: VecDeque<(Instant, Duration)>,
    others: OtherPrograms,
}

impl Spending {
    /// Whether one more such pass may begin at `now`.
    pub(super) fn allows(&mut self, effort: Effort, now: Instant) -> bool {
        let Some(share) = effort.share() else { return true };
        while self.passes.front().is_some_and(|(at, _)| now.duration_since(*at) > SPAN) {
            self.passes.pop_front();
        }
        let spent: Duration = self.passes.iter().map(|(_, elapsed)| *elapsed).sum();
        spent < SPAN.mul_f64(share) && self.others.spare_processors().is_none_or(|spare| spare >= ONE)
    }

    /// Records that such a pass began at `at` and took `elapsed`.
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
        // The first look at other programs tells nothing, and there is no second look for a while.
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
