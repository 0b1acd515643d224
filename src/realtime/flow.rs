//! How far one connection was served, where what it missed comes first and live notifications wait behind it.
//!
//! Everything that changes it holds the lock of the person's room, so that nothing live passes meanwhile.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::domain::Position;

/// Whether a live notification is this connection's now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is.
    Now,
    /// It comes with what was missed.
    Waits,
    /// It came with what was missed.
    Came,
}

/// The state of one connection; of one that is never behind, nothing happens here.
#[derive(Default)]
pub struct Flow {
    /// Live notifications wait.
    behind: AtomicBool,
    /// The first and the last position that waits.
    withheld_from: AtomicI64,
    withheld: AtomicI64,
    /// Everything up to here was handed out.
    handed: AtomicI64,
}

impl Flow {
    /// Somebody (else) is served from now on.
    pub fn begin(&self, behind: bool) {
        self.withheld_from.store(0, Ordering::Release);
        self.withheld.store(0, Ordering::Release);
        self.handed.store(0, Ordering::Release);
        self.behind.store(behind, Ordering::Release);
    }

    /// Whether live notifications wait.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// The first position that waits, if any does.
    pub fn withheld_from(&self) -> Option<Position> {
        Some(self.withheld_from.load(Ordering::Acquire)).filter(|position| *position > 0)
    }

    /// The last position that waits, or waited.
    pub fn withheld(&self) -> Position {
        self.withheld.load(Ordering::Acquire)
    }

    /// What is to become of the live notification at `position`; it counts as noted.
    pub fn turn(&self, position: Position) -> Turn {
        if self.is_behind() {
            if self.withheld_from().is_none() {
                self.withheld_from.store(position, Ordering::Release);
            }
            self.withheld.fetch_max(position, Ordering::AcqRel);
            Turn::Waits
        } else if position <= self.handed.load(Ordering::Acquire) {
            Turn::Came
        } else {
            Turn::Now
        }
    }

    /// From now on live notifications wait.
    pub fn fall_behind(&self) {
        if !self.behind.swap(true, Ordering::AcqRel) {
            self.withheld_from.store(0, Ordering::Release);
        }
    }

    /// Everything up to `position` was handed out. `true` if nothing that waits lies behind it: then it waits
    /// no longer.
    pub fn catch_up(&self, position: Position) -> bool {
        if self.withheld() > position {
            return false;
        }
        self.handed.fetch_max(position, Ordering::AcqRel);
        self.behind.store(false, Ordering::Release);
        true
    }

    /// Whatever waits comes some other way.
    pub fn let_go(&self) {
        self.behind.store(false, Ordering::Release);
    }

    /// The inbox ends at `position`; what comes behind it is new.
    pub fn rewind(&self, position: Position) {
        self.withheld_from.fetch_min(position, Ordering::AcqRel);
        self.withheld.fetch_min(position, Ordering::AcqRel);
        self.handed.fetch_min(position, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_ones_wait_until_all_that_was_missed_has_come() {
        let flow = Flow::default();
        assert_eq!(flow.turn(3), Turn::Now, "nothing was missed");
        flow.begin(true);
        assert_eq!((flow.turn(4), flow.turn(5)), (Turn::Waits, Turn::Waits));
        assert_eq!((flow.withheld_from(), flow.withheld()), (Some(4), 5));
        assert!(!flow.catch_up(4), "5 still waits");
        assert_eq!(flow.turn(6), Turn::Waits);
        assert!(flow.catch_up(7));
        assert_eq!(flow.turn(7), Turn::Came, "it was read before it came live");
        assert_eq!(flow.turn(8), Turn::Now);
        flow.fall_behind();
        assert_eq!(flow.withheld_from(), None, "nothing waits yet");
        assert_eq!(flow.turn(9), Turn::Waits);
        assert_eq!(flow.withheld_from(), Some(9));
        assert!(flow.catch_up(9));
        flow.rewind(5);
        assert_eq!(flow.turn(6), Turn::Now, "the database lost what came behind 5");
    }
}
