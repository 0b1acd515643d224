//! Several nodes on one PostgreSQL and one Redis: back ends on the first, facilitators on the second, nobody on the
//! others. First the time a booking takes at a fixed rate, then what each costs with the window full.

use anyhow::Result;

use super::{Outcome, bookings, facilitators, latency};
use crate::ledger::{Expected, Ledger};
use crate::settings::Settings;
use crate::site::Site;

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let ledger = Ledger::shared(settings.online_facilitators, Expected::Delivered);
    let _listeners = facilitators::listen(site.there(), settings.online_facilitators, &ledger).await?;
    let paced = latency::load(settings, site, settings.cross_rate, &ledger).await?;
    let (mut figures, usage) = bookings::load(settings, site, &ledger).await?;
    figures.extend(paced.figures);
    Ok(Outcome { figures, usage, quiet: paced.quiet && usage.quiet() })
}
