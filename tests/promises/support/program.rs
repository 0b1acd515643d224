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

/// A setting of tests: the program may open so many descriptors.
pub const DESCRIPTORS: &str = "TESTS_DESCRIPTORS";

/// The same program, which may open so many descriptors from the start.
pub fn within(descriptors: &str, program: &Command) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", r#"ulimit -n "$1" && shift && exec "$@""#, "sh", descriptors])
        .arg(program.get_program());
    command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(home) = program.get_current_dir() {
        command.current_dir(home);
    }
    command
}
