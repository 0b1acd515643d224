//! What failed over channels that are not sockets, for operators: they ask the server, which knows its database.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::ask::ask;
use crate::access::Mint;
use crate::config::Config;
use crate::domain::{Clock as _, SystemClock};

/// Seconds that the token lasts by which the server is asked.
const LASTS: i64 = 60;

#[derive(Subcommand)]
pub enum Deliveries {
    /// List what was given up, the latest first, and why
    Failed {
        #[command(flatten)]
        of: Of,
        /// How many, 1 to 100
        #[arg(long, default_value_t = 20)]
        limit: u8,
        /// Those before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
    /// Try what was given up again: one, or all
    #[command(group(clap::ArgGroup::new("which").args(["number", "all"]).required(true)))]
    Retry {
        #[command(flatten)]
        of: Of,
        /// The number of one
        number: Option<i64>,
        /// All of the tenant's
        #[arg(long)]
        all: bool,
    },
}

#[derive(Args)]
pub struct Of {
    /// Whose they are [default: those who belong to no tenant]
    #[arg(long)]
    tenant: Option<String>,
    /// The token to show, where tokens are signed by somebody else
    #[arg(long)]
    token: Option<String>,
}

impl Of {
    fn token(&self, config: &Config) -> anyhow::Result<String> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let iat = SystemClock.now().as_seconds();
        let mint = Mint {
            sub: "carillon-cli".to_owned(),
            tenant_id: self.tenant.clone(),
            roles: vec!["admin".to_owned()],
            iat,
            exp: iat + LASTS,
            ..Mint::default()
        };
        mint.sign(&config.auth).context("show an administrator's token by --token")
    }
}

/// Asks, and prints what is answered.
///
/// # Errors
/// When the server cannot be asked, or refuses.
pub fn run(config: &Config, what: &Deliveries) -> anyhow::Result<()> {
    match what {
        Deliveries::Failed { of, limit, before } => {
            let cursor = before.map(|number| format!("&cursor={number}")).unwrap_or_default();
            let path = format!("/api/v1/deliveries/failed?limit={limit}{cursor}");
            list(&ask(config, "GET", &path, Some(&of.token(config)?))?.json()?);
        }
        Deliveries::Retry { of, number, .. } => {
            let mut path = match number {
                Some(number) => format!("/api/v1/deliveries/{number}/retry"),
                None => "/api/v1/deliveries/failed/retry".to_owned(),
            };
            let mut retried = 0;
            loop {
                let answer = ask(config, "POST", &path, Some(&of.token(config)?))?.json()?;
                retried += answer["retried"].as_u64().unwrap_or(0);
                let Some(next) = answer["next_cursor"].as_i64() else { break };
                path = format!("/api/v1/deliveries/failed/retry?cursor={next}");
            }
            println!("{retried} tried again");
        }
    }
    Ok(())
}

fn list(page: &Value) {
    let all = page["deliveries"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        println!("Nothing has failed.");
        return;
    }
    println!("{:<10} {:<25} {:<6} {:<20} {:<20} REASON", "NUMBER", "GIVEN UP", "BY", "USER", "TYPE");
    for one in all {
        let text = |name: &str| match &one[name] {
            Value::String(text) => text.escape_debug().to_string(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        println!(
            "{:<10} {:<25} {:<6} {:<20} {:<20} {} ({} attempts)",
            text("id"),
            text("failed_at"),
            text("channel"),
            text("user_id"),
            text("type"),
            text("reason"),
            one["attempts"].as_array().map_or(0, Vec::len)
        );
    }
    if let Some(next) = page["next_cursor"].as_i64() {
        println!("There are more: --before {next}");
    }
}
