//! Announces an engine's work: closes the gate while somebody waits for a completion, and tells the engine's owner when
//! work begins and when none is left.

use super::queue::Queue;
use super::{EngineEvent, Gate};

/// Keeps gate and owner in step with an engine's jobs.
pub(super) struct Announcer {
    /// `None` for an engine whose work does not slow this machine down.
    gate: Option<Gate>,
    /// The gate is held closed by this engine.
    holds_gate: bool,
    busy: bool,
}

impl Announcer {
    pub(super) fn new(gate: Option<Gate>) -> Self {
        Self { gate, holds_gate: false, busy: false }
    }

    /// Compares what was announced last with the jobs in hand.
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
