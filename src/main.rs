//! `carillon`: see [`carillon::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    carillon::cli::run()
}
