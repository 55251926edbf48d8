//! How many workers take part in a region while other programs use the processors too.
//!
//! The system may suspend a worker in the middle of a task. The region then waits for milliseconds until it runs again,
//! and in that time the caller alone would have done more than the worker did. So the time that workers save is
//! compared with the time spent waiting for them. When they have cost more, one worker fewer takes part for a while,
//! which also leaves a processor to the other program.

use std::time::{Duration, Instant};

/// How much saved time is credited against later waits, in seconds: enough that a single suspension has no effect.
const MAX_CREDIT: f64 = 5e-3;
/// How far the balance may fall, in seconds.
const MAX_DEBT: f64 = 0.5e-3;
/// The part of the time that tasks took on a worker by which the region would have taken longer without it. It is less
/// than 1, since threads share the memory's bandwidth.
const SAVED: f64 = 0.75;
/// A wait up to this long (in seconds), plus the time of two tasks, is part of sharing the work and no suspension.
const USUAL_WAIT: f64 = 0.2e-3;
/// How long a worker is left out the first time, and at most, if it costs more again each time it comes back.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

pub(super) struct Crew {
    all: usize,
    active: usize,
    /// Seconds saved less seconds waited for suspended workers.
    balance: f64,
    pause: Duration,
    /// When the workers that are left out are tried again.
    until: Option<Instant>,
    /// Seconds saved since the number of workers last changed.
    saved: f64,
}

/// How long one region took, as its caller measured it.
pub(super) struct RegionTimes {
    pub(super) workers: usize,
    pub(super) tasks: usize,
    /// Tasks that the caller ran, and how long they took.
    pub(super) own_tasks: usize,
    pub(super) worked: Duration,
    /// How long the caller then waited for the workers.
    pub(super) waited: Duration,
}

impl Crew {
    pub(super) fn new(workers: usize) -> Self {
        Self { all: workers, active: workers, balance: MAX_CREDIT, pause: FIRST_PAUSE, until: None, saved: 0.0 }
    }

    /// How many workers to take into a region that begins now.
    pub(super) fn active(&mut self, now: Instant) -> usize {
        if self.until.is_some_and(|until| now >= until) {
            (self.active, self.balance, self.saved, self.until) = (self.all, 0.0, 0.0, None);
        }
        self.active
    }

    /// Learns from a region that ended now.
    pub(super) fn learn(&mut self, now: Instant, region: &RegionTimes) {
        if region.workers == 0 {
            return;
        }
        let task = region.worked.as_secs_f64() / region.own_tasks.max(1) as f64;
        let elsewhere = region.tasks.saturating_sub(region.own_tasks) as f64;
        // Per worker, since one at a time is left out.
        let saved = SAVED * task * elsewhere / region.workers as f64;
        let waited = region.waited.as_secs_f64();
        let lost = if waited > USUAL_WAIT + 2.0 * task { waited } else { 0.0 };
        self.saved += saved;
        self.balance = (self.balance + saved - lost).min(MAX_CREDIT);
        if self.balance < -MAX_DEBT && self.active > 0 {
            let profitable = self.saved > self.pause.as_secs_f64();
            self.pause = if profitable { FIRST_PAUSE } else { (2 * self.pause).min(LONGEST_PAUSE) };
            (self.active, self.balance, self.saved) = (self.active - 1, 0.0, 0.0);
            self.until = Some(now + self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// A region of 1 ms on each of two threads, with a wait at its end.
    fn region(waited: Duration) -> RegionTimes {
        RegionTimes { workers: 1, tasks: 20, own_tasks: 10, worked: MILLISECOND, waited }
    }

    /// Runs one region for each of `waits`, which is waited for if the worker takes part. Returns how many regions it
    /// took part in.
    fn check(crew: &mut Crew, now: &mut Instant, waits: impl Iterator<Item = Duration>) -> usize {
        waits
            .filter(|waited| {
                *now += MILLISECOND;
                let workers = crew.active(*now);
                crew.learn(*now, &RegionTimes { workers, ..region(*waited) });
                *now += if workers == 1 { *waited } else { MILLISECOND };
                workers == 1
            })
            .count()
    }

    #[test]
    fn workers_stay_where_waits_are_short() {
        let (mut crew, mut now) = (Crew::new(1), Instant::now());
        assert_eq!(check(&mut crew, &mut now, std::iter::repeat_n(MILLISECOND / 3, 1000)), 1000);
    }

    #[test]
    fn one_suspension_is_forgiven() {
        let (mut crew, mut now) = (Crew::new(1), Instant::now());
        let waits = (0..1000).map(|index| if index % 500 == 20 { 4 * MILLISECOND } else { Duration::ZERO });
        assert_eq!(check(&mut crew, &mut now, waits), 1000);
    }

    #[test]
    fn a_worker_that_is_suspended_again_and_again_is_left_out_but_tried() {
        let (mut crew, mut now) = (Crew::new(1), Instant::now());
        let waits = (0..1000).map(|index| if index % 3 == 0 { 3 * MILLISECOND } else { Duration::ZERO });
        let took_part = check(&mut crew, &mut now, waits);
        assert!((5..150).contains(&took_part), "{took_part} of 1000");
        // Then the other program ends.
        let took_part = check(&mut crew, &mut now, std::iter::repeat_n(Duration::ZERO, 1000));
        assert!(took_part > 900, "{took_part} of 1000");
    }

    #[test]
    fn workers_leave_one_by_one() {
        let (mut crew, mut now) = (Crew::new(7), Instant::now());
        let suspended = RegionTimes { workers: 7, ..region(6 * MILLISECOND) };
        crew.learn(now, &suspended);
        assert_eq!(crew.active(now), 6);
        now += LONGEST_PAUSE;
        assert_eq!(crew.active(now), 7);
    }
}
