#!/bin/sh
# Builds the Debian package for this release of Debian or Ubuntu, and prints where it lies: target/debian/lubdub_*.deb.
#
#   etc/debian/build.sh
#
# Needs a Rust toolchain, a C compiler and dpkg-dev. `cargo deb` does the work, by [package.metadata.deb] of Cargo.toml; it is
# built into .cache at the first time. Installs nothing and needs no root.
set -eu
cd "$(dirname "$0")/../.."

# The version with which the package is known to be right.
cargo_deb=3.8.0
tools=$PWD/.cache/tools

fail() {
    printf 'etc/debian/build.sh: %s\n' "$@" >&2
    exit 1
}

command -v cargo > /dev/null || fail 'there is no cargo in PATH: install Rust from https://rustup.rs'
command -v dpkg-shlibdeps > /dev/null || fail 'there is no dpkg-shlibdeps here: apt install dpkg-dev'

if [ "$("$tools/bin/cargo-deb" --version 2> /dev/null)" != "$cargo_deb" ]; then
    cargo install --quiet --locked --root "$tools" --version "=$cargo_deb" --no-default-features --features lzma \
        cargo-deb >&2
fi

# Man pages and completions, from the grammar of the command line.
cargo run --quiet --locked --release --example pages -- target/package >&2

# When the sources were last changed; without git, now.
changed=$(git log -1 --format=%cD 2> /dev/null || date -R)
version=$(cargo pkgid | sed 's/.*[#@]//')
cat > target/package/changelog << CHANGES
lubdub ($version-1) unstable; urgency=medium

  * /usr/share/doc/lubdub/changelog.gz tells what has changed.

 -- The lubdub authors <lubdub@example.org>  $changed
CHANGES
"$tools/bin/cargo-deb" deb --quiet --locked
