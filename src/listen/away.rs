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

use super::open::Full;
use super::tls::Tls;
use crate::telemetry::{Metrics, Refusal};

/// What they are told when all places are taken.
const ALL_FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 87\r\n\
Retry-After: 5\r\nConnection: close\r\n\r\n\
{\"code\":503,\"message\":\"The server has as many connections as it may. Try again later.\"}";
/// And when those of their address are.
const ADDRESS_FULL: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 104\r\n\
Retry-After: 5\r\nConnection: close\r\n\r\n\
{\"code\":429,\"message\":\"This address has as many connections as it may. Close some, or try again later.\"}";
/// So many are told at once so that they surely hear it; others are told, and left.
const AT_ONCE: usize = 32;
/// Of those whose address is full: they have places of their own, and leave those of others alone.
const OF_FULL_ADDRESSES: usize = 4;
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
    of_full_addresses: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Away {
    /// Counts whom it turned away.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let [told, of_full_addresses] =
            [AT_ONCE, OF_FULL_ADDRESSES].map(|many| Arc::new(Semaphore::new(many)));
        Self { told, of_full_addresses, metrics }
    }

    /// Counts one that could hardly be told.
    pub fn noted(&self) {
        self.metrics.refused(Refusal::Capacity);
    }

    /// Tells whoever is behind `tcp` why there is no place, and to come again later.
    pub fn tell(&self, full: Full, tcp: TcpStream, tls: Option<Arc<Tls>>, tasks: &TaskTracker) {
        let (reason, turns, answer) = match full {
            Full::Everybody => (Refusal::Capacity, &self.told, ALL_FULL),
            Full::Address => (Refusal::Address, &self.of_full_addresses, ADDRESS_FULL),
        };
        self.metrics.refused(reason);
        let Ok(turn) = turns.clone().try_acquire_owned() else {
            if tls.is_none() {
                blurt(tcp, answer);
            }
            return;
        };
        tasks.spawn(async move {
            let telling = async {
                match tls {
                    None => say(tcp, answer).await,
                    Some(tls) => say(tls.accept(tcp).await?, answer).await,
                }
            };
            tokio::time::timeout(PATIENCE, telling).await.ok();
            drop(turn);
        });
    }
}

/// Answers whatever was asked, and reads what was asked so that the answer is heard.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> io::Result<()> {
    let mut block = [0; 4096];
    let mut read = stream.read(&mut block).await?;
    stream.write_all(answer).await?;
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
fn blurt(tcp: TcpStream, answer: &[u8]) {
    // What the runtime knows of a connection so young is nothing; the kernel knows.
    if let Ok(mut tcp) = tcp.into_std() {
        // An unread request would take the answer away.
        drop(tcp.read(&mut [0; 4096]));
        tcp.write_all(answer).ok();
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
                blurt(waiting, ALL_FULL);
            }
        }
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_some() {
        for (answer, code) in [(ALL_FULL, 503), (ADDRESS_FULL, 429)] {
            let text = std::str::from_utf8(answer).unwrap_or_default();
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
            assert!(head.starts_with(&format!("HTTP/1.1 {code} ")));
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok_and(|said| said["code"] == code));
        }
    }

    #[tokio::test]
    async fn an_address_that_is_full_leaves_others_their_turns() -> io::Result<()> {
        let metrics = Arc::<Metrics>::default();
        let (away, tasks) = (Away::new(metrics.clone()), TaskTracker::new());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let come = async || {
            let stream = TcpStream::connect(listener.local_addr()?).await?;
            io::Result::Ok((stream, listener.accept().await?.0))
        };
        let mut silent = Vec::new();
        for _ in 0..40 {
            let (stream, tcp) = come().await?;
            away.tell(Full::Address, tcp, None, &tasks);
            silent.push(stream);
        }
        assert_eq!((away.told.available_permits(), away.of_full_addresses.available_permits()), (AT_ONCE, 0));
        let (mut heard, mut other) = (String::new(), come().await?);
        away.tell(Full::Everybody, other.1, None, &tasks);
        assert_eq!(away.told.available_permits(), AT_ONCE - 1, "who finds the server full is told with care");
        other.0.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        other.0.read_to_string(&mut heard).await?;
        assert!(heard.starts_with("HTTP/1.1 503 "), "{heard}");
        heard.clear();
        silent[0].write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        silent[0].read_to_string(&mut heard).await?;
        assert!(heard.starts_with("HTTP/1.1 429 "), "{heard}");
        let told = metrics.render();
        for line in [
            "carillon_refusals_total{reason=\"address\"} 40",
            "carillon_refusals_total{reason=\"capacity\"} 1",
        ] {
            assert!(told.contains(line), "{line}");
        }
        Ok(())
    }
}
