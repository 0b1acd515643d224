//! The channel: what is published there is put into the stream at once, by the node that has the lease. From then on
//! it is as safe as any other entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::AsyncPushSender;
use redis::{PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::lease::Found;
use super::letters::Letter;
use super::{End, Ingest, Origin, Turn};
use crate::realtime::backplane::Link;
use crate::telemetry::Metrics;

/// Messages that are put into the stream together.
const TOGETHER: usize = 256;
/// What a message takes besides its text.
const EACH: usize = 64;
/// Bytes that may wait to be put there; what is published beyond them is lost, and counted.
const MOST_WAITING: usize = 64 * 1024 * 1024;
/// Between two signs of life.
const RENEWAL: Duration = Duration::from_secs(1);

/// What was published, in its order, until the connection ends.
pub struct Heard {
    messages: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    waiting: Arc<AtomicUsize>,
}

/// Where a connection puts what is published, and where it is fetched.
pub fn queue(metrics: Arc<Metrics>) -> (impl AsyncPushSender, Heard) {
    let (heard, messages) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let room = waiting.clone();
    let push = move |push: PushInfo| match push.kind {
        PushKind::Disconnection => heard.send(None),
        PushKind::Message => {
            let mut parts = push.data.into_iter();
            let (Some(_), Some(Value::BulkString(message))) = (parts.next(), parts.next()) else {
                return Ok(());
            };
            if room.fetch_add(room_of(&message), Ordering::AcqRel) > MOST_WAITING {
                room.fetch_sub(room_of(&message), Ordering::AcqRel);
                metrics.ingested(Origin::Channel.word(), "lost");
                return Ok(());
            }
            heard.send(Some(message))
        }
        _ => Ok(()),
    };
    (push, Heard { messages, waiting })
}

/// The bytes that `message` takes while it waits.
const fn room_of(message: &[u8]) -> usize {
    message.len() + EACH
}

impl Heard {
    /// The next messages.
    async fn next(&mut self) -> Result<Vec<Vec<u8>>, End> {
        let mut some = Vec::new();
        match self.messages.recv_many(&mut some, TOGETHER).await {
            0 => self.whole(vec![None]),
            _ => self.whole(some),
        }
    }

    /// Those that are there.
    fn rest(&mut self) -> Result<Vec<Vec<u8>>, End> {
        let mut some = Vec::new();
        while let Ok(message) = self.messages.try_recv() {
            some.push(message);
        }
        self.whole(some)
    }

    fn whole(&self, some: Vec<Option<Vec<u8>>>) -> Result<Vec<Vec<u8>>, End> {
        let all: Option<Vec<Vec<u8>>> = some.into_iter().collect();
        let all = all.ok_or_else(|| RedisError::from((redis::ErrorKind::Io, "the connection has ended")))?;
        self.waiting.fetch_sub(all.iter().map(|message| room_of(message)).sum(), Ordering::AcqRel);
        Ok(all)
    }
}

impl Ingest {
    /// Keeps the lease and puts what is published into the stream, until told to stop.
    pub(super) async fn carry(
        &self,
        link: &mut Link,
        mut heard: Heard,
        turn: &Turn,
        stop: &CancellationToken,
    ) -> Result<(), End> {
        if !self.names.channel.is_empty() {
            link.listen(&self.names.channel).await?;
        }
        let mut renewals = tokio::time::interval(RENEWAL);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = renewals.tick() => {
                    let troubled = turn.troubled.load(Ordering::Acquire);
                    if turn.lease.take(link, troubled, false).await? != Found::Ours {
                        return Err(End::Taken);
                    }
                }
                messages = heard.next() => self.put(link, messages?, turn).await?,
            }
        }
        if !self.names.channel.is_empty() {
            link.ignore(&self.names.channel).await?;
            self.put(link, heard.rest()?, turn).await?;
        }
        Ok(())
    }

    async fn put(&self, link: &mut Link, messages: Vec<Vec<u8>>, turn: &Turn) -> Result<(), End> {
        let (large, messages): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.len() > self.largest);
        let letter = |text| Letter { origin: Origin::Channel, entry: "", text, refused: self.too_large() };
        self.bury(link, &large.iter().map(|text| letter(text.as_slice())).collect::<Vec<_>>()).await?;
        for some in messages.chunks(TOGETHER) {
            if !turn.lease.carry(link, Origin::CARRIED, some).await? {
                return Err(End::Taken);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_without_text_take_room() {
        let metrics = Arc::new(Metrics::new());
        let (push, mut heard) = queue(metrics);
        let message = || PushInfo {
            kind: PushKind::Message,
            data: vec![Value::BulkString(b"channel".to_vec()), Value::BulkString(Vec::new())],
        };
        let most = MOST_WAITING / EACH + 1;
        for _ in 0..most + 10 {
            push.send(message()).unwrap();
        }
        assert_eq!(heard.rest().map(|all| all.len()).ok(), Some(most), "what is beyond them is lost");
        push.send(message()).unwrap();
        assert_eq!(heard.rest().map(|all| all.len()).ok(), Some(1), "there is room again");
    }
}
