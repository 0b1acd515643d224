#!/usr/bin/env bash
# Tells what a program is: its size, the libraries that it needs at run time, the oldest glibc that has all of them, and its
# SHA-256. Fails if it needs more than glibc: everything else is built in.
#
#     tests/deploy/dist.sh PROGRAM
set -euo pipefail

program=${1:?a program}
libraries=$(readelf --dynamic --wide "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort)
echo "size:      $(stat --dereference --format %s "$program" | numfmt --to=iec-i --suffix=B) $program"
echo "libraries: $(echo $libraries)"
glibc=$(readelf --dyn-syms --wide "$program" | grep -o 'GLIBC_[0-9.]*' | sort --unique --version-sort | tail -n 1)
echo "needs:     ${glibc/_/ } or newer"
echo "sha256:    $(sha256sum "$program" | cut -d ' ' -f 1)"
others=$(grep -vE '^(libc|libm|libdl|libpthread|librt|libgcc_s|ld-linux[-a-z0-9_]*)\.so' <<<"$libraries" || true)
if [ -n "$others" ]; then
  echo "dist: $program needs more than glibc: $others" >&2
  exit 1
fi
