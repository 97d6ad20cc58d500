#!/bin/sh
# PID 1 of a machine: furnishes it, then becomes systemd. Root's own rights are needed.
#
#   unshare --mount --uts --ipc --net --pid --fork --kill-child machine.sh NAME DIRECTORY CGROUP
#
# The machine has this one's /usr and its list of packages, with layers of its own above them, and an /etc and /var as
# after the installation of Debian: nothing that this machine enabled, mounted or configured. What it writes is in
# memory and ends with it. DIRECTORY is where its root is mounted; CGROUP is where its cgroups begin.
set -eu

# Lays a layer in memory over a directory of this machine; `find` in .layers tells what was written.
layer() {
    mkdir -p "$root$1" "$root/.layers$1" "$root/.work$1"
    mount -t overlay -o "lowerdir=$1,upperdir=$root/.layers$1,workdir=$root/.work$1" overlay "$root$1"
}

furnish() {
    mount -t tmpfs -o mode=755 machine "$root"
    cd "$root"
    mkdir dev etc mnt proc root run sys tmp
    for directory in /bin /sbin /lib /lib32 /lib64 /libx32; do
        if [ -L "$directory" ]; then
            cp -P "$directory" .
        elif [ -d "$directory" ]; then
            layer "$directory"
        fi
    done
    layer /usr
    layer /var/lib/dpkg
    # It may name users of this machine.
    : > var/lib/dpkg/statoverride
    # Images of containers forbid services to be started and stopped here.
    rm -f usr/sbin/policy-rc.d

    cp -a /etc/ld.so.* /etc/alternatives etc
    cp /usr/share/base-passwd/passwd.master etc/passwd
    cp /usr/share/base-passwd/group.master etc/group
    printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' > etc/nsswitch.conf
    echo "$name" > etc/hostname
    tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id
    mkdir -p etc/systemd/system
    ln -s /usr/lib/systemd/system/multi-user.target etc/systemd/system/default.target
    # Hardware, terminals, logins; and what would reach the kernel that all share.
    for unit in dbus.service dbus.socket getty.target systemd-logind.service systemd-udevd.service \
        systemd-udev-trigger.service systemd-modules-load.service systemd-sysctl.service systemd-binfmt.service \
        proc-sys-fs-binfmt_misc.automount dev-hugepages.mount sys-fs-fuse-connections.mount \
        sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount systemd-networkd.service \
        systemd-ask-password-console.path systemd-ask-password-wall.path; do
        ln -s /dev/null "etc/systemd/system/$unit"
    done

    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount --bind proc/sys/net mnt
    mount -o remount,bind,ro proc/sys
    mount --move mnt proc/sys/net
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 dev dev
    mknod -m 666 dev/null c 1 3
    mknod -m 666 dev/zero c 1 5
    mknod -m 666 dev/full c 1 7
    mknod -m 666 dev/random c 1 8
    mknod -m 666 dev/urandom c 1 9
    mknod -m 666 dev/tty c 5 0
    # Whatever is written to it is lost, as on a machine without a screen.
    mknod -m 600 dev/console c 1 3
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    mount -t tmpfs -o mode=755 run run
}

if [ "$1" != --furnish ]; then
    # So that the cgroup is the root of what the machine sees.
    echo 0 > "$3/cgroup.procs"
    exec unshare --cgroup "$0" --furnish "$@"
fi
shift
name=$1
root=$2
hostname "$name"
ip link set lo up
furnish
pivot_root . mnt
umount --lazy /mnt
exec setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time \
    env -i container=lubdub-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --show-status=no --log-target=journal < /dev/null > /dev/null 2>&1
