//! What the kernel counts: CPU time and memory of processes, and whose work the machine did meanwhile. Promises:
//! reads only `/proc`; shares are of one core.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Above this much of one core spent on other processes, a round counts as disturbed.
const FOREIGN_LIMIT: f64 = 0.08;
/// Above this much of one core taken by the hypervisor, likewise.
const STEAL_LIMIT: f64 = 0.03;

/// Set in a process's flags when it is a thread of the kernel (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The processes of a measurement, by what they are counted as.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    pub servers: Vec<u32>,
    /// Nodes that nobody is connected to.
    pub bystanders: Vec<u32>,
    /// The first process of a PostgreSQL; its children count with it.
    pub postgres: Option<u32>,
    pub redis: Option<u32>,
}

/// What happened between two samples.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    pub wall_s: f64,
    pub server_cpu_s: f64,
    pub bystander_cpu_s: f64,
    pub postgres_cpu_s: f64,
    pub redis_cpu_s: f64,
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
    watched: Watched,
    at: Instant,
    times: Times,
    busy: Duration,
    steal: Duration,
}

/// CPU time, by whose it is.
#[derive(Default)]
struct Times {
    own: Duration,
    servers: Duration,
    bystanders: Duration,
    postgres: Duration,
    redis: Duration,
    kernel: Duration,
}

impl Sample {
    pub fn take(watched: &Watched) -> Result<Self> {
        let (busy, steal) = machine_time()?;
        Ok(Self { watched: watched.clone(), busy, steal, times: Times::take(watched)?, at: Instant::now() })
    }

    /// What was used since the sample.
    pub fn until_now(&self) -> Result<Usage> {
        let now = Self::take(&self.watched)?;
        let wall_s = (now.at - self.at).as_secs_f64();
        let seconds = |later: Duration, earlier: Duration| later.saturating_sub(earlier).as_secs_f64();
        let spent = |time: fn(&Times) -> Duration| seconds(time(&now.times), time(&self.times));
        let server_cpu_s = spent(|times| times.servers);
        let bystander_cpu_s = spent(|times| times.bystanders);
        let postgres_cpu_s = spent(|times| times.postgres);
        let redis_cpu_s = spent(|times| times.redis);
        let own = spent(|times| times.own);
        let kernel = spent(|times| times.kernel);
        let ours = server_cpu_s + bystander_cpu_s + postgres_cpu_s + redis_cpu_s + own + kernel;
        let foreign = seconds(now.busy, self.busy) - ours;
        Ok(Usage {
            wall_s,
            server_cpu_s,
            bystander_cpu_s,
            postgres_cpu_s,
            redis_cpu_s,
            server_share: server_cpu_s / wall_s,
            load_share: own / wall_s,
            kernel_share: kernel / wall_s,
            foreign_share: foreign.max(0.0) / wall_s,
            steal_share: seconds(now.steal, self.steal) / wall_s,
        })
    }
}

impl Times {
    /// Reads every process once. A server that is gone is a fault; a Redis may be away.
    fn take(watched: &Watched) -> Result<Self> {
        let mut times = Self::default();
        let mut found = 0;
        for (pid, process) in processes() {
            let is_server = watched.servers.contains(&pid);
            let is_bystander = watched.bystanders.contains(&pid);
            found += usize::from(is_server || is_bystander);
            if pid == std::process::id() {
                times.own += process.time;
            } else if is_server {
                times.servers += process.time;
            } else if is_bystander {
                times.bystanders += precise_time(pid).unwrap_or(process.time);
            } else if watched.postgres == Some(pid) {
                times.postgres += process.time + process.of_ended_children;
            } else if watched.postgres == Some(process.parent) {
                times.postgres += process.time;
            } else if watched.redis == Some(pid) {
                times.redis += process.time;
            } else if process.flags & KERNEL_THREAD != 0 {
                times.kernel += process.time;
            }
        }
        ensure!(found == watched.servers.len() + watched.bystanders.len(), "a server is gone");
        Ok(times)
    }
}

/// From a line of `/proc/PID/stat`.
struct Process {
    parent: u32,
    flags: u64,
    /// User and system time of all its threads.
    time: Duration,
    /// The same, of children that have ended.
    of_ended_children: Duration,
}

/// The same to the nanosecond, for processes that hardly do anything.
fn precise_time(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let spent = |schedstat: String| schedstat.split_whitespace().next()?.parse::<u64>().ok();
    let times = threads.map(|thread| spent(fs::read_to_string(thread.path().join("schedstat")).ok()?));
    times.sum::<Option<u64>>().map(Duration::from_nanos)
}

/// Every process there is, with its pid.
fn processes() -> impl Iterator<Item = (u32, Process)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, Process::read(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
    })
}

impl Process {
    /// See proc_pid_stat(5); fields count from 1.
    fn read(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            flags: field(9)?,
            time: ticks(field(14)? + field(15)?),
            of_ended_children: ticks(field(16)? + field(17)?),
        })
    }
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
