//! The command line.

mod ask;
mod audit;
mod backup;
mod deliveries;
mod doctor;
mod keys;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use self::ask::ask;
use self::audit::{AuditCommand, Verdict};
use self::deliveries::Deliveries;
use self::keys::Keys;
use crate::access::{Mint, Vapid};
use crate::app::App;
use crate::config::{self, Config, Environment, Flags, Loaded};
use crate::domain::{Clock as _, SystemClock, Tenant, UserId};
use crate::gateway::socketio;
use crate::{http, lifecycle, parts, secrets, store, telemetry};

/// What `carillon audit verify` ends with when something can be neither shown nor refuted.
const UNPROVED: u8 = 3;

/// A self-hosted, Socket.IO-compatible notification server.
#[derive(Parser)]
#[command(name = "carillon", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    given: Given,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Settings that every command takes.
#[derive(Args)]
struct Given {
    /// Settings file [default: carillon.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, global = true)]
    host: Option<String>,
    /// Port to listen on; 0 takes a free one
    #[arg(long, global = true)]
    port: Option<String>,
    /// sqlite:///relative.db, sqlite:////absolute.db, or a path
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Any other setting, as section.key=value; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server (this is what happens without a command, too)
    Serve {
        /// Leave the work that belongs to no connection to `carillon worker`
        #[arg(long)]
        no_worker: bool,
    },
    /// Do the work that belongs to no connection, beside servers that share a PostgreSQL
    Worker,
    /// Mint a JSON Web Token for a user or a service
    Token(Token),
    /// Print a new pair of keys for Web Push, as settings have them
    Vapid,
    /// Print every setting, with where it came from
    Config,
    /// Bring the database up to date, and end; with --to, move an SQLite file to PostgreSQL
    Migrate {
        /// postgres://user@host/database, empty or left by a move that was interrupted
        #[arg(long, value_name = "URL")]
        to: Option<String>,
    },
    /// Copy the SQLite file, whole, as it is at one instant, while the server goes on
    Backup {
        /// Where to; on another disk, best
        file: PathBuf,
        /// Replace it, if it is there
        #[arg(long)]
        force: bool,
    },
    /// Put a backup in the place of the SQLite file, and keep what was there; the server must be stopped
    Restore {
        /// What `carillon backup` made. None on PostgreSQL, after its own tools have put a backup back
        file: Option<PathBuf>,
    },
    /// Print the description of the API (OpenAPI)
    #[command(hide = true)]
    Openapi,
    /// Print the description of the events (AsyncAPI)
    #[command(hide = true)]
    Asyncapi,
    /// Ask the server on this machine whether it is ready; for container health checks
    Health,
    /// Look at settings, database, Redis, clock, limits and providers, and say what to mend; ends with 1 if something fails
    Doctor,
    /// List what e-mail, push and text messages could not deliver, or try it again; asks the server on this machine
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// Look whether the audit log is what was written; reads the database, beside a server or without one
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make keys by which the database is encrypted, and put everything under the newest one
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("who").args(["user", "service"]).required(true)))]
struct Token {
    /// The user (a facilitator's id, say) the token is for
    #[arg(long)]
    user: Option<String>,
    /// The service the token is for; it may send notifications
    #[arg(long)]
    service: Option<String>,
    /// Its tenant
    #[arg(long)]
    tenant: Option<String>,
    /// A role; may be repeated
    #[arg(long)]
    role: Vec<String>,
    /// A scope; may be repeated
    #[arg(long)]
    scope: Vec<String>,
    /// How long it lasts: 90s, 15m, 12h, 30d
    #[arg(long, default_value = "12h")]
    ttl: String,
}

