//! Where the figures were taken: machine, disk and versions, so that a reader can judge and repeat them.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use sha2::{Digest, Sha256};

use crate::figures::percentile;
use crate::settings::{Kind, Settings, Shape};
use crate::{postgres, redis};

/// Holds the load tool on its core and raises the limit on open files; children inherit the latter.
pub fn prepare(settings: &Settings) -> Result<()> {
    let mut core = CpuSet::new();
    core.set(settings.load_core);
    sched_setaffinity(None, &core).context("the load tool's core does not exist; two cores are needed")?;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raising the limit on open files")?;
    if let Some(most) = limit.current {
        let needed = settings.most_sockets() + 1_000;
        anyhow::ensure!(most >= needed, "{needed} open files are needed, the limit is {most} (ulimit -Hn)");
    }
    Ok(())
}

/// How long a fixed calculation takes now, in ms: the best of five. A rented machine's speed can change by half within
/// minutes without a trace in `/proc/stat`; this shows it.
pub fn fixed_work_ms() -> f64 {
    let data = vec![7_u8; 1 << 20];
    let once = || {
        let start = Instant::now();
        std::hint::black_box(Sha256::digest(std::hint::black_box(&data)));
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// Lines for the report: what, and its value.
pub fn describe(settings: &Settings) -> Result<Vec<(&'static str, String)>> {
    let mut lines = vec![
        ("Date", said("date", &["-u", "+%Y-%m-%d"])),
        ("CPU", format!("{}, {} online", cpu_model(), cores())),
        ("Kernel", kernel()),
        (
            "Database directory",
            format!("{}, write + fdatasync {:.0} µs (median)", filesystem(&settings.dir), sync_micros(settings)?),
        ),
    ];
    if settings.only.iter().any(|shape| shape.on_postgres()) {
        lines.push(("PostgreSQL", postgres::version()));
    }
    if settings.only.iter().any(|shape| shape.on_redis()) {
        lines.push(("Redis", redis::version()));
    }
    let kinds = settings.all_kinds();
    if kinds.iter().any(|kind| kind.is_carillon()) {
        let default = settings.root.join("target/release/carillon");
        let binary = settings.carillon.as_ref().unwrap_or(&default);
        lines.push((
            "Carillon",
            format!("{} ({})", said(&binary.to_string_lossy(), &["--version"]), said("rustc", &["--version"])),
        ));
    }
    if kinds.iter().any(|kind| matches!(kind, Kind::Node | Kind::NodeTuned)) {
        lines.push(("Node", format!("{}, {}", said("node", &["--version"]), peer_versions(settings)?)));
    }
    if kinds.contains(&Kind::Bun) {
        let bun = settings.root.join("bench/peer/node_modules/.bin/bun");
        let engine = versions(settings, &["socket.io", "@socket.io/bun-engine"])?;
        lines.push(("Bun", format!("{}, {engine}", said(&bun.to_string_lossy(), &["--version"]))));
    }
    Ok(lines)
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cpu_info() -> String {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

fn cpu_model() -> String {
    let info = cpu_info();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.into(), |(_, model)| model.into())
}

fn cores() -> usize {
    cpu_info().lines().filter(|line| line.starts_with("processor")).count()
}

/// The type of the file system that holds `dir`.
fn filesystem(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_default();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let mut columns = line.split(' ').skip(1);
        let (point, kind) = (columns.next()?, columns.next()?);
        dir.starts_with(point).then_some((point.len(), kind))
    });
    holding.max().map_or_else(|| "unknown".into(), |(_, kind)| kind.into())
}

/// What one durable write costs here: the median of 200 appends of 4 KiB.
fn sync_micros(settings: &Settings) -> Result<f64> {
    let path = settings.dir.join("sync-probe");
    let mut file = File::create(&path)?;
    let mut micros = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    micros.sort_by(f64::total_cmp);
    Ok(percentile(&micros, 50.0))
}

fn peer_versions(settings: &Settings) -> Result<String> {
    let mut names = vec!["socket.io", "better-sqlite3", "jsonwebtoken", "bufferutil"];
    if settings.only.contains(&Shape::Rest) {
        names.push("fastify");
    }
    if settings.only.iter().any(|shape| shape.on_postgres()) {
        names.push("pg");
    }
    if settings.only.iter().any(|shape| shape.on_redis()) {
        names.extend(["redis", "@socket.io/redis-adapter"]);
    }
    versions(settings, &names)
}

fn versions(settings: &Settings, names: &[&str]) -> Result<String> {
    let lock = fs::read_to_string(settings.root.join("bench/peer/package-lock.json"))?;
    let lock: serde_json::Value = serde_json::from_str(&lock)?;
    let version = |name: &str| {
        let version = &lock["packages"][format!("node_modules/{name}")]["version"];
        format!("{name} {}", version.as_str().unwrap_or("unknown"))
    };
    Ok(names.iter().copied().map(version).collect::<Vec<_>>().join(", "))
}

/// `6.18`: what follows is the builder's business.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}
