#!/bin/sh
# Brings the programs that the tests drive: downloads their Debian packages and unpacks them into .cache/packages/root.
#
# Installs, removes and starts nothing: apt-get works on lists, a cache and a configuration of its own, reads the
# machine's sources, proxies and list of installed packages, and fetches only what the machine lacks. Needs no root.
# Safe to repeat. The unpacked programs are seen by what tests/inside.sh runs.
#
#   tests/fetch.sh                  what the tests need
#   tests/fetch.sh PACKAGE...       these packages (the benches ask for keepalived and heartbeat)
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cache=$here/.cache/packages

fail() {
    printf 'tests/fetch.sh: %s\n' "$@" >&2
    exit 1
}

# The program by which a package is known to be on the machine already.
program_of() {
    case $1 in
        nftables) echo nft ;;
        iproute2) echo ip ;;
        iputils-arping) echo arping ;;
        libxml2-utils) echo xmllint ;;
        procps) echo ps ;;
        resource-agents) echo ocf-tester ;;
        systemd) echo systemctl ;;
        *) echo "$1" ;;
    esac
}

# What the cache was made for: another release of the system has other libraries.
release() {
    (
        ID=unknown VERSION_ID=
        # shellcheck source=/dev/null
        [ ! -r /etc/os-release ] || . /etc/os-release
        echo "$ID $VERSION_ID $(uname -m)"
    )
}

# The machine's apt configuration without its hooks, which may change the machine, on directories of our own.
write_apt_configuration() {
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    apt-config dump | grep '^Acquire::' > "$work/apt.conf" || true
    cat >> "$work/apt.conf" << CONF
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::State::lists "$work/lists";
Dir::State::extended_states "$work/extended_states";
Dir::Cache "$work";
Dir::Cache::archives "$work/archives";
Dir::Log "$work";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Get::Assume-Yes "true";
APT::Get::Download-Only "true";
Debug::NoLocking "true";
CONF
}

# Runs apt-get quietly; what it said is printed only when it fails.
apt_get() {
    if ! APT_CONFIG=$work/apt.conf apt-get -q "$@" > "$work/log" 2>&1; then
        cat "$work/log" >&2
        return 1
    fi
}

[ $# -gt 0 ] || set -- iproute2 libxml2-utils nftables nginx procps resource-agents shellcheck

mkdir -p "$cache"
# One at a time: two runs may share the cache.
exec 9> "$cache/lock"
flock 9

if [ "$(cat "$cache/release" 2> /dev/null)" != "$(release)" ]; then
    rm -rf "$cache/root" "$cache/have"
    release > "$cache/release"
fi
mkdir -p "$cache/have"

PATH=$PATH:/usr/sbin:/sbin
missing=
for package in "$@"; do
    if ! command -v "$(program_of "$package")" > /dev/null && [ ! -e "$cache/have/$package" ]; then
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

for program in apt-get dpkg-deb; do
    command -v "$program" > /dev/null || fail \
        "no $program here, so this is no Debian or Ubuntu, and missing:$missing" \
        "install them with this system's own tools (they must be in PATH), then run this again"
done

printf 'fetching%s into .cache/packages (nothing is installed)\n' "$missing"
work=$cache/work
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
write_apt_configuration
apt_get update || fail \
    "the package lists could not be fetched: is there a network, and are the sources in /etc/apt right?" \
    "without a network, install them from a disc:$missing"
# shellcheck disable=SC2086 # Package names hold no blanks.
apt_get install $missing || fail \
    "apt-get finds no way to unpack$missing beside what is installed (see above)" \
    "install them by hand, or repair the machine's packages, then run this again"

# The links of a merged /usr come first, so that what packages put into /lib and /sbin lands in usr too.
mkdir -p "$cache/root/usr"
for directory in bin sbin lib lib64; do
    mkdir -p "$cache/root/usr/$directory"
    [ -e "$cache/root/$directory" ] || ln -s "usr/$directory" "$cache/root/$directory"
done
for archive in "$work"/archives/*.deb; do
    [ -e "$archive" ] || continue
    dpkg-deb --fsys-tarfile "$archive" | tar -x --keep-directory-symlink --no-same-owner -C "$cache/root"
done
for package in $missing; do
    : > "$cache/have/$package"
done
