//! The table in `docs/RELIABILITY.md`.

use std::fs;
use std::thread::available_parallelism;
use std::time::Duration;

use super::verdict::Outcome;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/RELIABILITY.md");
const BEGIN: &str = "<!-- written by `make faults`: begin -->\n";
const END: &str = "<!-- written by `make faults`: end -->";

/// Puts the table between its marks.
pub fn write(runs: u64, rows: &[(&str, Vec<Outcome>)]) {
    let text = fs::read_to_string(FILE).expect("docs/RELIABILITY.md");
    let (before, rest) = text.split_once(BEGIN).expect("the mark where the table begins");
    let (_, after) = rest.split_once(END).expect("the mark where the table ends");
    let cores = available_parallelism().map_or(1, usize::from);
    let mut table = format!("{runs} runs of each fault, on a shared machine with {cores} cores.\n\n");
    table += "| fault | runs | receipts | lost | misdelivered | out of order | doubled | untrue | recovery p50 / max | all there p50 / max |\n";
    table += "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    rows.iter().for_each(|(name, outcomes)| table += &row(name, outcomes));
    fs::write(FILE, format!("{before}{BEGIN}{table}{END}{after}")).expect("docs/RELIABILITY.md");
}

fn row(name: &str, outcomes: &[Outcome]) -> String {
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        outcomes.len(),
        sum(|outcome| outcome.receipts),
        sum(|outcome| outcome.lost),
        sum(|outcome| outcome.misdelivered),
        sum(|outcome| outcome.disordered),
        sum(|outcome| outcome.doubled),
        sum(|outcome| outcome.untrue),
        median_and_longest(outcomes.iter().map(|outcome| outcome.recovery)),
        median_and_longest(outcomes.iter().map(|outcome| outcome.complete)),
    )
}

fn median_and_longest(times: impl Iterator<Item = Option<Duration>>) -> String {
    let mut times: Vec<Duration> = times.map(|time| time.unwrap_or(Duration::MAX)).collect();
    times.sort();
    format!("{} / {}", seconds(times[(times.len() - 1) / 2]), seconds(times[times.len() - 1]))
}

fn seconds(time: Duration) -> String {
    if time == Duration::MAX { "not in time".to_owned() } else { format!("{:.1} s", time.as_secs_f64()) }
}
