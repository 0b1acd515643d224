//! The report: one Markdown section, on the screen and between two markers in a file whose other text stays.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::figures::{self, Better, Figure, aim};
use crate::machine;
use crate::rounds::Series;
use crate::settings::{FEW, Kind, Settings, Shape};

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// Writes the section's text.
pub fn render(all: &[Series], settings: &Settings) -> Result<String> {
    let mut text = String::new();
    for (what, value) in machine::describe(settings)? {
        writeln!(text, "- {what}: {value}")?;
    }
    writeln!(text, "\n{}\n", explanation(settings))?;
    for series in all {
        let kinds = settings.kinds(series.shape);
        let peers: Vec<Kind> = kinds.iter().copied().filter(|kind| *kind != Kind::Carillon).collect();
        let ratios = if kinds.contains(&Kind::Carillon) { peers } else { Vec::new() };
        writeln!(text, "### {}\n", title(series.shape, settings))?;
        write_table(&mut text, series, &kinds, &ratios)?;
        writeln!(text, "\n{}\n", footnote(series))?;
    }
    Ok(text.trim_end().to_owned() + "\n")
}

fn explanation(settings: &Settings) -> String {
    let mut text = format!(
        "Medians of {} rounds; in brackets the least and greatest ratio of any one round. *×* says how many times \
         better Carillon is (2.0 × = half the cost, or twice the throughput), *aim* what it set out to reach. The \
         servers take turns, each round with a fresh process and database; all of a server's threads share core \
         {}, the load tool has core {}. Both commit with `synchronous=FULL` before they answer, {} s of warm-up \
         come first, and every answer, id and arrival is checked, then the rows against `/stats`. *Node, tuned* \
         also shares one commit among the bookings of one turn of its event loop and drops handshake requests. \
         Repeat it with `make bench`.",
        settings.rounds, settings.server_core, settings.load_core, settings.warm_up
    );
    if settings.only.iter().any(|shape| shape.on_postgres()) {
        text += "\n\nOn PostgreSQL, as installed (`synchronous_commit` on): it, and Redis, share the load tool's core, so \
                 bookings per second are those of a machine of two cores. Node has a pool of 10 connections, and a \
                 transaction for each booking; *Carillon, single commits* has `database.commit_batch=1`. Server CPU is \
                 without PostgreSQL's and Redis's, which have lines of their own.";
    }
    text
}

fn title(shape: Shape, settings: &Settings) -> String {
    let Settings { seconds, window, backends, .. } = settings;
    match shape {
        Shape::Offline => format!(
            "Bookings for {} offline facilitators (window {window} over {backends} back ends, {seconds} s)",
            settings.offline_facilitators
        ),
        Shape::Online => format!(
            "Bookings for {} online facilitators (window {window} over {backends} back ends, {seconds} s)",
            settings.online_facilitators
        ),
        Shape::Latency => format!(
            "Latency at {} bookings per second ({} online facilitators, open loop, {seconds} s)",
            settings.rate, settings.online_facilitators
        ),
        Shape::PgOffline => format!(
            "On PostgreSQL: bookings for {} offline facilitators (window {window} over {backends} back ends, {seconds} s)",
            settings.offline_facilitators
        ),
        Shape::PgOnline => format!(
            "On PostgreSQL: bookings for {} online facilitators (window {window} over {backends} back ends, {seconds} s)",
            settings.online_facilitators
        ),
        Shape::Nodes | Shape::Nodes4 | Shape::Nodes8 => format!(
            "{} nodes: back ends on one, {} facilitators on another ({} bookings per second for latency, then window \
             {window} over {backends} back ends for all else, {seconds} s each)",
            shape.nodes(),
            settings.online_facilitators,
            settings.cross_rate
        ),
        Shape::CatchUp => {
            format!("Redis dies: {} facilitators on one of two nodes are booked on the other", settings.crowd)
        }
        Shape::Rss => format!("Memory of {} idle sockets (WebSocket, settled {} s)", settings.sockets, settings.settle),
        Shape::Fanout | Shape::Fanout10k => {
            format!("One POST for {} sockets (the next when all have it, {seconds} s)", shape.sockets())
        }
        Shape::Broadcast => format!(
            "{} bookings per second beside broadcasts to {} people ({seconds} s without, {seconds} s with)",
            settings.cross_rate, settings.audience
        ),
        Shape::Queue | Shape::PgQueue => format!(
            "{}One broadcast to {} people by e-mail, into the sink ({} deliveries at once)",
            if shape.on_postgres() { "On PostgreSQL: " } else { "" },
            settings.audience,
            settings.at_once
        ),
        Shape::Flood => format!(
            "{} bookings per second beside floods of one address ({} a second of each kind, {seconds} s without, {seconds} s with)",
            settings.cross_rate, settings.flood_rate
        ),
        Shape::Rest => format!("Durable creates over REST ({} kept connections, {seconds} s)", settings.pool),
        Shape::List => format!(
            "A list of a user with {} notifications, and of one with {FEW} (20 listed, {seconds} s)",
            settings.many
        ),
        Shape::Connects => format!("Connecting and closing ({} at a time, {seconds} s)", settings.pool),
    }
}

