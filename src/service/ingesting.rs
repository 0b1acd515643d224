//! Whether what other programs leave in Redis can be taken: known here, told at a glance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::telemetry::Metrics;

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

/// Where that is written down.
#[derive(Clone)]
pub struct IngestLine {
    state: Arc<AtomicU8>,
    metrics: Arc<Metrics>,
}

impl IngestLine {
    /// There is no such door yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Arc::default(), metrics }
    }

    /// It is so now.
    pub fn set(&self, now: Ingesting) {
        self.state.store(now as u8, Ordering::Release);
        match now {
            Ingesting::Goes => self.metrics.redis_up.set(1),
            Ingesting::Begins | Ingesting::Away => self.metrics.redis_up.set(0),
            Ingesting::Off => {}
        }
    }

    /// How it is.
    pub fn get(&self) -> Ingesting {
        match self.state.load(Ordering::Acquire) {
            1 => Ingesting::Begins,
            2 => Ingesting::Goes,
            3 => Ingesting::Away,
            _ => Ingesting::Off,
        }
    }
}