/// Runs the command line; errors go to standard error, and the code is then 1.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    // Redis over TLS asks for the process's own choice.
    rustls::crypto::ring::default_provider().install_default().ok();
    let is_doctor = matches!(cli.command, Some(Command::Doctor));
    let loaded = loaded(cli.given, cli.command.as_ref()).inspect_err(|fault| {
        if is_doctor {
            println!("{}", doctor::unreadable(fault));
        }
    });
    let mut code = ExitCode::SUCCESS;
    let outcome = loaded.and_then(|loaded| match cli.command {
        None | Some(Command::Serve { .. }) => serve(loaded),
        Some(Command::Worker) => work(&loaded),
        Some(Command::Token(token)) => mint(loaded, token),
        Some(Command::Vapid) => vapid(),
        Some(Command::Config) => print(&loaded),
        Some(Command::Migrate { to }) => migrate(&loaded.config, to.as_deref()),
        Some(Command::Backup { file, force }) => backup::make(&loaded.config, &file, force),
        Some(Command::Restore { file }) => backup::put_back(&loaded.config, file.as_deref()),
        Some(Command::Openapi) => describe(&http::description()),
        Some(Command::Asyncapi) => describe(&socketio::description()),
        Some(Command::Audit(what)) => {
            match runtime(2)?.block_on(audit::run(&loaded.config, &what))? {
                Verdict::Whole => {}
                Verdict::Unproved => code = ExitCode::from(UNPROVED),
                Verdict::Broken => anyhow::bail!("the audit log is not what was sealed"),
            }
            Ok(())
        }
        Some(Command::Doctor) => {
            let is_well = runtime(2)?.block_on(doctor::run(&loaded));
            anyhow::ensure!(is_well, "something does not work");
            Ok(())
        }
        Some(Command::Health) => health(&loaded.config),
        Some(Command::Keys(what)) => runtime(2)?.block_on(keys::run(&loaded.config, &what)),
        Some(Command::Deliveries(what)) => {
            let mut config = loaded.config;
            if secrets::kept(&config) {
                secrets::ensure(&mut config)?;
            }
            deliveries::run(&config, &what)
        }
    });
    match outcome {
        Ok(()) => code,
        Err(fault) => {
            eprintln!("carillon: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn loaded(given: Given, command: Option<&Command>) -> anyhow::Result<Loaded> {
    let mut flags: Flags = Vec::new();
    if let Some(Command::Serve { no_worker: true }) = command {
        flags.push(("--no-worker", "worker.enabled".to_owned(), "false".to_owned()));
    }
    for pair in given.set {
        let (key, value) =
            pair.split_once('=').with_context(|| format!("--set takes section.key=value, not `{pair}`"))?;
        flags.push(("--set", key.trim().to_owned(), value.to_owned()));
    }
    let named = [
        ("--host", "server.host", given.host),
        ("--port", "server.port", given.port),
        ("--database-url", "database.url", given.database_url),
    ];
    for (flag, key, value) in named {
        if let Some(value) = value {
            flags.push((flag, key.to_owned(), value));
        }
    }
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(config::named_file(given.config).as_deref(), variables, flags)
}

fn runtime(threads: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().context("the runtime could not be started")
}

fn serve(loaded: Loaded) -> anyhow::Result<()> {
    let mut config = loaded.config;
    let in_development = config.server.environment == Environment::Development;
    telemetry::start_logging(&config.log, in_development)?;
    tell_of(&loaded.links);
    parts::is_enough()?;
    let made = secrets::ensure(&mut config)?;
    secrets::ensure_push_keys(&mut config)?;
    let runtime = runtime(config.server.threads)?;
    let server = config.server.clone();
    runtime
        .block_on(async {
            let app = App::start(&config).await?;
            let mut signals = lifecycle::Signals::listen()?;
            let (address, is_encrypted) = app.addresses[0];
            let beside = app.addresses.get(1).map(|(address, _)| tracing::field::display(*address));
            tracing::info!(
                %address,
                tls = if is_encrypted { Some(tracing::field::display(address)) } else { beside },
                version = env!("CARGO_PKG_VERSION"),
                "listening"
            );
            if in_development {
                let scheme = if is_encrypted { "https" } else { "http" };
                let demo = format!("{scheme}://127.0.0.1:{}/", address.port());
                let dashboard =
                    config.dashboard.enabled.then(|| format!("; the dashboard at {demo}dashboard"));
                let dashboard = dashboard.unwrap_or_default();
                tracing::info!("the demo is at {demo}{dashboard}, for a browser on this machine");
            }
            if let Some(file) = made {
                tracing::info!(
                    file = %file.display(),
                    "secrets for development are kept here; mint a token by `carillon token --user 2`"
                );
            }
            let signal = signals.told_to_stop(app.tls.as_deref()).await;
            tracing::info!(signal, "told to stop");
            let limit = Duration::from_millis(server.shutdown_timeout_ms);
            let delay = Duration::from_millis(server.shutdown_delay_ms);
            lifecycle::stop(app, limit, delay).await;
            Ok(())
        })
        .inspect(|()| runtime.shutdown_timeout(Duration::from_millis(500)))
}

/// What looks like settings and was left aside.
fn tell_of(links: &[String]) {
    if !links.is_empty() {
        let variables = links.join(", ");
        tracing::info!(variables, "left aside: these link to services, and are no settings");
    }
}

fn work(loaded: &Loaded) -> anyhow::Result<()> {
    let config = &loaded.config;
    let in_development = config.server.environment == Environment::Development;
    telemetry::start_logging(&config.log, in_development)?;
    tell_of(&loaded.links);
    parts::is_enough()?;
    runtime(1)?.block_on(async {
        let stop = CancellationToken::new();
        let worker = App::worker(config, stop.clone()).await?;
        let mut signals = lifecycle::Signals::listen()?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "working");
        let told = async {
            let signal = signals.told_to_stop(None).await;
            tracing::info!(signal, "stopping: what is under way is brought to an end");
            stop.cancel();
            tokio::time::sleep(Duration::from_millis(config.server.shutdown_timeout_ms)).await;
        };
        // Whichever comes first.
        tokio::select! { () = worker => {}, () = told => {} }
        tracing::info!("stopped");
        Ok(())
    })
}

fn mint(loaded: Loaded, token: Token) -> anyhow::Result<()> {
    let is_service = token.service.is_some();
    let sub = token.user.or(token.service).unwrap_or_default();
    anyhow::ensure!(
        UserId::new(&sub).is_ok(),
        "`{sub}` is no name for --user or --service: 1 to 128 bytes, no control characters"
    );
    if let Some(tenant) = &token.tenant {
        anyhow::ensure!(
            Tenant::new(tenant).is_ok(),
            "`{tenant}` is no name for --tenant: 1 to 128 bytes, no control characters"
        );
    }
    let mut config = loaded.config;
    let kept = secrets::kept(&config);
    if let Some(made) = secrets::ensure(&mut config)?.filter(|_| !kept) {
        let made = made.display();
        eprintln!("carillon: made new secrets in {made}; a server that uses this database takes the token");
    }
    let lasts = seconds(&token.ttl)?;
    let mut scopes = token.scope;
    if is_service && !scopes.iter().any(|scope| scope == "notifications:send") {
        scopes.push("notifications:send".to_owned());
    }
    let iat = SystemClock.now().as_seconds();
    let mint = Mint {
        sub,
        tenant_id: token.tenant,
        roles: token.role,
        scope: scopes.join(" "),
        iat,
        exp: iat.saturating_add(lasts),
        ..Mint::default()
    };
    println!("{}", mint.sign(&config.auth)?);
    Ok(())
}

fn vapid() -> anyhow::Result<()> {
    let (public, private) = Vapid::generate()?;
    println!("VAPID_PUBLIC_KEY={public}\nVAPID_PRIVATE_KEY={private}");
    Ok(())
}

fn seconds(text: &str) -> anyhow::Result<i64> {
    let wrong = || format!("--ttl is `{text}`; use a number and s, m, h or d, such as 12h");
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let number: i64 = number.parse().with_context(wrong)?;
    let unit = match unit {
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => 1,
    };
    number.checked_mul(unit).filter(|seconds| *seconds > 0).with_context(wrong)
}

fn print(loaded: &Loaded) -> anyhow::Result<()> {
    let settings = loaded.effective();
    let width = settings.iter().map(|set| set.key.len() + set.value.len()).max().unwrap_or(0).min(60);
    for set in settings {
        let line = format!("{} = {}", set.key, set.value);
        println!("{line:<width$}  # {}", set.source, width = width + 3);
    }
    if !loaded.links.is_empty() {
        eprintln!("Left aside, as links to services: {}", loaded.links.join(", "));
    }
    Ok(())
}

fn migrate(config: &Config, to: Option<&str>) -> anyhow::Result<()> {
    let url = config.database.url.parse()?;
    if let Some(to) = to {
        let to = to.parse()?;
        store::use_keys(&config.database)?;
        let moving = store::transfer(&url, &to, |progress| println!("{progress}"));
        let moved = runtime(2)?.block_on(moving)?;
        println!(
            "Moved and compared: {} notifications, {} people, {} inbox entries. Now start the servers on it.",
            moved.notifications, moved.recipients, moved.entries
        );
        if let Some(file) = secrets::push_keys_file(config) {
            println!(
                "Browsers that take pushes know the keys in {}: set VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY to them on \
                 all nodes.",
                file.display()
            );
        }
        return Ok(());
    }
    let applied = runtime(2)?.block_on(store::migrate(&url))?;
    match applied.as_slice() {
        [] => println!("The database is up to date."),
        applied => println!("Applied: {}", applied.join(", ")),
    }
    Ok(())
}

fn describe(description: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(description)?);
    Ok(())
}

fn health(config: &Config) -> anyhow::Result<()> {
    let answer = ask(config, "GET", "/health/ready", None)?;
    anyhow::ensure!(answer.status == 200, "not ready: {}", answer.body.lines().last().unwrap_or_default());
    println!("ready");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, expected) in [("90s", 90), ("90", 90), ("15m", 900), ("12h", 43_200), ("2d", 172_800)] {
            assert_eq!(seconds(text).ok(), Some(expected));
        }
        for text in ["", "h", "-1h", "0s", "5w", "9223372036854775807d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
