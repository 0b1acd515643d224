//! The first page: how this node is, what it did in the last quarter of an hour, what waits on all, and what became of the
//! tenant's notifications today.

use askama::Template;
use axum::extract;

use super::chart::{self, Line};
use super::session::{Seat, Viewer};
use super::words::{self, channel, count, counted, millis, percent, rate, span};
use super::{Answer, Dashboard, Parted, View, failures, parted};
use crate::domain::Channel;
use crate::realtime::backplane;
use crate::service::{Analytics, Error, Everywhere, Ingesting, Recent, RedisIs};
use crate::store::Backlog;

/// Failures that are shown.
const FAILURES: i64 = 5;

#[derive(Template)]
#[template(path = "dashboard/status.html")]
struct Status {
    /// `good`, `poor` or `bad`.
    state: &'static str,
    words: &'static str,
    database: &'static str,
    redis: &'static str,
    redis_uses: String,
    nodes: String,
    node: String,
    uptime: String,
}

struct Card {
    title: &'static str,
    about: &'static str,
    value: String,
    unit: &'static str,
    more: String,
    svg: String,
}

#[derive(Template)]
#[template(path = "dashboard/cards.html")]
struct Cards {
    /// Whose numbers they are, where there may be several nodes.
    scope: &'static str,
    cards: Vec<Card>,
}

struct Legend {
    class: &'static str,
    name: &'static str,
    now: String,
}

struct Chart {
    title: &'static str,
    about: &'static str,
    is_empty: bool,
    top: String,
    middle: String,
    svg: String,
    lines: Vec<Legend>,
}

#[derive(Template)]
#[template(path = "dashboard/charts.html")]
struct Charts {
    charts: Vec<Chart>,
}

struct Queue {
    name: &'static str,
    due: String,
    under_way: String,
    later: String,
    is_long: bool,
}

#[derive(Template)]
#[template(path = "dashboard/queues.html")]
struct Queues {
    writes: String,
    unconfirmed: String,
    queues: Vec<Queue>,
}

struct Way {
    name: &'static str,
    sent: String,
    delivered: String,
    confirmed: String,
    failed: String,
    has_failed: bool,
    rate: String,
    /// Of a hundred.
    part: f64,
    is_used: bool,
    half: String,
    most: String,
}

#[derive(Template)]
#[template(path = "dashboard/ways.html")]
struct Ways {
    day: String,
    tenant: String,
    accepted: String,
    is_one: bool,
    is_complete: bool,
    ways: Vec<Way>,
}

fn text(template: &impl Template) -> String {
    template.render().unwrap_or_default()
}

fn status(dashboard: &Dashboard, everywhere: &Everywhere, recent: &Recent) -> Status {
    let health = &everywhere.health;
    let redis = match health.redis() {
        RedisIs::Unused => "not used",
        RedisIs::Asked => "connecting",
        RedisIs::There => "answers",
        RedisIs::Away => "unreachable",
    };
    let (state, words) = match (health.database, health.line, health.ingesting) {
        (false, ..) => ("bad", "Nothing can be stored"),
        (true, backplane::Line::Degraded, _) => ("poor", "Nodes hear each other late"),
        (true, _, Ingesting::Away) => ("poor", "Letters in Redis are not taken"),
        (true, ..) => ("good", "All is well"),
    };
    let nodes = everywhere.known.as_ref().map_or_else(
        || words::UNKNOWN.to_owned(),
        |known| {
            let alive = known.nodes.iter().filter(|node| nodes_alive(node.silent)).count();
            count(i64::try_from(alive.max(1)).unwrap_or(1))
        },
    );
    Status {
        state,
        words,
        database: if health.database { "answers" } else { "unreachable" },
        redis,
        redis_uses: health.redis_uses().join(", "),
        nodes,
        node: dashboard.watch.node.clone(),
        uptime: words::lasted(recent.uptime),
    }
}

