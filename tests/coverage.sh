#!/usr/bin/env bash
# Which lines of src/ the tests reach: on SQLite, then the promises on PostgreSQL and Redis. The figure goes into
# README.md; below WANTED percent this fails. What is not reached is listed in target/coverage/missed.txt.
#
# Only Carillon itself counts its lines, not its dependencies, and a server that is killed keeps its counts: they live
# in a mapped file (%c), one for each program (%m). Unit tests, at the end of a file, are no lines of src/.
set -euo pipefail
cd "$(dirname "$0")/.."

WANTED=90
SHOWN=15

export CARGO_TARGET_DIR
CARGO_TARGET_DIR=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/coverage
out=$CARGO_TARGET_DIR
counts=$out/counts
rm -rf "$counts"
mkdir -p "$counts"

export RUSTC_WORKSPACE_WRAPPER=$out/rustc
cat >"$RUSTC_WORKSPACE_WRAPPER" <<'WRAPPER'
#!/bin/sh
exec "$@" -C instrument-coverage -C llvm-args=--runtime-counter-relocation
WRAPPER
chmod +x "$RUSTC_WORKSPACE_WRAPPER"

tests=(cargo test --locked --no-fail-fast)
"${tests[@]}" --lib --bins --tests --no-run
programs=$("${tests[@]}" --lib --bins --tests --no-run --quiet --message-format=json |
  sed -n 's/.*"executable":"\([^"]*\)".*/-object=\1/p' | sort -u)

export LLVM_PROFILE_FILE=$counts/%c%m.profraw
"${tests[@]}" --lib --bins --tests
CARILLON_TESTS_ON=postgres "${tests[@]}" --test promises

llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
PATH=$(rustc --print target-libdir)/../bin:/usr/lib/llvm-$llvm/bin:$PATH
llvm-profdata merge -sparse "$counts"/*.profraw -o "$out/merged.profdata"
# shellcheck disable=SC2086
llvm-cov export -format=lcov -instr-profile="$out/merged.profdata" $programs >"$out/lcov.info"

# File, lines, lines not reached, and which those are. What is compiled once for each database counts once; of
# src/store/commit.rs the compiler counts the copy for SQLite only.
awk -F '[:,]' -v src="$PWD/src/" '
  /^SF:/ {
    path = substr($0, 4); while (sub("/[^/]+/[.][.]/", "/", path)) {}
    file = index(path, src) == 1 ? "src/" substr(path, length(src) + 1) : ""
    end = 0; row = 0
    while (file && (getline text <path) > 0) { row++; if (text == "#[cfg(test)]") { end = row; break } }
    close(path)
  }
  /^DA:/ && file && (!end || $2 < end) { reached[file " " $2] += $3 }
  END { for (line in reached) print line, (reached[line] > 0) }
' "$out/lcov.info" | sort -k1,1 -k2,2n | awk '
  function told() { if (file) print file, lines, missed which }
  $1 != file { told(); file = $1; lines = missed = 0; which = "" }
  { lines++ }
  !$3 { missed++; which = which " " $2 }
  END { told() }
' >"$out/missed.txt"

echo
printf '%-42s %6s %6s %8s\n' "least reached" lines missed reached
awk '{ printf "%-42s %6d %6d %6.1f %%\n", $1, $2, $3, 100 * ($2 - $3) / $2 }' "$out/missed.txt" |
  sort -k4,4n | head -n "$SHOWN"
read -r lines missed < <(awk '{ lines += $2; missed += $3 } END { print lines, missed }' "$out/missed.txt")
printf '%-42s %6d %6d %6.1f %%\n\n' "all of src" "$lines" "$missed" "$(awk "BEGIN { print 100 * ($lines - $missed) / $lines }")"

percent=$((100 * (lines - missed) / lines))
place='<!-- make coverage -->[0-9]* %<!-- -->'
grep -q "$place" README.md || { echo "coverage: README.md has no place for the figure" >&2 && exit 1; }
sed -i "s/$place/<!-- make coverage -->$percent %<!-- -->/" README.md
if [ "$percent" -lt "$WANTED" ]; then
  echo "coverage: $percent % of src is reached, less than $WANTED %" >&2
  exit 1
fi
