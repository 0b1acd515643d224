//! A program that ends with the tests, however those end, and leaves nothing behind.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::eventually;

/// Starts the program at each line it reads. At the end of its input, which also comes when the tests are killed, it
/// ends the program and removes the folder.
const SCRIPT: &str = r#"
program=
while read -r order; do
    [ -z "$program" ] || wait "$program"
    "$@" >>log 2>&1 &
    program=$!
    echo "$program"
done
[ -z "$program" ] || { kill -CONT "$program"; kill "-$LAST_SIGNAL" "$program"; wait "$program"; } 2>/dev/null
home=$PWD
cd / && rm -rf "$home"
"#;

/// Who a program runs as: its user and group.
pub type User = (u32, u32);

/// A program in a folder of its own, as told by a shell that watches over it.
pub struct Keeper {
    shell: Child,
    orders: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    program: Option<Pid>,
    home: PathBuf,
}

/// A new folder, which belongs to the user.
pub fn home_of(user: Option<User>) -> PathBuf {
    let home = tempfile::Builder::new().prefix("carillon-tests-").tempdir().expect("a folder").keep();
    if let Some((user, group)) = user {
        std::os::unix::fs::chown(&home, Some(user), Some(group)).expect("a folder to give away");
    }
    home
}

/// A command as this user, with nothing from this environment.
pub fn command_as(user: Option<User>, program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C");
    command.current_dir(home).stdin(Stdio::null());
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

impl Keeper {
    /// Gets ready to start the program; `last` is the signal that ends it.
    pub fn of(home: PathBuf, user: Option<User>, program: &Path, arguments: &[String], last: &str) -> Self {
        let mut shell = command_as(user, Path::new("/bin/sh"), &home)
            .args(["-c", SCRIPT, "keeper"])
            .arg(program)
            .args(arguments)
            .env("LAST_SIGNAL", last)
            .process_group(0) // an interrupt from the keyboard is for the tests
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let orders = shell.stdin.take();
        let told = BufReader::new(shell.stdout.take().expect("its output"));
        Self { shell, orders, told, program: None, home }
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Starts the program, which must not be running.
    pub fn start(&mut self) {
        let orders = self.orders.as_mut().expect("a pipe to the shell");
        writeln!(orders, "start").expect("the shell to listen");
        let mut line = String::new();
        self.told.read_line(&mut line).expect("the shell to answer");
        self.program = Some(Pid::from_raw(line.trim().parse().expect("the number of a process")));
    }

    /// The last lines the program said.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Sends a signal to the program and to all that it started.
    pub fn signal(&self, signal: Signal) {
        let program = self.program.expect("a started program");
        kill(program, signal).expect("the program to take a signal");
        for child in children(program) {
            let _ = kill(child, signal); // it may just have ended
        }
    }

    /// Takes the program away at once.
    pub fn kill(&mut self) {
        let program = self.program.expect("a started program");
        let mut family = children(program);
        family.push(program);
        self.signal(Signal::SIGKILL);
        eventually("a killed program is gone", || family.iter().all(|one| is_gone(*one)).then_some(()));
        self.program = None;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.shell.wait();
    }
}

/// What `/proc` tells of a process after its name: its state, its parent, …
fn facts(process: Pid) -> Option<(String, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

fn is_gone(process: Pid) -> bool {
    facts(process).is_none_or(|(state, _)| state == "Z" || state == "X")
}

fn children(parent: Pid) -> Vec<Pid> {
    let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
    numbers
        .filter_map(|entry| Some(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)))
        .filter(|process| facts(*process).is_some_and(|(_, its)| its == parent.as_raw()))
        .collect()
}
