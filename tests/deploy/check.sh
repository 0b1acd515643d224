#!/usr/bin/env bash
# Checks the files in deploy/: their form, against schemas; that they fit each other and the program; and that these
# checks notice what is wrong, by breaking copies. Needs no Docker and no cluster. Run again, it asks no network.
#
#     tests/deploy/check.sh [PROGRAM]      # the program is otherwise the newest that was built here
set -euo pipefail

fail() {
  echo "deploy: $*" >&2
  exit 1
}

root=$(realpath "$(dirname "$0")/../..")
program=${1:-}
if [ -z "$program" ]; then
  target=$(cd "$root" && realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
  # The newest; `ls` complains of those that are not there.
  program=$(ls -t "$target"/{debug,release,dist}/carillon 2>/dev/null | head -n 1 || true)
  [ -n "$program" ] || fail "there is no program yet: cargo build, or name one"
fi
[ -x "$program" ] || fail "$program is no program"
program=$(realpath "$program")

cd "$root/tests/deploy"
venv=.venv

# Whether everything in requirements.txt is there in just that version.
is_current() {
  "$venv/bin/python" - requirements.txt 2>/dev/null <<'PYTHON'
import sys
from importlib.metadata import version

for line in open(sys.argv[1]):
    name, _, wanted = line.strip().partition("==")
    if wanted and version(name) != wanted:
        sys.exit(1)
PYTHON
}

# Another Python may stand before Debian's, which comes without venv.
make_venv() {
  local python
  for python in python3 /usr/bin/python3; do
    "$python" -m venv --clear "$venv" >/dev/null 2>&1 && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
  done
  rm -rf "$venv"
  return 1
}

if ! is_current; then
  echo "deploy: installing the checkers"
  make_venv || fail "python3 with venv is needed: apt-get install python3-venv"
  PIP_USER=0 "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --requirement requirements.txt </dev/null
  is_current || fail "the checkers do not load"
fi

exec "$venv/bin/python" check.py "$program"
