//! What the kernel counts: CPU time and memory of a process, and whose work the machine did meanwhile. Promises:
//! reads only `/proc`; shares are of one core.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// Above this much of one core spent on other processes, a round counts as disturbed.
const FOREIGN_LIMIT: f64 = 0.08;
/// Above this much of one core taken by the hypervisor, likewise.
const STEAL_LIMIT: f64 = 0.03;

/// Set in a process's flags when it is a thread of the kernel (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What happened between two samples.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    pub wall_s: f64,
    pub server_cpu_s: f64,
    pub server_share: f64,
    /// The load tool's own share of its core.
    pub load_share: f64,
    /// Kernel threads (journal, writeback, block I/O), which work for whichever server writes.
    pub kernel_share: f64,
    /// Everybody else's processes.
    pub foreign_share: f64,
    pub steal_share: f64,
}

impl Usage {
    pub fn quiet(&self) -> bool {
        self.foreign_share <= FOREIGN_LIMIT && self.steal_share <= STEAL_LIMIT
    }
}

/// The counters at one moment.
pub struct Sample {
    pid: u32,
    at: Instant,
    server: Duration,
    own: Duration,
    kernel: Duration,
    busy: Duration,
    steal: Duration,
}

impl Sample {
    pub fn take(pid: u32) -> Result<Self> {
        let (busy, steal) = machine_time()?;
        Ok(Self {
            pid,
            busy,
            steal,
            kernel: kernel_threads(),
            own: cpu_time(std::process::id())?,
            server: cpu_time(pid)?,
            at: Instant::now(),
        })
    }

    /// What was used since the sample.
    pub fn until_now(&self) -> Result<Usage> {
        let now = Self::take(self.pid)?;
        let wall_s = (now.at - self.at).as_secs_f64();
        let seconds = |later: Duration, earlier: Duration| later.saturating_sub(earlier).as_secs_f64();
        let server_cpu_s = seconds(now.server, self.server);
        let own = seconds(now.own, self.own);
        let kernel = seconds(now.kernel, self.kernel);
        let foreign = seconds(now.busy, self.busy) - server_cpu_s - own - kernel;
        Ok(Usage {
            wall_s,
            server_cpu_s,
            server_share: server_cpu_s / wall_s,
            load_share: own / wall_s,
            kernel_share: kernel / wall_s,
            foreign_share: foreign.max(0.0) / wall_s,
            steal_share: seconds(now.steal, self.steal) / wall_s,
        })
    }
}

/// User and system time of a process, all its threads.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    process_time(&stat).map(|(time, _)| time).context("unexpected /proc/PID/stat")
}

/// CPU time and flags from a line of `/proc/PID/stat` (see proc_pid_stat(5); fields count from 1).
fn process_time(stat: &str) -> Option<(Duration, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((ticks(field(14)? + field(15)?), field(9)?))
}

fn kernel_threads() -> Duration {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|entry| process_time(&fs::read_to_string(entry.path().join("stat")).ok()?))
        .filter(|(_, flags)| flags & KERNEL_THREAD != 0)
        .map(|(time, _)| time)
        .sum()
}

/// The whole machine's work on behalf of processes, and its stolen time. Interrupts are left out: the kernel
/// counts some of them for the process as well.
fn machine_time() -> Result<(Duration, Duration)> {
    let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let columns: Vec<u64> = line.split_whitespace().skip(1).filter_map(|column| column.parse().ok()).collect();
    let [user, nice, system, _, _, _, _, steal, ..] = columns[..] else {
        anyhow::bail!("unexpected /proc/stat: {line}");
    };
    Ok((ticks(user + nice + system), ticks(steal)))
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A process's memory in KiB: what is resident now, and the most that ever was.
pub fn memory_kib(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse().ok()
    };
    Ok((line("VmRSS:").context("no VmRSS")?, line("VmHWM:").context("no VmHWM")?))
}
