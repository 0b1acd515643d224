//! Who finds no place is told so at once, in the words of HTTP, and keeps nobody waiting: not even when no descriptor is left.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::tls::Tls;
use crate::telemetry::{Metrics, Refusal};

/// What they are told.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 105\r\n\
Retry-After: 5\r\nConnection: close\r\n\r\n\
{\"code\":503,\"message\":\"The server, or this address, has as many connections as it may. Try again later.\"}";
/// So many are told at once so that they surely hear it; others are told, and left.
const AT_ONCE: usize = 32;
/// And for so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of that, so long for what they still say, and to leave.
const LINGER: Duration = Duration::from_millis(200);
/// Read of what they say meanwhile: an unread request would take the answer away from them.
const MOST_READ: usize = 64 * 1024;
/// Who is told with the last descriptor has this long to have said something.
const BLINK: Duration = Duration::from_millis(5);
/// While there is not even that one, others get this long to finish.
const RESPITE: Duration = Duration::from_millis(100);

/// Turns connections away.
pub struct Away {
    told: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Away {
    /// Counts whom it turned away.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { told: Arc::new(Semaphore::new(AT_ONCE)), metrics }
    }

    /// Counts one that could hardly be told.
    pub fn noted(&self) {
        self.metrics.refused(Refusal::Capacity);
    }

    /// Tells whoever is behind `tcp` to come again later.
    pub fn tell(&self, tcp: TcpStream, tls: Option<Arc<Tls>>, tasks: &TaskTracker) {
        self.metrics.refused(Refusal::Capacity);
        let Ok(turn) = self.told.clone().try_acquire_owned() else {
            if tls.is_none() {
                blurt(tcp);
            }
            return;
        };
        tasks.spawn(async move {
            let telling = async {
                match tls {
                    None => say(tcp).await,
                    Some(tls) => say(tls.accept(tcp).await?).await,
                }
            };
            tokio::time::timeout(PATIENCE, telling).await.ok();
            drop(turn);
        });
    }
}

/// Answers whatever was asked, and reads what was asked so that the answer is heard.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut block = [0; 4096];
    let mut read = stream.read(&mut block).await?;
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    let rest = async {
        while read < MOST_READ {
            match stream.read(&mut block).await {
                Ok(0) | Err(_) => break,
                Ok(more) => read += more,
            }
        }
    };
    tokio::time::timeout(LINGER, rest).await.ok();
    Ok(())
}

/// The same, without waiting for anybody: it is heard by who reads soon enough.
fn blurt(tcp: TcpStream) {
    // What the runtime knows of a connection so young is nothing; the kernel knows.
    if let Ok(mut tcp) = tcp.into_std() {
        // An unread request would take the answer away.
        drop(tcp.read(&mut [0; 4096]));
        tcp.write_all(ANSWER).ok();
    }
}

/// A descriptor that is kept for the moment in which no other is left: who connects then is answered with it.
pub struct Spare(Option<File>);

impl Spare {
    /// Sets one aside.
    pub fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Whether `fault` says that no descriptor is left, to this process (`EMFILE`) or to the machine (`ENFILE`).
    pub fn is_needed(fault: &io::Error) -> bool {
        matches!(fault.raw_os_error(), Some(23 | 24))
    }

    /// Answers one who waits at `tcp`, if anybody does.
    pub async fn answer(&mut self, tcp: &TcpListener, is_encrypted: bool) {
        if self.0.take().is_none() {
            tokio::time::sleep(RESPITE).await;
        } else {
            // Whether anybody waits or not, the kernel says so now that it has a descriptor to say it with: no loop spins.
            let accepted = poll_fn(|context| match tcp.poll_accept(context) {
                Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
                Poll::Pending => Poll::Ready(None),
            });
            if let Some((waiting, _)) = accepted.await
                && !is_encrypted
            {
                tokio::time::timeout(BLINK, waiting.readable()).await.ok();
                blurt(waiting);
            }
        }
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_one() {
        let text = std::str::from_utf8(ANSWER).unwrap_or_default();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok_and(|said| said["code"] == 503));
    }
}
