//! A point at which a scripted model stops until the test lets it go on.

use std::sync::{Mutex, mpsc};

/// The model's side of the point.
pub(crate) struct StopPoint {
    begun: Mutex<mpsc::Sender<()>>,
    gate: Mutex<mpsc::Receiver<()>>,
}

/// The test's side of the point. Once `go_on` is dropped, the model does not stop any more.
pub(crate) struct Hold {
    pub(crate) begun: mpsc::Receiver<()>,
    pub(crate) go_on: mpsc::Sender<()>,
}

pub(crate) fn stop_point() -> (StopPoint, Hold) {
    let ((begun_sender, begun), (go_on, gate)) = (mpsc::channel(), mpsc::channel());
    (StopPoint { begun: Mutex::new(begun_sender), gate: Mutex::new(gate) }, Hold { begun, go_on })
}

impl StopPoint {
    /// Reports that the model is here, and waits until it is let on.
    pub(crate) fn stop(&self) {
        // Both fail if the test is over.
        let _ = self.begun.lock().unwrap().send(());
        let _ = self.gate.lock().unwrap().recv();
    }
}
