//! How many sockets there is room for, by the descriptors that the process may open.

use crate::config::Config;

/// Descriptors kept for the database, the listener, what leaves this server and requests without a socket: an eighth of all,
/// and so many at least and at most.
const RESERVE: (usize, usize) = (128, 512);
/// Without so many nothing works: the database alone takes about twenty.
const LEAST: usize = 64;
/// Sockets for which there should be room.
pub const LEAST_SOCKETS: usize = 100;
/// What to do.
pub const RAISE: &str = "raise it: `ulimit -Hn 65536`, LimitNOFILE=65536 in a systemd unit, or nofile in \
    /etc/security/limits.conf";

/// Takes all descriptors that this process may have, and tells if these are few.
///
/// # Errors
/// When they are so few that no server works.
pub fn is_enough() -> anyhow::Result<()> {
    let descriptors = all();
    let (sockets, _) = room_in(descriptors, 0);
    anyhow::ensure!(
        descriptors >= LEAST,
        "this process may have {descriptors} files open at once (`ulimit -n`): too few for the database and a single \
         client, who need {LEAST} at least; {RAISE}"
    );
    if sockets < LEAST_SOCKETS {
        tracing::warn!(
            "this process may have {descriptors} files open at once (`ulimit -n`): there is room for {sockets} sockets, and \
             whoever comes behind these is refused; {RAISE}"
        );
    }
    Ok(())
}

fn all() -> usize {
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    usize::try_from(descriptors).unwrap_or(usize::MAX)
}

/// How many sockets there may be, and how many TCP connections: a few more, so that whoever asks how it is finds a place. As
/// many as set, and no more than the process may open descriptors.
pub fn room(config: &Config) -> (usize, usize) {
    let (sockets, connections) = room_in(all(), config.limits.sockets);
    if sockets < config.limits.sockets {
        tracing::warn!(
            wanted = config.limits.sockets,
            sockets,
            "limits.sockets is more than the process may open descriptors for; raise `ulimit -n` (LimitNOFILE)"
        );
    }
    (sockets, connections)
}

/// The same, of so many descriptors. As many sockets as `wanted`, or as there may be for 0.
pub fn room_in(descriptors: usize, wanted: usize) -> (usize, usize) {
    let reserve = (descriptors / 8).clamp(RESERVE.0, RESERVE.1);
    let most = descriptors.saturating_sub(reserve).max(16);
    let sockets = if wanted == 0 { most } else { wanted.min(most) };
    (sockets, sockets + (reserve / 2).min(descriptors / 4))
}

/// How many descriptors it takes to have so many sockets.
pub fn descriptors(sockets: usize) -> usize {
    sockets.saturating_add(sockets.div_ceil(7).clamp(RESERVE.0, RESERVE.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_sockets_than_descriptors() {
        for (descriptors, wanted, sockets, connections) in [
            (1_024, 0, 896, 960),
            (1_024, 100, 100, 164),
            (1_024, 100_000, 896, 960),
            (256, 0, 128, 192),
            (64, 0, 16, 32),
            (1_048_576, 0, 1_048_064, 1_048_320),
        ] {
            assert_eq!(room_in(descriptors, wanted), (sockets, connections), "{descriptors}");
        }
        for sockets in [16, 896, 897, 3_000, 10_000] {
            assert_eq!(room_in(descriptors(sockets), sockets).0, sockets);
        }
    }
}
