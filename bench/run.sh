#!/bin/sh
# Builds Carillon, its Node peer and the load tool, then measures them; arguments go to the load tool (--help).
# Without arguments: the whole published run, written into docs/PERFORMANCE.md; the shapes that need PostgreSQL or Redis
# only where those are installed (the load tool says what it leaves out).
# With `--server node` or `--server node-tuned` Carillon is not built; its CARGO_TARGET_DIR is respected.
set -eu

cd "$(dirname "$0")/.."
root=$(pwd)
load="$root/bench/load"

need() {
  command -v "$1" >/dev/null 2>&1 || { echo "bench: $1 is needed ($2)" >&2; exit 1; }
}
need cargo "https://rustup.rs"
need node "Node 20 or newer"
need npm "it comes with Node"
need taskset "package util-linux"
need setpriv "package util-linux"
[ "$(nproc)" -ge 2 ] || { echo "bench: two cores are needed, one for each side" >&2; exit 1; }

# better-sqlite3 is native: a prebuilt binary where there is one, else built here with a C++ compiler and Python.
# Loading it is the proof; the lock file's copy says whether the tree is current.
peer_is_ready() {
  [ bench/peer/node_modules/.package-lock.json -nt bench/peer/package-lock.json ] &&
    (cd bench/peer && node -e '
      new (require("better-sqlite3"))(":memory:");
      ["socket.io", "@socket.io/redis-adapter", "pg", "redis", "fastify"].map((name) => require(name))') 2>/dev/null
}
if ! peer_is_ready; then
  (cd bench/peer && npm ci)
  peer_is_ready || {
    echo "bench: better-sqlite3 does not load; building it needs a C++ compiler, make and Python 3" >&2
    exit 1
  }
fi

carillon="${CARGO_TARGET_DIR:-$root/target}/release/carillon"
case " $* " in
  *" --server node"* | *" --server=node"*) with_carillon=no ;;
  *) with_carillon=yes ;;
esac
if [ "$with_carillon" = yes ]; then
  cargo build --release --locked
fi
CARGO_TARGET_DIR="$load/target" cargo build --release --locked --manifest-path "$load/Cargo.toml"

if [ "$#" -eq 0 ]; then
  set -- --out docs/PERFORMANCE.md
fi
if [ "$with_carillon" = yes ]; then
  set -- --carillon "$carillon" "$@"
fi
exec "$load/target/release/carillon-load" --root "$root" "$@"
