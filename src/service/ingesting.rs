//! Whether what other programs leave in Redis can be taken: known here, told at a glance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How the door is that Redis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ingesting {
    /// There is none.
    Off = 0,
    /// Redis was not asked yet.
    Begins = 1,
    /// Redis answers; this node takes what comes, or another one does.
    Goes = 2,
    /// Redis does not answer, or refuses: what is left there waits, and what is published is lost.
    Away = 3,
}

/// Where that is written down: as long as nobody says otherwise, there is none.
#[derive(Clone, Default)]
pub struct IngestLine(Arc<AtomicU8>);

impl IngestLine {
    /// It is so now.
    pub fn set(&self, now: Ingesting) {
        self.0.store(now as u8, Ordering::Release);
    }

    /// How it is.
    pub fn get(&self) -> Ingesting {
        match self.0.load(Ordering::Acquire) {
            1 => Ingesting::Begins,
            2 => Ingesting::Goes,
            3 => Ingesting::Away,
            _ => Ingesting::Off,
        }
    }
}
