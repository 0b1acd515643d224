//! Connected facilitators that note every booking they hear of, for as long as the [`Listeners`] live.

use anyhow::Result;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::ledger::{SharedLedger, open};
use crate::login;
use crate::server::Server;

/// Facilitators who log in at any time.
const AT_ONCE: usize = 64;

/// Listening tasks; they end when this is dropped.
pub struct Listeners(#[expect(dead_code, reason = "held for its drop")] JoinSet<()>);

/// Connects facilitators 1 to `count`, some at a time.
pub async fn listen(server: &Server, count: u64, ledger: &SharedLedger) -> Result<Listeners> {
    let address = server.address;
    let (mut coming, mut tasks) = (JoinSet::new(), JoinSet::new());
    let mut ids = 1..=count;
    loop {
        for id in ids.by_ref().take(AT_ONCE - coming.len()) {
            coming.spawn(async move {
                let mut client = Client::connect(address, id as u32).await?;
                login::facilitator(&mut client, id).await?;
                anyhow::Ok((id, client))
            });
        }
        let Some(come) = coming.join_next().await else { return Ok(Listeners(tasks)) };
        let (id, client) = come??;
        let ledger = ledger.clone();
        tasks.spawn(async move {
            if let Err(fault) = note_arrivals(client, id, &ledger).await {
                open(&ledger).fail(&fault.context(format!("facilitator {id}")));
            }
        });
    }
}

async fn note_arrivals(mut client: Client, id: u64, ledger: &SharedLedger) -> Result<()> {
    loop {
        while let Some(event) = client.take_event()? {
            open(ledger).arrival(id, &event)?;
        }
        client.flush().await?;
        client.fill().await?;
    }
}
