#!/bin/sh
# Runs a command in a world of its own on this machine, and fails when it leaves anything behind in there.
#
#   tests/inside.sh [--root] COMMAND [ARGUMENT...]
#
# The command is root there and has process ids, interfaces (loopback only), /run and /sys of its own. The programs that
# tests/fetch.sh unpacked lie over /usr, so each is where its package puts it, for agents with a clean environment
# too. Everything ends with the command: nothing can reach the machine's interfaces, processes or services.
#
# Root is not needed where user namespaces work. Where they do not, sudo is asked; with --root it always is, for what needs
# the rights of the machine's own root.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
unpacked=$here/.cache/packages/root
PATH=$PATH:/usr/sbin:/sbin
export PATH

fail() {
    printf 'tests/inside.sh: %s\n' "$@" >&2
    exit 1
}

# Outside: makes the namespaces and goes on in them.
enter() {
    new='unshare --mount --pid --fork --kill-child --mount-proc --net --uts --ipc'
    # Some systems let `unshare` succeed and give no rights: only what needs them tells.
    veth='ip link add name a type veth peer name b'
    command -v ip > /dev/null || fail 'the program ip is missing: install iproute2'
    # shellcheck disable=SC2086 # The words of a command.
    if [ "$(id -u)" = 0 ]; then
        $new $veth 2> /dev/null || fail \
            'root may not make namespaces here (a container?)' \
            'run this on a machine or in a container with --privileged'
        exec $new "$0" --entered "$@"
    elif [ "$rights" = any ] && $new --user --map-root-user $veth 2> /dev/null; then
        exec $new --user --map-root-user "$0" --entered "$@"
    else
        if [ "$rights" = root ]; then
            echo "tests/inside.sh: this needs root's own rights, so sudo is asked" >&2
        else
            cat >&2 << 'WHY'
tests/inside.sh: user namespaces do not work for you on this machine, so sudo is needed to make the test hosts.
To go on without it: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0   (Ubuntu 24.04 and newer)
                     sudo sysctl kernel.unprivileged_userns_clone=1                (Debian 10 and older)
WHY
        fi
        command -v sudo > /dev/null || fail 'there is no sudo here: run this as root'
        exec sudo env "PATH=$PATH" "HOME=$HOME" ${CARGO_HOME:+"CARGO_HOME=$CARGO_HOME"} \
            ${LUBDUB_TEST_PACKAGE:+"LUBDUB_TEST_PACKAGE=$LUBDUB_TEST_PACKAGE"} \
            ${RUSTUP_HOME:+"RUSTUP_HOME=$RUSTUP_HOME"} $new "$0" --entered "$@"
    fi
}

# Gives the command its own view of the machine's directories.
furnish() {
    mount -t tmpfs -o mode=755 tmpfs /run
    # What the package resource-agents has made at boot for its agents.
    mkdir -m 1755 /run/resource-agents
    # /sys shows the interfaces of the namespace that mounted it; the tree of cgroups below it is kept.
    mkdir /run/cgroup
    mount --rbind /sys/fs/cgroup /run/cgroup
    mount -t sysfs sysfs /sys
    mount --rbind /run/cgroup /sys/fs/cgroup
    umount --lazy /run/cgroup
    rmdir /run/cgroup
    if [ -d "$unpacked/usr" ]; then
        mount -t overlay -o "lowerdir=$unpacked/usr:/usr" overlay /usr || fail \
            'this kernel cannot lay one directory over another (overlay)' \
            'install nginx, nftables, shellcheck and resource-agents, and delete .cache/packages'
    fi
    ip link set lo up
    # With one user id there is no `nobody` to become, which ocf-tester asks su for.
    if [ "$(awk '{ ids += $3 } END { print ids }' /proc/self/uid_map)" = 1 ]; then
        mkdir /run/bin
        # shellcheck disable=SC2016 # For the script that is written.
        printf '%s\n' '#!/bin/sh' '# su nobody -s SHELL -c COMMAND' 'exec "$3" -c "$5"' > /run/bin/su
        chmod +x /run/bin/su
        PATH=/run/bin:$PATH
    fi
}

# Names every process but this one (PID 1 here, which also reaps orphans while it waits). Uses no other process.
left_behind() {
    for directory in /proc/[0-9]*; do
        [ "$directory" != /proc/1 ] || continue
        { read -r stat < "$directory/stat"; } 2> /dev/null || continue
        case $stat in
            *') Z '*) ;;
            *) echo "process ${stat%%)*})" ;;
        esac
    done
}

rights=any
if [ "${1:-}" = --root ]; then
    rights=root
    shift
fi
if [ "${1:-}" != --entered ]; then
    [ $# -gt 0 ] || fail 'usage: tests/inside.sh COMMAND [ARGUMENT...]'
    enter "$@"
fi
shift
furnish
status=0
"$@" || status=$?

tries=0
left_behind > /run/left
while [ -s /run/left ] && [ $tries -lt 20 ]; do
    tries=$((tries + 1))
    sleep 0.1
    left_behind > /run/left
done
ip -o link | awk -F ': ' '$2 != "lo" { print "interface " $2 }' >> /run/left
if [ -s /run/left ]; then
    printf 'left behind by %s:\n' "$*" >&2
    cat /run/left >&2
    [ $status != 0 ] || status=1
fi
exit $status
