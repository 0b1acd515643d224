//! What somebody missed comes as notifications, oldest first, and live ones wait behind it: each once, in
//! the order of the inbox, without a gap between the two.
//!
//! It goes no faster than the client reads: a few packets at a time, and the next ones when those are out.

use std::sync::Arc;
use std::time::Duration;

use super::{CatchUp, Confirmations};
use crate::domain::{Clock, Position, Recipient};
use crate::realtime::{Connection, Hub, Shown};
use crate::store::{Gap, Line, Missed, Store, StoreError};

/// Entries read at once.
const PAGE: i64 = 64;
/// Packets that are under way at once, if the send buffer holds four times as many.
const MOST_PACKETS: usize = 64;
/// No notification takes fewer bytes.
const LEAST_BYTES: usize = 100;
/// Bytes that are under way at once, more or less.
const MOST_BYTES: usize = 256 * 1024;
/// Between two looks whether the client has read, at first and in the end.
const LOOKS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Hands out what was missed.
pub struct Replays {
    store: Arc<Store>,
    hub: Arc<Hub>,
    confirmations: Arc<Confirmations>,
    catch_up: CatchUp,
    clock: Arc<dyn Clock>,
    /// Packets that are under way at once.
    packets: usize,
}

impl Replays {
    /// A connection's send buffer holds `send_buffer` packets.
    pub fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        confirmations: Arc<Confirmations>,
        catch_up: CatchUp,
        clock: Arc<dyn Clock>,
        send_buffer: usize,
    ) -> Arc<Self> {
        let packets = (send_buffer / 4).clamp(1, MOST_PACKETS);
        Arc::new(Self { store, hub, confirmations, catch_up, clock, packets })
    }

    /// What was handed to sockets, and is not confirmed.
    pub const fn confirmations(&self) -> &Arc<Confirmations> {
        &self.confirmations
    }

    /// Hands `connection` what its person `missed` behind `after`, and lets it hear live then. Returns how many it was handed;
    /// fewer than there are if it left, or speaks for somebody else by now.
    ///
    /// # Errors
    /// When the database cannot answer: live notifications wait on, until another replay.
    pub async fn run(
        &self,
        recipient: &Recipient,
        connection: &Connection,
        missed: Missed,
        after: Position,
    ) -> Result<usize, StoreError> {
        self.hub.fall_behind(recipient, connection);
        if self.settled(recipient, connection).await?.is_none() {
            return Ok(0);
        }
        let (mut after, mut handed) = (after, 0);
        loop {
            // Whatever waits now was committed before, so what is read next shows it; even what another
            // device has confirmed meanwhile.
            let (all_from, withheld) = (connection.withheld_from(), connection.withheld());
            let page = self.page(recipient, &Gap { missed, after, all_from }).await?;
            let is_last = i64::try_from(page.len()).is_ok_and(|many| many < PAGE);
            after = page.last().map_or(after, |line| line.position);
            if !self.hand(recipient, connection, page, &mut handed).await {
                return Ok(handed);
            }
            if !connection.is_behind() {
                // It changed its protocol, and hears of all this some other way.
                return Ok(handed);
            }
            if is_last && self.hub.catch_up(recipient, connection, after.max(withheld), handed) {
                return Ok(handed);
            }
        }
    }

    /// The same for a connection that hears live already: what it was not handed live, and nothing waits.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn beside_live(
        &self,
        recipient: &Recipient,
        connection: &Connection,
        missed: Missed,
    ) -> Result<usize, StoreError> {
        let Some(served) = self.settled(recipient, connection).await? else { return Ok(0) };
        let (mut after, mut handed) = (0, 0);
        loop {
            let mut page = self.page(recipient, &Gap { missed, after, all_from: None }).await?;
            // What this node stored, and the query saw, is pushed live before this barrier is passed.
            self.store.drain().await;
            let is_last = i64::try_from(page.len()).is_ok_and(|many| many < PAGE);
            after = page.last().map_or(after, |line| line.position);
            let upto = connection.first_live().min(served.saturating_add(1));
            page.retain(|line| line.position < upto);
            if !self.hand(recipient, connection, page, &mut handed).await || is_last || after >= upto {
                return Ok(handed);
            }
        }
    }

    /// Waits until all that does not come live is in the database, and what was marked before is marked. Nothing, if nobody is
    /// there any more to hear it.
    async fn settled(
        &self,
        recipient: &Recipient,
        connection: &Connection,
    ) -> Result<Option<Position>, StoreError> {
        self.catch_up.ready(recipient).await;
        self.store.drain().await;
        match self.hub.served(recipient) {
            Some(served) => Ok(Some(served)),
            None if !self.hub.serves(connection, recipient) => Ok(None),
            // Without a place nobody could say what is still to come.
            None => Err(StoreError::Unreachable("it is not known yet where this inbox stands".to_owned())),
        }
    }

    async fn page(&self, recipient: &Recipient, gap: &Gap) -> Result<Vec<Line>, StoreError> {
        self.store.missed(recipient, gap, self.clock.now(), PAGE).await
    }

    /// Hands out one page; `false` if nobody is there any more to hear it.
    async fn hand(
        &self,
        recipient: &Recipient,
        connection: &Connection,
        page: Vec<Line>,
        handed: &mut usize,
    ) -> bool {
        let (mut packets, mut bytes) = (self.packets, MOST_BYTES);
        for held in page.into_iter().filter_map(|line| line.held) {
            if packets >= self.packets || bytes >= MOST_BYTES {
                self.read(connection).await;
                (packets, bytes) = (0, 0);
            }
            let Some(dialect) = connection.dialect_for(recipient) else { return false };
            let mut shown = Shown::new(held.notification);
            let encoded = shown.by(dialect, recipient);
            if !self.hub.is_here(connection.id) || !self.hub.push_encoded(connection, encoded) {
                return false;
            }
            packets += 1;
            bytes += encoded.payload.get().len();
            *handed += 1;
            if held.confirmed_at.is_none() {
                let id = shown.notification.id;
                self.confirmations.watch([connection], recipient, id, held.place, self.clock.now());
            }
        }
        self.hub.is_here(connection.id)
    }

    /// Waits until the client has read nearly everything, or is gone.
    async fn read(&self, connection: &Connection) {
        let mut pause = LOOKS.0;
        while connection.outlet().line().unsent() > self.packets * LEAST_BYTES
            && self.hub.is_here(connection.id)
        {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOKS.1);
        }
    }
}
