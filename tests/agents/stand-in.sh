#!/bin/sh
# Stands in for `lubdub ip` where only the IPaddr agent is tested: the same command line and exit codes, by iproute2.
#   ip add ADDRESS/PREFIX [--interface IF] [--lease SECONDS] [--not-after MICROSECONDS]
#   ip del ADDRESS/PREFIX [--interface IF]
#   ip show ADDRESS/PREFIX [--interface IF]

verb=$2 address=$3 interface='' lease=forever not_after=''
[ "${1-}" = ip ] && shift 3 || exit 2
while [ $# -gt 0 ]; do
    case $1 in
        --interface) interface=$2 ;;
        --lease) lease=$2 ;;
        --not-after) not_after=$2 ;;
        *) exit 2 ;;
    esac
    shift 2
done

# The interface that has the address, else the one with a route to its network.
[ -n "$interface" ] || interface=$(ip -o addr show to "${address%/*}" | awk '{ print $2 }')
[ -n "$interface" ] ||
    interface=$(ip -o route get "${address%/*}" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p')
if ! ip link show dev "$interface" >/dev/null 2>&1; then
    echo "there is no interface '$interface'" >&2
    exit 5
fi

is_there() {
    ip -o addr show dev "$interface" | grep -q -F " $address "
}

case $verb in
    add)
        # Uptime counts as CLOCK_BOOTTIME does, in hundredths of a second.
        read -r now _ </proc/uptime
        now=${now%.*}${now#*.}0000
        if [ -n "$not_after" ] && [ "$now" -ge "$not_after" ]; then
            echo "too late" >&2
            exit 1
        fi
        case $address in *:*) set -- nodad ;; esac
        ip addr replace "$address" dev "$interface" valid_lft "$lease" preferred_lft "$lease" "$@"
        ;;
    del) ! is_there || ip addr del "$address" dev "$interface" ;;
    show) is_there || exit 7 ;;
    *) exit 2 ;;
esac
