//! A network that nobody else uses, in which packets are lost: the kernel's packet filter drops them. (`tc netem`, the usual
//! tool, is missing in many kernels.)

use std::io::Write;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};

use crate::support::Proxy;

/// The network of the thread that made it, and of everything that thread starts.
pub struct Network(());

impl Network {
    /// Moves this thread into it; `None` where that may not be.
    pub fn own() -> Option<Self> {
        let trial = "ip link set lo up && nft list ruleset";
        let allowed =
            Command::new("unshare").args(["--net", "sh", "-c", trial]).stdin(Stdio::null()).output();
        match allowed {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                eprintln!("not staged: lost packets need root and nftables: {}", why.trim());
                return None;
            }
            Err(fault) => {
                eprintln!("not staged: lost packets need a network of their own: unshare: {fault}");
                return None;
            }
        }
        unshare(CloneFlags::CLONE_NEWNET).expect("a network, as in the trial");
        run(Command::new("ip").args(["link", "set", "lo", "up"]), "");
        Some(Self(()))
    }

    /// Loses so many of a hundred packets to and from these, at random.
    pub fn lose<'a>(&self, percent: u32, lines: impl Iterator<Item = &'a Proxy>) {
        let ports: Vec<String> = lines.map(|line| line.address.port().to_string()).collect();
        let ports = ports.join(", ");
        let rule =
            |side: &str| format!("tcp {side} {{ {ports} }} numgen random mod 100 < {percent} counter drop");
        let rules = format!(
            "table inet loss {{\n chain arriving {{\n type filter hook input priority 0;\n {}\n {}\n }}\n}}\n",
            rule("dport"),
            rule("sport")
        );
        run(Command::new("nft").args(["-f", "-"]), &rules);
    }

    /// Loses nothing any more; tells how many packets were lost.
    pub fn heal(&self) -> u64 {
        let rules = run(Command::new("nft").args(["list", "ruleset"]), "");
        let lost = rules.split("counter packets ").skip(1).filter_map(|rest| rest.split(' ').next());
        let lost = lost.filter_map(|number| number.parse::<u64>().ok()).sum();
        run(Command::new("nft").args(["flush", "ruleset"]), "");
        lost
    }
}

fn run(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a program");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it to read");
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "{command:?} fails on: {input}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
