//! Waiting for what must happen, generously: no promise here is about speed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a promise may take on a busy machine before it counts as broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again until there is an answer; panics with `hope` when there is none in time.
pub fn eventually<T>(hope: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain: {hope}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Sets this when it goes out of scope, however that happens: others stop also when a promise is broken.
pub struct AtTheEnd<'a>(pub &'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
