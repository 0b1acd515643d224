//! Deliveries beyond sockets: one broadcast that goes to everybody by e-mail, into the sink. Counted from the request to
//! the last letter, so that storing, putting it into the inboxes and noting what came of each are in it.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tokio::time::sleep;

use super::{Outcome, announce};
use crate::client::PATIENCE;
use crate::http::{Http, request};
use crate::login;
use crate::settings::Settings;
use crate::site::Site;

const BODY: &str = r#"{"type":"news","title":"To everybody","message":"It is told to everybody who was ever here.","channels":["email"]}"#;

#[derive(Deserialize)]
struct Line {
    to: String,
}

/// What has come into the sink.
struct Letters {
    path: PathBuf,
    file: Option<File>,
    text: Vec<u8>,
    whole: usize,
}

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let people = usize::try_from(settings.audience)?;
    let mut sender = Http::connect(site.here().address).await?;
    let mut letters = Letters { path: site.here().sink(), file: None, text: Vec::new(), whole: 0 };
    announce(settings, site);
    let before = site.sample()?;
    let started = Instant::now();
    sender.ask(&request("POST", "/api/v1/notifications/broadcast", login::BACKEND_TOKEN, BODY), 200).await?;
    let mut last = Instant::now();
    while letters.count()? < people {
        ensure!(last.elapsed() < PATIENCE, "{} of {people} letters, and no more", letters.whole);
        let had = letters.whole;
        sleep(Duration::from_millis(20)).await;
        if letters.count()? > had {
            last = Instant::now();
        }
    }
    let took = started.elapsed().as_secs_f64();
    // What came of the last ones is noted.
    sleep(Duration::from_millis(200)).await;
    let usage = before.until_now()?;
    letters.check(people)?;
    let mut figures =
        vec![("queue_cpu_us", usage.server_cpu_s * 1e6 / people as f64), ("queue_per_s", people as f64 / took)];
    if site.has_postgres() {
        figures.push(("queue_postgres_cpu_us", usage.postgres_cpu_s * 1e6 / people as f64));
    }
    Ok(Outcome { figures, usage, quiet: usage.quiet() })
}

impl Letters {
    /// How many there are by now.
    fn count(&mut self) -> Result<usize> {
        if self.file.is_none() {
            self.file = Some(File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?);
        }
        let Some(file) = &mut self.file else { bail!("no sink") };
        let had = self.text.len();
        file.read_to_end(&mut self.text)?;
        self.whole += self.text[had..].iter().filter(|byte| **byte == b'\n').count();
        Ok(self.whole)
    }

    /// One for each.
    fn check(&self, people: usize) -> Result<()> {
        let lines = self.text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let read = lines.map(|line| serde_json::from_slice::<Line>(line).map(|line| line.to));
        let to: HashSet<String> = read.collect::<Result<_, _>>().context("the sink holds what is no JSON")?;
        ensure!(self.whole == people && to.len() == people, "{} letters to {} people", self.whole, to.len());
        Ok(())
    }
}
