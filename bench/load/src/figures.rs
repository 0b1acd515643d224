//! Plain statistics, and the list of every figure: what it means, which way is better, what is aimed at.

use crate::settings::Shape;

/// The value below which `percent` of the sorted values lie (nearest rank); 0 for none.
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The middle value; the mean of the two middle ones where there are two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// One row of the report.
pub struct Figure {
    /// As in `Outcome::figures`.
    pub name: &'static str,
    pub label: &'static str,
    pub better: Better,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
    /// Shown without a ratio.
    Neither,
}

/// How many times better than the peer Carillon means to be, at least.
pub fn aim(shape: Shape, figure: &str) -> Option<f64> {
    match (shape, figure) {
        (Shape::Offline, "booking_cpu_us") => Some(3.0),
        (Shape::Online, "booking_cpu_us") => Some(2.5),
        (Shape::Latency, "receive_p99_us") => Some(2.0),
        (Shape::Rss, "socket_kib") => Some(1.0 / 1.1),
        (Shape::Connects, "connect_cpu_us") => Some(5.0),
        (Shape::Fanout, "delivery_cpu_us") => Some(1.0 / 0.9),
        (Shape::Fanout10k, "delivery_cpu_us") => Some(1.0 / 0.65),
        (Shape::Rest, "creates_per_cpu_s") => Some(3.0),
        // Against its own single commits.
        (Shape::PgOffline, "bookings_per_s") => Some(10.0),
        (Shape::Nodes, "booking_cpu_us") => Some(3.0),
        (Shape::Nodes, "receive_p99_us") => Some(2.0),
        _ => None,
    }
}

use Better::{Higher, Lower, Neither};

/// Every figure that a shape gives, in the order of the report.
static FIGURES: [Figure; 50] = [
    row("booking_cpu_us", "server CPU, µs per booking", Lower),
    row("bookings_per_s", "durable bookings per second", Higher),
    row("booking_cpu_with_tail_us", "server CPU with work put off, µs per booking", Lower),
    row("postgres_cpu_us", "PostgreSQL's CPU, µs per booking", Lower),
    row("redis_commands", "Redis commands per booking", Lower),
    row("redis_cpu_us", "Redis's CPU, µs per booking", Lower),
    row("bystander_cpu_us", "CPU of all nodes that are not involved, µs per booking", Lower),
    row("receive_p50_us", "emit → received, p50, µs", Lower),
    row("receive_p99_us", "emit → received, p99, µs", Lower),
    row("answer_p50_us", "emit → durable answer, p50, µs", Lower),
    row("answer_p99_us", "emit → durable answer, p99, µs", Lower),
    row("paced_cpu_us", "server CPU at this rate, µs per booking", Lower),
    row("own_lateness_p99_us", "the load tool's own lateness, p99, µs", Neither),
    row("socket_kib", "RSS per authenticated facilitator, KiB", Lower),
    row("anonymous_socket_kib", "RSS per connected socket before that, KiB", Lower),
    row("base_mib", "RSS before, MiB", Lower),
    row("full_mib", "RSS with all of them, MiB", Lower),
    row("peak_mib", "highest RSS on the way, MiB", Lower),
    row("connect_cpu_us", "server CPU, µs per connect and close", Lower),
    row("connects_per_s", "connects per second", Higher),
    row("delivery_cpu_us", "server CPU, µs per delivery", Lower),
    row("deliveries_per_s", "deliveries per second", Higher),
    row("deliver_p50_us", "POST → received, p50, µs", Lower),
    row("deliver_p99_us", "POST → received, p99, µs", Lower),
    row("create_cpu_us", "server CPU, µs per create", Lower),
    row("creates_per_cpu_s", "durable creates per second of server CPU", Higher),
    row("creates_per_s", "durable creates per second", Higher),
    row("list_many_cpu_us", "server CPU, µs per list of whoever has many", Neither),
    row("list_few_cpu_us", "the same, of whoever has few", Neither),
    row("list_cpu_ratio", "many / few (aim: at most 1.5)", Neither),
    row("list_many_p50_us", "time for a list of whoever has many, p50, µs", Neither),
    row("list_few_p50_us", "the same, of whoever has few", Neither),
    row("list_p50_ratio", "many / few (aim: at most 1.5)", Neither),
    row("alone_p50_us", "emit → durable answer without a broadcast, p50, µs", Neither),
    row("alone_p99_us", "the same, p99", Neither),
    row("beside_p50_us", "emit → durable answer beside broadcasts, p50, µs", Neither),
    row("beside_p99_us", "the same, p99", Neither),
    row("beside_ratio", "beside / without, p99", Neither),
    row("broadcasts_per_s", "broadcasts answered per second", Neither),
    row("queue_cpu_us", "server CPU, µs per delivery", Lower),
    row("queue_postgres_cpu_us", "PostgreSQL's CPU, µs per delivery", Lower),
    row("queue_per_s", "deliveries per second (aim: at least 5,000)", Higher),
    row("away_booked_s", "Redis killed → the last of one booking for each accepted, s", Lower),
    row("away_arrived_p50_s", "Redis killed → half of them arrived, s", Lower),
    row("away_arrived_s", "Redis killed → all of them arrived, s", Lower),
    row("missing_on_return", "accepted but not arrived when the line returns", Neither),
    row("return_arrived_s", "the line returns → the last of those arrived, s", Lower),
    row("fixed_work_ms", "the machine's speed: a fixed calculation, ms", Neither),
    row("load_share", "load tool's share of its core", Neither),
    row("kernel_share", "kernel threads (journal, block I/O), share of a core", Neither),
];

/// Rows of one door that is flooded.
macro_rules! door {
    ($name:literal, $label:literal) => {
        [
            row(concat!("flood_", $name, "_alone_us"), concat!($label, ": emit → received alone, p99, µs"), Neither),
            row(concat!("flood_", $name, "_beside_us"), "the same beside the flood", Neither),
            row(concat!("flood_", $name, "_ratio"), "beside / alone (aim: at most 2)", Neither),
            row(concat!("flood_", $name, "_mib"), "RSS at the peak, MiB", Neither),
            row(concat!("flood_", $name, "_descriptors"), "descriptors at the peak", Neither),
            row(
                concat!("flood_", $name, "_refused"),
                "share of what the flooder did that was refused by 429 or 503",
                Neither,
            ),
        ]
    };
}

/// The doors of the flood shape, in its order.
pub static FLOODS: [[Figure; 6]; 8] = [
    door!("pages", "`/stats`, without a token"),
    door!("forged", "the API, by a forged token"),
    door!("person", "lists of one person"),
    door!("sender", "creates by a service"),
    door!("handshakes", "WebSocket handshakes in a loop"),
    door!("silent", "connections that say nothing"),
    door!("bodies", "bodies that are half sent"),
    door!("crowd", "600 creates at once by a service"),
];

/// All figures, in the order of the report.
pub fn all() -> impl Iterator<Item = &'static Figure> {
    FIGURES.iter().chain(FLOODS.iter().flatten())
}

const fn row(name: &'static str, label: &'static str, better: Better) -> Figure {
    Figure { name, label, better }
}
