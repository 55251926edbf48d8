//! Announces an engine's work: closes the gate while somebody waits for a completion, and reports to the engine's owner
//! when work begins and when none is left.

use super::queue::Queue;
use super::{EngineEvent, Gate};

/// Keeps the gate and the owner up to date about an engine's jobs.
pub(super) struct Announcer {
    /// `None` for an engine whose work does not slow this machine down.
    gate: Option<Gate>,
    /// Whether this engine holds the gate closed.
    holds_gate: bool,
    busy: bool,
}

impl Announcer {
    pub(super) fn new(gate: Option<Gate>) -> Self {
        Self { gate, holds_gate: false, busy: false }
    }

    /// Announces what has changed since the last call.
    pub(super) fn announce<Work>(&mut self, queue: &Queue<Work>, tell: &dyn Fn(EngineEvent)) {
        let interactive = queue.has_interactive();
        match &self.gate {
            Some(gate) if interactive && !self.holds_gate => gate.close(),
            Some(gate) if !interactive && self.holds_gate => gate.open(),
            _ => {}
        }
        self.holds_gate = interactive;
        let busy = !queue.is_empty();
        if busy != self.busy {
            tell(if busy { EngineEvent::Busy } else { EngineEvent::Idle });
        }
        self.busy = busy;
    }
}
