//! The gate between engines that share a machine: background work waits while interactive work is pending anywhere.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A handle to the gate; clones share one gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many engines have interactive work right now.
    interactive: Mutex<usize>,
    opened: Condvar,
}

impl Gate {
    /// Closes the gate for one more engine, which has interactive work.
    pub(super) fn close(&self) {
        *self.0.interactive.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// The opposite of [`Gate::close`].
    pub(super) fn open(&self) {
        let mut interactive = self.0.interactive.lock().unwrap_or_else(PoisonError::into_inner);
        *interactive = interactive.saturating_sub(1);
        if *interactive == 0 {
            self.0.opened.notify_all();
        }
    }

    /// Waits at most `limit` until no engine has interactive work, and returns whether that is so.
    pub(crate) fn wait_open(&self, limit: Duration) -> bool {
        let interactive = self.0.interactive.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.opened.wait_timeout_while(interactive, limit, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_work_waits_until_the_last_interactive_engine_is_done() {
        let gate = Gate::default();
        assert!(gate.wait_open(Duration::ZERO));
        gate.close();
        gate.close();
        gate.open();
        assert!(!gate.wait_open(Duration::ZERO));
        gate.open();
        assert!(gate.wait_open(Duration::ZERO));
    }
}