/// Whether a node that was silent for so many seconds counts as alive.
pub fn nodes_alive(silent: f64) -> bool {
    silent < crate::store::LEASE_SECONDS as f64
}

fn spark(points: &[Option<f64>], class: &'static str) -> String {
    let top = chart::largest([points]).unwrap_or(0.0);
    let line = Line { class, points, is_filled: true };
    chart::svg(&[line], if top > 0.0 { top * 1.15 } else { 1.0 }, "spark")
}

fn cards(everywhere: &Everywhere, recent: &Recent, is_shared: bool) -> Cards {
    let here = recent.now.connections;
    let people = match &everywhere.known {
        Some(known) => format!("{} signed in, on all nodes", count(known.online.sessions)),
        None => "on all nodes: not known".to_owned(),
    };
    let pushed = i64::try_from(recent.pushed).unwrap_or(i64::MAX);
    let cards = vec![
        Card {
            title: "Connections",
            about: "Open sockets of this node now",
            value: count(here),
            unit: "",
            more: people,
            svg: spark(&recent.connections_then, "one"),
        },
        Card {
            title: "Into inboxes",
            about: "Notifications a second that this node put into inboxes",
            value: rate(recent.placed),
            unit: "/s",
            more: format!("{} since the start", count(total(recent.now.placed))),
            svg: spark(&recent.placed_then, "one"),
        },
        Card {
            title: "Confirmed by devices",
            about: "Notifications a second that a device has confirmed",
            value: rate(recent.confirmed),
            unit: "/s",
            more: format!("{} since the start", count(total(recent.now.confirmed))),
            svg: spark(&recent.confirmed_then, "two"),
        },
        Card {
            title: "Accepted to pushed, p95",
            about: "Within this time 95 of 100 pushes of the last five minutes were with a socket",
            value: span(recent.took[1]),
            unit: "",
            more: format!("of {} pushes in 5 min", count(pushed)),
            svg: spark(&recent.took_then[1], "three"),
        },
    ];
    Cards { scope: if is_shared { "this node" } else { "" }, cards }
}

fn total(many: u64) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

fn charts(recent: &Recent) -> Charts {
    let draw =
        |title, about, lines: Vec<(Line<'_>, &'static str, String)>, least: f64, write: fn(f64) -> String| {
            let largest = chart::largest(lines.iter().map(|(line, ..)| line.points));
            let top = chart::round_up(largest.unwrap_or(0.0).max(least));
            let legend = lines
                .iter()
                .map(|(line, name, now)| Legend { class: line.class, name, now: now.clone() })
                .collect();
            let drawn: Vec<Line<'_>> = lines.into_iter().map(|(line, ..)| line).collect();
            Chart {
                title,
                about,
                is_empty: largest.is_none(),
                // `20/s`, not `20.0/s`.
                top: write(top).replace(".0", ""),
                middle: write(top / 2.0).replace(".0", ""),
                svg: chart::svg(&drawn, top, "plot"),
                lines: legend,
            }
        };
    let line = |class, points, is_filled| Line { class, points, is_filled };
    let [half, most, nearly_all] = &recent.took_then;
    let second = |number: f64| format!("{}/s", rate(Some(number)));
    let seconds = |number: f64| span(Some(number));
    let charts = vec![
        draw(
            "Rate",
            "Notifications a second on this node",
            vec![
                (
                    line("one", &recent.placed_then, true),
                    "into inboxes",
                    format!("{}/s", rate(recent.placed)),
                ),
                (
                    line("two", &recent.confirmed_then, false),
                    "confirmed",
                    format!("{}/s", rate(recent.confirmed)),
                ),
            ],
            1.0,
            second,
        ),
        draw(
            "Latency",
            "From acceptance until a socket of this node had it; each point is of half a minute",
            vec![
                (line("three", nearly_all, true), "p99", span(recent.took[2])),
                (line("two", most, false), "p95", span(recent.took[1])),
                (line("one", half, false), "p50", span(recent.took[0])),
            ],
            0.001,
            seconds,
        ),
    ];
    Charts { charts }
}

