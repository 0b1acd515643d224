//! The files in `deploy/`: `tests/deploy/check.sh` holds them against schemas, each other and this program.

use std::process::{Command, Stdio};

#[test]
fn what_deploy_holds_is_right() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/check.sh");
    let output = Command::new(script)
        .arg(env!("CARGO_BIN_EXE_carillon"))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|fault| panic!("{script}: {fault}"));
    let said = String::from_utf8_lossy(&output.stdout);
    // For `--nocapture`: it tells what was skipped.
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
