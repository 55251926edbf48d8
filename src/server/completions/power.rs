//! How much may be computed without being asked at the moment: what the settings say, and less on battery.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::{Effort, Machine};

/// How often to ask the system whether the machine runs on battery.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What the machine is powered by.
pub(super) struct Power {
    /// The folder in which the system describes the power supplies.
    supplies: PathBuf,
    looked_at: Option<Instant>,
    is_on_battery: bool,
}

impl Power {
    pub(super) fn new(supplies: PathBuf) -> Self {
        Self { supplies, looked_at: None, is_on_battery: false }
    }

    /// The effort at `now`, if the settings say `wished`. The highest effort stays the same on battery.
    pub(super) fn effort(&mut self, wished: Effort, now: Instant) -> Effort {
        if wished != Effort::Balanced {
            return wished;
        }
        if self.looked_at.is_none_or(|at| now.duration_since(at) >= LOOK_AGAIN) {
            self.looked_at = Some(now);
            self.is_on_battery = Machine::is_on_battery(&self.supplies);
        }
        if self.is_on_battery { Effort::Eco } else { wished }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_battery_nothing_is_computed_unasked_unless_all_is_wished() {
        let folder = tempfile::tempdir().unwrap();
        let battery = folder.path().join("BAT0");
        std::fs::create_dir(&battery).unwrap();
        std::fs::write(battery.join("type"), "Battery\n").unwrap();
        let mut power = Power::new(folder.path().to_owned());
        let mut now = Instant::now();
        for (status, expected) in [("Full", Effort::Balanced), ("Discharging", Effort::Eco)] {
            std::fs::write(battery.join("status"), status).unwrap();
            assert_eq!(power.effort(Effort::Balanced, now), expected, "{status}");
            assert_eq!(power.effort(Effort::Eager, now), Effort::Eager);
            assert_eq!(power.effort(Effort::Eco, now), Effort::Eco);
            now += LOOK_AGAIN;
        }
    }
}
