//! The program under test.

use std::process::Command;

/// Where a program that counts its lines keeps the counts.
const COUNTS: &str = "LLVM_PROFILE_FILE";

/// The program with nothing from this environment, but for where `make coverage` wants the counts.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carillon"));
    command.env_clear().envs(std::env::var_os(COUNTS).map(|path| (COUNTS, path)));
    command
}
