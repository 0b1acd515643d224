//! A child process of ours. Promises: held on one core; it dies with the load tool; it is ended, and waited for, when
//! the [`Child`] is dropped.

use std::fs::File;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// A Unix socket's path is at most this long (see unix(7)).
const SOCKET_PATH: usize = 107;

pub struct Child {
    process: process::Child,
    last: Signal,
}

/// A command that becomes its program under the same pid: `setpriv` lets it die with us by the signal named `death`,
/// and `taskset` holds all its threads on one core. Its environment is empty but for PATH and HOME; what it says on
/// standard error is kept in its directory.
pub fn command(core: usize, death: &str, dir: &Path) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", death, "taskset", "-c", &core.to_string()]);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.join("stderr"))?);
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.current_dir(dir);
    Ok(command)
}

impl Child {
    /// Starts it; `last` is the signal that ends it.
    pub fn start(command: &mut Command, last: Signal) -> Result<Self> {
        Ok(Self { process: command.spawn()?, last })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn take_stdout(&mut self) -> Result<process::ChildStdout> {
        self.process.stdout.take().context("no standard output")
    }

    /// Takes it away at once, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// That it has not ended by itself.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.process.try_wait()?;
        ensure!(ended.is_none(), "it ended: {ended:?}");
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let asked = Instant::now();
        if let (Ok(None), Some(pid)) = (self.process.try_wait(), Pid::from_raw(self.process.id().cast_signed())) {
            let _ = kill_process(pid, self.last);
        }
        while asked.elapsed() < STOP_LIMIT && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks `ready` again and again until it gives something; for at most `limit`.
pub fn eventually<T>(limit: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let started = Instant::now();
    loop {
        let found = ready()?;
        if found.is_some() || started.elapsed() > limit {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The program's file: in the path, or in one of the `other` folders.
pub fn find_program(name: &str, other: &[std::path::PathBuf]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(other.iter().cloned());
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// That a Unix socket can be made there.
pub fn check_socket(path: &Path) -> Result<()> {
    let length = path.as_os_str().len();
    ensure!(length <= SOCKET_PATH, "{} is too long for a socket; give a shorter --dir", path.display());
    Ok(())
}
