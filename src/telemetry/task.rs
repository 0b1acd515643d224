//! Tasks that the whole process stands on.

use std::future::Future;

/// Runs `work` as a task of its own. If it panics the process ends: it is built to lose nothing by that, and
/// would do harm as one that looks alive.
pub fn vital(name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(work);
    tokio::spawn(async move {
        if task.await.is_err_and(|fault| fault.is_panic()) {
            tracing::error!(task = name, "a task that everything stands on panicked; the process ends");
            std::process::abort();
        }
    });
}
