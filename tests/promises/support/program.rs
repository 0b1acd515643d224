//! The program under test.

use std::process::Command;

/// Where a program that counts its lines keeps the counts.
const COUNTS: &str = "LLVM_PROFILE_FILE";

/// Names another build of the program: `make storm` takes the one that is quick.
const PROGRAM: &str = "CARILLON_TESTS_PROGRAM";

/// The program with nothing from this environment, but for where `make coverage` wants the counts.
pub fn program() -> Command {
    let program = std::env::var_os(PROGRAM);
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_carillon").into()));
    command.env_clear().envs(std::env::var_os(COUNTS).map(|path| (COUNTS, path)));
    command
}
