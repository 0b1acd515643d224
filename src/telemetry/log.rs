//! Structured logs on standard output: pretty in a terminal, one JSON object a line otherwise.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use super::wall::Wall;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty in a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

/// Settings of `[log]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,carillon::store=debug`.
    /// At `info` you see servers, connections and faults; at `debug` every notification too. Unset:
    /// `info`, and in development one line for each notification.
    pub level: String,
    /// `auto`, `pretty` or `json`.
    pub format: LogFormat,
}

/// What is logged in development: each notification, too.
const TALKATIVE: &str = "info,carillon::service::notify=debug";
/// What is logged in production, where there are too many of them.
const USUAL: &str = "info";

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is no filter.
    #[error(
        "log.level is `{0}`, which is not a log filter; use error, warn, info, debug or trace, or several \
         such as info,carillon::store=debug"
    )]
    Level(String),
    /// It was started before.
    #[error("logging was started twice: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// A level, or one for a module: a lone module's name would silence everything else.
fn is_directive(text: &str) -> bool {
    let level = text.rsplit_once('=').map_or(text, |(_, level)| level).trim().to_ascii_lowercase();
    matches!(level.as_str(), "off" | "error" | "warn" | "info" | "debug" | "trace")
}

/// Starts logging for the whole process; `talkative` if each notification may have its line.
///
/// # Errors
/// When the filter cannot be read, or logging was started before.
pub fn start(settings: &Settings, talkative: bool) -> Result<(), LogError> {
    let level = match settings.level.as_str() {
        "" if talkative => TALKATIVE,
        "" => USUAL,
        level => level,
    };
    let filter = level.split(',').all(is_directive).then(|| EnvFilter::try_new(level).ok()).flatten();
    let filter = filter.ok_or_else(|| LogError::Level(level.to_owned()))?;
    let json = match settings.format {
        LogFormat::Auto => !std::io::stdout().is_terminal(),
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(std::io::stdout);
    let lines = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        lines.with_target(false).boxed()
    };
    let started = tracing_subscriber::registry().with(filter).with(lines.with_filter(Wall)).try_init();
    started.map_err(|twice| LogError::Twice(Box::new(twice)))
}
