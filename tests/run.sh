#!/bin/sh
# Every test of lubdub, in rings from cheap to dear; stops at the first ring that fails.
#
#   tests/run.sh              all rings but those that want to be named
#   tests/run.sh RING...      these rings (tests/run.sh --list names them)
#
# Needs Debian or Ubuntu, a Rust toolchain with rustfmt and clippy, and a C compiler. Whatever else the tests drive is
# downloaded into .cache by tests/fetch.sh; the tests run in namespaces of their own (tests/inside.sh).
set -eu
cd "$(dirname "$0")/.."

rings='fetch format build lint docs tidy shell unit golden import sim cli net agents netns systemd'
# Takes a release build and root's own rights, for which it asks sudo.
named='systemd'
inside=tests/inside.sh

title() {
    case $1 in
        fetch) echo 'programs that the tests drive, unpacked into .cache' ;;
        format) echo 'rustfmt' ;;
        build) echo 'lubdub and its tests' ;;
        lint) echo 'clippy, no warnings' ;;
        docs) echo 'rustdoc, private items too, no warnings' ;;
        tidy) echo 'rules on the sources that no compiler checks' ;;
        shell) echo 'shellcheck of agents and scripts' ;;
        unit) echo 'each part alone, sockets and addresses in namespaces' ;;
        sim) echo 'whole clusters in virtual time, with faults' ;;
        net) echo 'addresses, probes and pings between namespaces' ;;
        cli) echo 'the command line against a daemon' ;;
        agents) echo 'each agent alone, and through ocf-tester' ;;
        golden) echo 'datagrams and pages of released versions' ;;
        import) echo 'configurations of other programs, and what becomes of them' ;;
        netns) echo 'real nodes that fail over in namespaces' ;;
        systemd) echo 'the Debian package on a real systemd (only when it is named)' ;;
        *) return 1 ;;
    esac
}

# One ring. What makes hosts or processes does so inside. `set -e` does not hold in here: join commands with `&&`.
ring() {
    case $1 in
        fetch) tests/fetch.sh && cargo fetch --locked ;;
        format) cargo fmt --check ;;
        build) cargo test --locked --no-run ;;
        lint) cargo clippy --locked --all-targets -- --deny warnings ;;
        docs) RUSTDOCFLAGS='--deny warnings' cargo doc --locked --no-deps --document-private-items ;;
        tidy) cargo test --locked --test tidy ;;
        shell) "$inside" shellcheck --external-sources resource-agents/* tests/*.sh tests/*/*.sh \
            benches/*.sh etc/debian/build.sh etc/debian/*inst etc/debian/*rm .ci/run ;;
        unit) "$inside" cargo test --locked --offline --lib --bins && cargo test --locked --doc ;;
        systemd)
            tests/fetch.sh nginx iproute2 procps systemd && cargo test --locked --test systemd --no-run &&
                package=$(etc/debian/build.sh) &&
                LUBDUB_TEST_PACKAGE=$package "$inside" --root cargo test --locked --offline --test systemd
            ;;
        golden | import | sim) cargo test --locked --test "$1" ;;
        *) "$inside" cargo test --locked --offline --test "$1" ;;
    esac
}

fail() {
    printf 'tests/run.sh: %s\n' "$@" >&2
    exit 1
}

check_tools() {
    command -v cargo > /dev/null || fail 'there is no cargo in PATH: install Rust from https://rustup.rs'
    command -v cc > /dev/null || fail 'there is no C compiler (cc): apt install gcc'
    cargo fmt --version > /dev/null 2>&1 || fail 'rustfmt is missing: rustup component add rustfmt'
    cargo clippy --version > /dev/null 2>&1 || fail 'clippy is missing: rustup component add clippy'
}

# What git sees of the work tree, where this is one.
worktree() {
    git status --porcelain 2> /dev/null || true
}

# Adds up cargo's own result lines, coloured or not.
totals() {
    awk '{ gsub(/\033\[[0-9;]*m/, "") }
        /^test result:/ { passed += $4; failed += $6; ignored += $8 }
        END { printf "%d passed, %d failed, %d ignored\n", passed, failed, ignored }' "$1"
}

case ${1:-} in
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    --list)
        for name in $rings; do printf '%-8s %s\n' "$name" "$(title "$name")"; done
        exit 0
        ;;
esac
# shellcheck disable=SC2086 # A list of words.
[ $# -gt 0 ] || for name in $rings; do
    case " $named " in *" $name "*) ;; *) set -- "$@" "$name" ;; esac
done
for name in "$@"; do
    title "$name" > /dev/null || fail "there is no ring $name" "the rings are: $rings"
done
check_tools

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' HUP INT TERM
before=$(worktree)
began=$(date +%s)
for name in "$@"; do
    printf '\n=== %s: %s\n' "$name" "$(title "$name")"
    start=$(date +%s)
    # A pipe gives the status of its last command: the ring's own goes by way of a file.
    {
        status=0
        ring "$name" || status=$?
        echo "$status" > "$scratch/status"
    } 2>&1 | tee -a "$scratch/log"
    printf '=== %s: %d s\n' "$name" $(($(date +%s) - start))
    [ "$(cat "$scratch/status")" = 0 ] || {
        totals "$scratch/log"
        fail "ring $name failed; to repeat it alone: tests/run.sh $name"
    }
done
[ "$(worktree)" = "$before" ] || fail 'the tests changed the work tree (see git status)'

printf '\n%d s in all: ' $(($(date +%s) - began))
totals "$scratch/log"
