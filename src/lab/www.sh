#!/bin/sh
# OCF agent of the laboratory's small web server, for machines without nginx.

pid_file=/run/www.pid

runs() {
    [ -s "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null
}

www_start() {
    runs && return 0
    rm -f "$pid_file"
    setsid "${LUBDUB:-lubdub}" lab-www --listen 0.0.0.0:80 --page "$(uname -n)" --pid-file "$pid_file" </dev/null >/dev/null 2>&1 &
    # The server writes its process id once it can answer.
    while ! [ -s "$pid_file" ]; do
        kill -0 $! 2>/dev/null || return 1
        sleep 0.01
    done
}

www_stop() {
    runs || return 0
    kill -9 "$(cat "$pid_file")" || return 1
    while runs; do
        sleep 0.01
    done
    rm -f "$pid_file"
}

meta_data() {
    cat <<'END'
<?xml version="1.0"?>
<resource-agent name="www">
  <version>1.1</version>
  <longdesc lang="en">The small web server of lubdub's laboratory: answers with the node's name.</longdesc>
  <shortdesc lang="en">Small web server of the laboratory</shortdesc>
  <parameters/>
  <actions>
    <action name="start" timeout="10s"/>
    <action name="stop" timeout="10s"/>
    <action name="monitor" timeout="5s" interval="10s" depth="0"/>
    <action name="validate-all" timeout="5s"/>
    <action name="meta-data" timeout="5s"/>
  </actions>
</resource-agent>
END
}

case $1 in
    start) www_start ;;
    stop) www_stop ;;
    monitor) runs || exit 7 ;;
    validate-all) ;;
    meta-data) meta_data ;;
    *) exit 3 ;;
esac
