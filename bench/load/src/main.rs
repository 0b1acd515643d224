//! Carillon's load tool. It starts Carillon and a Node peer in turn, loads each in the same shapes over real
//! sockets, checks every answer, and reports what it cost the server. Promises: loopback only, bounded load, it
//! stops by itself and ends only the servers that it started.
//!
//! `settings` says what can be asked, `rounds` who plays when, `site` what runs, `shapes` what is measured, `report`
//! how it reads.

mod child;
mod client;
mod figures;
mod frame;
mod http;
mod ledger;
mod login;
mod machine;
mod postgres;
mod procfs;
mod redis;
mod report;
mod rounds;
mod server;
mod settings;
mod shapes;
mod site;

use std::fs;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

use settings::Settings;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("bench: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut settings = Settings::parse();
    if let Some(seconds) = settings.attach {
        ensure!(settings.server.kinds().len() == 1, "--attach needs one --server");
        ensure!(settings.only.len() == 1, "--attach needs --only with one shape");
        ensure!(settings.only[0] != settings::Shape::CatchUp, "--attach needs a shape of steady load");
        (settings.seconds, settings.rounds, settings.out) = (seconds, 1, None);
    }
    ensure!(
        settings.window >= settings.backends && settings.backends > 0,
        "every back end needs a place in the window"
    );
    settings.choose_shapes()?;
    fs::create_dir_all(&settings.dir)?;
    server::sweep(&settings.dir)?;
    machine::prepare(&settings)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all = runtime.block_on(rounds::play(&settings))?;
    let section = report::render(&all, &settings)?;
    println!("{section}");
    settings.out.as_deref().map_or(Ok(()), |path| report::place(path, &section))
}
