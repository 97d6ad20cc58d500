#!/bin/sh
# The figures that lubdub is held to, beside their floor and beside Debian's Keepalived, in one run on this machine.
#
#   benches/run.sh                     all sections, 20 runs each
#   benches/run.sh --runs 5 outage     fewer runs, one section: outage, never-two, loss, idle
#
# Give it an otherwise idle machine: what else uses the cores ends up in the figures.
set -eu
cd "$(dirname "$0")/.."

tests/fetch.sh
# The floor announces the address with arping.
tests/fetch.sh keepalived iputils-arping
cargo build --locked --release
cargo bench --locked --bench figures --no-run
exec tests/inside.sh cargo bench --locked --offline --bench figures -- "$@"
