//! Connected facilitators that note every booking they hear of, for as long as the [`Listeners`] live.

use anyhow::Result;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::ledger::{SharedLedger, open};
use crate::login;
use crate::server::Server;

/// Listening tasks; they end when this is dropped.
pub struct Listeners(#[expect(dead_code, reason = "held for its drop")] JoinSet<()>);

/// Connects facilitators 1 to `count`.
pub async fn listen(server: &Server, count: u64, ledger: &SharedLedger) -> Result<Listeners> {
    let mut tasks = JoinSet::new();
    for (nth, id) in (0..).zip(1..=count) {
        let mut client = Client::connect(server.address, nth).await?;
        login::facilitator(&mut client, id).await?;
        let ledger = ledger.clone();
        tasks.spawn(async move {
            if let Err(fault) = note_arrivals(client, id, &ledger).await {
                open(&ledger).fail(&fault.context(format!("facilitator {id}")));
            }
        });
    }
    Ok(Listeners(tasks))
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
