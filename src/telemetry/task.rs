//! Tasks and threads that the whole process stands on.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` as a task of its own. If it panics the process ends: it is built to lose nothing by that, and
/// would do harm as one that looks alive.
pub fn vital(name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(work);
    tokio::spawn(async move {
        if task.await.is_err_and(|fault| fault.is_panic()) {
            end(name);
        }
    });
}

/// Runs `work` on this thread, in the same way.
pub fn vital_thread(name: &'static str, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        end(name);
    }
}

fn end(name: &str) -> ! {
    tracing::error!(task = name, "a task that everything stands on panicked; the process ends");
    std::process::abort();
}