fn queues(everywhere: &Everywhere, recent: &Recent) -> Queues {
    let row = |name, backlog: Option<Backlog>| {
        let number = |of: fn(&Backlog) -> i64| {
            backlog.as_ref().map_or_else(|| words::UNKNOWN.to_owned(), |backlog| counted(of(backlog)))
        };
        Queue {
            name,
            due: number(|backlog| backlog.due),
            under_way: number(|backlog| backlog.under_way),
            later: number(|backlog| backlog.later),
            is_long: backlog.is_some_and(|backlog| backlog.due >= 1_000),
        }
    };
    let known = everywhere.known.as_ref().map(|known| &known.backlogs);
    let mut queues: Vec<Queue> = [Channel::Email, Channel::Push, Channel::Sms]
        .into_iter()
        .map(|way| row(channel(way), known.map(|known| known.by(way))))
        .collect();
    queues.push(row("Audiences and scheduled", known.map(crate::store::Backlogs::spreading)));
    queues.push(row("Webhooks", known.map(crate::store::Backlogs::telling)));
    Queues { writes: count(recent.now.writes), unconfirmed: count(recent.now.unconfirmed), queues }
}

fn ways(today: &Analytics, seat: &Seat) -> Ways {
    let all = [Channel::Realtime, Channel::Email, Channel::Push, Channel::Sms];
    let way = |(index, way): (usize, Channel)| {
        let (figures, took) = (today.all.channels[index], &today.latencies[index]);
        Way {
            name: channel(way),
            sent: count(figures.sent),
            delivered: count(figures.delivered),
            confirmed: count(figures.confirmed),
            failed: count(figures.failed),
            has_failed: figures.failed > 0,
            rate: percent(figures.success_rate()),
            part: figures.success_rate().unwrap_or(0.0).clamp(0.0, 1.0) * 100.0,
            is_used: figures.sent > 0,
            half: millis(took.within(50)),
            most: millis(took.within(95)),
        }
    };
    let by_number = |way: Channel| match way {
        Channel::Realtime => 0,
        other => usize::try_from(other.number()).unwrap_or(0),
    };
    Ways {
        day: today.period.ends().0.to_string(),
        tenant: seat.who.tenant.as_str().to_owned(),
        accepted: count(today.all.notifications),
        is_one: today.all.notifications == 1,
        is_complete: today.is_complete,
        ways: all.into_iter().map(|one| way((by_number(one), one))).collect(),
    }
}

/// What is told anew. What the database does not answer is left out, and the rest is told.
pub async fn parts(dashboard: &Dashboard, seat: &Seat) -> Result<Parted, Error> {
    let everywhere = dashboard.watch.everywhere(&seat.who).await?;
    let recent = dashboard.watch.recent();
    let mut parts = vec![
        ("status", text(&status(dashboard, &everywhere, &recent))),
        ("cards", text(&cards(&everywhere, &recent, dashboard.watch.is_shared()))),
        ("charts", text(&charts(&recent))),
        ("queues", text(&queues(&everywhere, &recent))),
    ];
    if everywhere.known.is_some() {
        let (today, failed) = dashboard.watch.today(&seat.who).await?;
        parts.push(("ways", text(&ways(&today, seat))));
        parts.push(("lately", failures::lately(dashboard, seat, failed, FAILURES).await?));
    }
    Ok(parts)
}

/// `GET /dashboard`.
pub async fn page(dashboard: extract::State<Dashboard>, Viewer(seat): Viewer) -> Answer {
    let parts = parts(&dashboard, &seat).await.map_err(|fault| seat.fault(fault))?;
    let body = parted("Overview", "", "", &parts);
    Ok(View { title: "Overview", here: "overview", live: "overview", body }.show(Some(&seat)))
}
