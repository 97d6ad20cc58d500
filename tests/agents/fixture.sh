#!/bin/sh
# An agent for the tests of the executor: does what OCF_RESKEY_do says, whatever the action.
: "${OCF_RESKEY_do:=}" "${OCF_RESKEY_file:=}"

case $OCF_RESKEY_do in
    succeed) exit 0 ;;
    fail)
        echo "first words" >&2
        echo "ocf-exit-reason:it is broken" >&2
        echo "last words" >&2
        exit 1
        ;;
    murmur)
        echo "on stdout"
        echo "last words" >&2
        exit 7
        ;;
    hang) exec sleep 600 ;;
    # Deaf to TERM, and so are its children.
    deaf)
        trap '' TERM INT HUP
        sleep 600 &
        echo "$!" >"$OCF_RESKEY_file"
        while :; do sleep 600; done
        ;;
    flood)
        head -c 10000000 /dev/zero | tr '\0' 'x'
        head -c 10000000 /dev/zero | tr '\0' 'y' >&2
        printf '\nocf-exit-reason:after the flood\n' >&2
        exit 1
        ;;
    # Leaves a child that holds the output open.
    leave)
        sleep 600 &
        echo "$!" >"$OCF_RESKEY_file"
        exit 0
        ;;
    # Leaves an orphan that ends soon.
    orphan)
        (sleep 0.05 &)
        exit 0
        ;;
    die) kill -9 $$ ;;
    die-of-realtime) kill -40 $$ ;;
    # What a process inherits, one line each; fields 41 and 19 of proc_pid_stat(5) are policy and niceness.
    inheritance)
        read -r stat </proc/$$/stat
        # shellcheck disable=SC2086
        set -- ${stat##*) }
        echo "policy=${39} nice=${17}"
        echo "group=$(($3 == $$))"
        echo "cwd=$(pwd) umask=$(umask)"
        echo "oom=$(cat /proc/$$/oom_score_adj)"
        # Without a child, around whose making a shell may block signals itself.
        while read -r line; do case $line in Sig*) echo "$line" ;; esac done </proc/$$/status
        # The list names the descriptor that it was read with, too.
        for fd in "/proc/$$/fd"/*; do [ -L "$fd" ] && echo "fd=${fd##*/}"; done
        echo "stdin=$(readlink /proc/$$/fd/0)"
        env
        ;;
    *)
        echo "unknown: $OCF_RESKEY_do" >&2
        exit 2
        ;;
esac
