//! Where readers run: on threads beside the runtime.
//!
//! A read whose caller has gone is waited for before its connection is anybody else's. (The wrapper's own way of waiting panics
//! on a runtime of one thread.)

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use diesel_async::sync_connection_wrapper::SpawnBlocking;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

/// How often it is looked whether a read that nobody waits for has ended.
const LOOK: Duration = Duration::from_micros(100);

/// The threads beside a runtime.
pub struct Beside(Handle);

impl SpawnBlocking for Beside {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn Error + Send + Sync + 'static>>>
    where
        R: Send + 'static,
    {
        let running = Running { task: self.0.spawn_blocking(task), runtime: self.0.clone() };
        running.map_err(Box::from).boxed()
    }

    fn get_runtime() -> Self {
        Self(Handle::current())
    }
}

/// What runs there.
struct Running<R> {
    task: JoinHandle<R>,
    runtime: Handle,
}

impl<R> Future for Running<R> {
    type Output = Result<R, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.poll_unpin(context)
    }
}

impl<R> Drop for Running<R> {
    fn drop(&mut self) {
        let wait = || {
            while !self.task.is_finished() {
                std::thread::sleep(LOOK);
            }
        };
        match self.runtime.runtime_flavor() {
            _ if self.task.is_finished() => {}
            RuntimeFlavor::MultiThread => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_waits_for_is_brought_to_its_end() {
        for mut builder in
            [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()]
        {
            let runtime = builder.enable_all().build().unwrap();
            runtime.block_on(async {
                let (begin, begun) = std::sync::mpsc::channel();
                let (end, ended) = std::sync::mpsc::channel();
                let task = tokio::spawn(async move {
                    let read = Beside::get_runtime().spawn_blocking(move || {
                        begin.send(()).unwrap();
                        std::thread::sleep(Duration::from_millis(50));
                        end.send(()).unwrap();
                    });
                    drop(tokio::time::timeout(Duration::from_millis(10), read).await);
                    // It has not left before.
                    begun.try_recv().unwrap();
                    ended.try_recv().unwrap();
                });
                task.await.unwrap();
            });
        }
    }
}
