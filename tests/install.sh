#!/usr/bin/env bash
# Installs what the tests need and is not there: a browser, PostgreSQL, Redis, Caddy, OpenSSL, nftables, libfaketime and
# Python's venv from Debian; the Socket.IO clients from npm and PyPI, and Schemathesis, into tests/clients; what client-js is
# built and tested with. What is there stays as it is.
# Run again, it costs a second and asks no network.
#
#     tests/install.sh [coverage]      # and what `make coverage` needs, too
#     tests/install.sh client          # only what `make client` needs
set -euo pipefail
cd "$(dirname "$0")/clients"

venv=.venv
browsers=(chromium chromium-browser google-chrome-stable google-chrome)

say() { echo "tests: $*"; }
fail() {
  echo "tests: $*" >&2
  exit 1
}
# Debian keeps some programs where only root looks.
have() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    fail "root or sudo is needed for: $*"
  fi
}

updated=no
debian() {
  have apt-get || fail "please install: $* (this is not Debian, so it cannot be done from here)"
  say "installing $*"
  if [ "$updated" = no ]; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
    updated=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq --yes --no-install-recommends --no-upgrade "$@" </dev/null
}

# ---- the tools that everybody brings ----------------------------------------------------------

have cargo || fail "Rust 1.95 or newer is needed"
have cc || fail "a C compiler is needed: apt-get install gcc libc6-dev"
have node && have npm || fail "Node 20 or newer is needed, with npm"
for component in rustfmt clippy; do
  if ! cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1; then
    have rustup || fail "cargo's $component is needed"
    say "adding $component"
    rustup component add "$component"
  fi
done

# Counts of lines are read by tools of the same LLVM as the compiler's; rustup has them, and so may Debian.
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
has_llvm() { [ -x "$(rustc --print target-libdir)/../bin/llvm-cov" ] || [ -x "/usr/lib/llvm-$llvm/bin/llvm-cov" ]; }
if [ "${1:-}" = coverage ] && ! has_llvm; then
  say "installing the tools of LLVM $llvm"
  rustup component add llvm-tools 2>/dev/null || debian "llvm-$llvm"
  has_llvm || fail "no llvm-cov of LLVM $llvm was found: rustup component add llvm-tools"
fi

# ---- a browser ---------------------------------------------------------------------------------

has_browser() {
  local browser
  [ -x "${CHROMIUM:-}" ] && return
  for browser in "${browsers[@]}"; do have "$browser" && return; done
  return 1
}
has_browser || debian chromium fonts-liberation
has_browser || fail "no Chromium was found; name one by the variable CHROMIUM"

# ---- npm ---------------------------------------------------------------------------------------

# Whether what the lock file names is there, and these packages load from it.
npm_is_current() {
  local folder=$1
  shift
  [ -f "$folder/node_modules/.package-lock.json" ] && ! [ "$folder/package-lock.json" -nt "$folder/node_modules/.package-lock.json" ] &&
    (cd "$folder" && node --input-type=module -e "$(printf 'await import("%s");' "$@")" 2>/dev/null)
}
npm_packages() {
  npm_is_current "$@" && return
  say "installing the npm packages of $1"
  (cd "$1" && npm ci --no-audit --no-fund --loglevel=error </dev/null)
  touch "$1/node_modules/.package-lock.json"
  npm_is_current "$@" || fail "the npm packages of $1 do not load"
}
npm_packages ../../client-js esbuild playwright-core axe-core
if [ "${1:-}" = client ]; then exit; fi
npm_packages . socket.io-client playwright-core ws axe-core

# ---- databases, and what stands beside them ----------------------------------------------------

# Only the programs are wanted: the tests start servers of their own. So Debian is asked to start none meanwhile.
policy=/usr/sbin/policy-rc.d
without_services() {
  if ! [ -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  debian "$@"
}
has_postgres() {
  local program
  have postgres && have initdb && return
  for program in /usr/lib/postgresql/*/bin/initdb; do [ -x "$program" ] && return; done
  return 1
}
has_faketime() {
  local library
  for library in /usr/lib/*/faketime/libfaketimeMT.so.1; do [ -f "$library" ] && return; done
  return 1
}
missing=()
has_postgres || missing+=(postgresql)
have redis-server || missing+=(redis-server)
have caddy || missing+=(caddy)
have openssl || missing+=(openssl)
have ip || missing+=(iproute2)
have nft || missing+=(nftables)
has_faketime || missing+=(libfaketime)
if [ "${#missing[@]}" -gt 0 ]; then without_services "${missing[@]}"; fi
has_postgres || fail "no PostgreSQL was found: neither in the path nor in /usr/lib/postgresql"
for program in redis-server caddy openssl ip nft; do
  have "$program" || fail "no $program was found"
done

# ---- PyPI --------------------------------------------------------------------------------------

# Whether everything in requirements.txt is there in just that version.
python_is_current() {
  "$venv/bin/python" - requirements.txt 2>/dev/null <<'PYTHON'
import re
import sys
from importlib.metadata import version

for line in open(sys.argv[1]):
    wanted = re.match(r"([\w.-]+)(?:\[.*\])?==(\S+)", line)
    if wanted and version(wanted[1]) != wanted[2]:
        sys.exit(1)
PYTHON
}

# Debian's python3 comes without venv; another Python may stand before it in PATH.
make_venv() {
  local python
  for python in python3 /usr/bin/python3; do
    have "$python" && "$python" -m venv --clear "$venv" >/dev/null 2>&1 && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
  done
  rm -rf "$venv"
  return 1
}

if ! python_is_current; then
  say "installing the Python client"
  if ! make_venv; then
    debian python3 python3-venv
    make_venv || fail "python3 -m venv makes no usable environment in tests/clients/$venv"
  fi
  PIP_USER=0 "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --requirement requirements.txt </dev/null
  python_is_current || fail "the Python client does not load"
fi