fn write_table(text: &mut String, series: &Series, kinds: &[Kind], peers: &[Kind]) -> Result<()> {
    let mut head = vec!["".to_owned()];
    head.extend(kinds.iter().map(|kind| kind.title().to_owned()));
    head.extend(peers.iter().map(|peer| format!("× {}", peer.title())));
    if !peers.is_empty() {
        head.push("aim".into());
    }
    writeln!(text, "| {} |", head.join(" | "))?;
    writeln!(text, "|---{}|", "|---:".repeat(head.len() - 1))?;
    for figure in figures::all() {
        if kinds.iter().all(|kind| series.median(*kind, figure.name).is_none()) {
            continue;
        }
        let mut cells = vec![figure.label.to_owned()];
        cells.extend(kinds.iter().map(|kind| series.median(*kind, figure.name).map_or("–".into(), number)));
        cells.extend(peers.iter().map(|peer| ratio(series, figure, *peer)));
        if !peers.is_empty() {
            cells.push(aim(series.shape, figure.name).map_or(String::new(), |aim| format!("≥ {aim:.2}")));
        }
        writeln!(text, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

fn ratio(series: &Series, figure: &Figure, peer: Kind) -> String {
    let found = match figure.better {
        Better::Lower => series.ratio(peer, Kind::Carillon, figure.name),
        Better::Higher => series.ratio(Kind::Carillon, peer, figure.name),
        Better::Neither => None,
    };
    found.map_or(String::new(), |(median, least, greatest)| format!("**{median:.2}** ({least:.2}–{greatest:.2})"))
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn footnote(series: &Series) -> String {
    let rounds = series.rounds.len();
    match (series.quiet(), series.disturbed) {
        (true, 0) => format!("{rounds} quiet rounds."),
        (true, disturbed) => format!("{rounds} quiet rounds; {disturbed} more were disturbed and left out."),
        (false, _) => {
            let disturbed = series.rounds.iter().filter(|round| !round.quiet).count();
            format!("**{disturbed} of these {rounds} rounds were disturbed by other work on the machine.**")
        }
    }
}

/// Puts the section between the markers of the file, which is made if it does not exist.
pub fn place(path: &Path, section: &str) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_else(|_| format!("# Performance\n\n{BEGIN}\n{END}\n"));
    let (before, rest) = old.split_once(BEGIN).with_context(|| format!("{} has no {BEGIN}", path.display()))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{} has no {END}", path.display()))?;
    fs::write(path, format!("{before}{BEGIN}\n{section}{END}{after}"))
        .with_context(|| format!("writing {}", path.display()))
}
