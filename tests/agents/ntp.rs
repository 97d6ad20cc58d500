//! ntp, with the real chronyd, NTPsec and systemd-timesyncd.
//!
//! No test can touch the clock of this machine: chronyd runs with `-x`, and the kernel lets nobody in a user namespace, as
//! every host is, set a clock, which belongs to all of the machine. The others get no such right either.

use std::path::PathBuf;

use lubdub::agent::Action;

use crate::host::{Host, Subject, tool};

/// A host with a `/run` of its own, where daemons and their clients meet.
pub(crate) fn host() -> Host {
    tool("chronyd", "chrony");
    let host = Host::new();
    host.bash("mount -t tmpfs tmpfs /run && mkdir -m 700 /run/chrony && mkdir -p /run/systemd/timesyncd.conf.d");
    host
}

fn subject<'a>(host: &'a Host, params: &[(&str, &str)]) -> Subject<'a> {
    Subject::new(host, "ntp", "clock", params)
}

/// Starts a daemon; its process id in the host.
fn spawn(host: &Host, name: &str, command: &str) -> String {
    let log = host.file(&format!("{name}.log"), "");
    let pid = host.bash(&format!("{command} </dev/null >{} 2>&1 & echo $!", log.display()));
    pid.trim().to_owned()
}

fn kill(host: &Host, pid: &str) {
    host.bash(&format!("kill {pid}"));
    host.until(&format!("grep -q '^State:.Z' /proc/{pid}/status"));
}

/// A configuration file for a chronyd that leaves the clock alone, and how to run it.
fn chronyd(host: &Host, name: &str, text: &str) -> String {
    let path = host
        .file(&format!("{name}.conf"), &format!("{text}\ncmdport 0\npidfile /run/{name}.pid\n"));
    format!("chronyd -x -d -u root -f {}", path.display())
}

/// A server of the right time, on a port of its own.
fn serve(host: &Host) -> String {
    let text = "local stratum 8\nport 11123\nallow\nbindcmdaddress /";
    spawn(host, "server", &chronyd(host, "server", text))
}

/// Follows the server, as far off as this says, and is the daemon of the host.
fn follow(host: &Host, more: &str) -> String {
    let text = format!(
        "server 127.0.0.1 port 11123 minpoll -6 maxpoll -6 {more}\nport 0\nbindcmdaddress /run/chrony/chronyd.sock"
    );
    spawn(host, "client", &chronyd(host, "client", &text))
}

fn until_synchronised(host: &Host) {
    host.until("chronyc -c tracking | grep -q ',Normal$'");
}

/// chronyd with a server.
pub(crate) fn synchronise(host: &Host) {
    serve(host);
    follow(host, "");
    until_synchronised(host);
}

#[test]
fn a_synchronised_clock_is_started_until_it_is_stopped() {
    let host = host();
    synchronise(&host);
    for daemon in ["auto", "chrony"] {
        let subject = subject(&host, &[("daemon", daemon)]);
        subject.expect(Action::ValidateAll, 0);
        subject.expect(Action::Monitor, 7);
        subject.expect(Action::Stop, 0);
        for _ in 0..2 {
            assert_eq!(subject.expect(Action::Start, 0), "");
            assert_eq!(subject.expect(Action::Monitor, 0), "");
        }
        subject.expect(Action::Stop, 0);
        subject.expect(Action::Stop, 0);
        subject.expect(Action::Monitor, 7);
    }
}

#[test]
fn a_clock_that_is_off_fails_or_is_said() {
    let host = host();
    serve(&host);
    let client = follow(&host, "");
    until_synchronised(&host);
    let require = subject(&host, &[]);
    let warn = subject(&host, &[("mode", "warn")]);
    require.expect(Action::Start, 0);

    kill(&host, &client);
    follow(&host, "offset -2.5");
    until_synchronised(&host);
    let reason = "ms off, max_offset is 1000 ms (says chrony)";
    require.expect_reason(Action::Monitor, 1, reason);
    require.expect_reason(Action::Start, 1, reason);
    warn.expect_reason(Action::Monitor, 0, reason);
    warn.expect_reason(Action::Start, 0, "the clock is 2");
    for (offset, distance, code) in [
        ("3s", "4", 0),
        ("3000ms", "4.0s", 0),
        ("0.05m", "5000000us", 0),
        ("2", "4s", 1),
        ("2499ms", "4s", 1),
        ("3s", "2.4s", 1),
    ] {
        let params = [("max_offset", offset), ("max_distance", distance)];
        subject(&host, &params).expect(Action::Start, code);
    }
    let params = [("max_offset", "3s"), ("max_distance", "4s"), ("max_stratum", "9")];
    subject(&host, &params).expect(Action::Start, 0);
    let params = [("max_offset", "3s"), ("max_distance", "4s"), ("max_stratum", "8")];
    subject(&host, &params).expect_reason(Action::Start, 1, "stratum 9, max_stratum is 8");
    require.expect(Action::Stop, 0);
}

/// A clock daemon that is started again has to find its servers first.
#[test]
fn a_monitor_has_patience_with_a_clock_that_was_synchronised_a_moment_ago() {
    let host = host();
    let (server, client) = (serve(&host), follow(&host, ""));
    until_synchronised(&host);
    let patient = subject(&host, &[]);
    let short = subject(&host, &[("patience", "0")]);
    patient.expect(Action::Start, 0);
    kill(&host, &server);
    kill(&host, &client);
    host.until("! grep -l '^State:.[^Z]' /proc/[0-9]*/status | xargs grep -q '^Name:.chronyd'");
    patient.expect_reason(Action::Monitor, 0, "no clock daemon runs here");
    patient.expect_reason(Action::Monitor, 0, "less than 30 s ago");
    short.expect_reason(Action::Monitor, 1, "no clock daemon runs here");

    // Without its server.
    let client = follow(&host, "");
    host.until("chronyc -c tracking");
    let reason = "not synchronised, says chronyd";
    assert_eq!(patient.expect(Action::Monitor, 0), patient.expect(Action::Monitor, 0));
    patient.expect_reason(Action::Monitor, 0, reason);
    short.expect_reason(Action::Monitor, 1, reason);
    patient.expect_reason(Action::Start, 1, reason);
    // That failed and changed nothing.
    patient.expect_reason(Action::Monitor, 0, reason);
    // It was right a second after boot; it will be right; who knows.
    for fine in ["1000000", "999999999999999", "", "soon", "-1"] {
        host.file("state/ntp-clock@web", &format!("{fine}\n"));
        patient.expect_reason(Action::Monitor, 1, reason);
    }

    // What is wrong at the start and let pass is not right.
    let warn = subject(&host, &[("mode", "warn")]);
    warn.expect_reason(Action::Start, 0, reason);
    warn.expect_reason(Action::Monitor, 0, reason);
    patient.expect_reason(Action::Monitor, 1, reason);

    serve(&host);
    until_synchronised(&host);
    assert_eq!(patient.expect(Action::Monitor, 0), "");
    host.bash(&format!("kill -STOP {client}"));
    patient.expect_reason(Action::Monitor, 0, "chronyd does not answer: 506");
    patient.expect(Action::Stop, 0);
    patient.expect(Action::Monitor, 7);
}

/// chronyd goes on to call the clock synchronised.
#[test]
fn a_server_that_is_heard_no_longer_is_noticed_by_the_possible_error() {
    let host = host();
    let server = serve(&host);
    follow(&host, "\nmaxclockerror 100000");
    // The line is quoted once more, in single quotes.
    let dispersion = |is: &str| {
        host.until(&format!(
            "chronyc -c tracking | awk -F , \"{{ exit !(/Normal/ && \\$12 {is}) }}\""
        ));
    };
    dispersion("< 0.2");
    let subject = subject(&host, &[("max_distance", "700ms")]);
    subject.expect(Action::Start, 0);
    kill(&host, &server);
    // A clock as bad as this one says that it is may be off by a tenth of a second more each second.
    dispersion("> 0.7");
    subject.expect_reason(Action::Monitor, 1, "the clock may be");
    until_synchronised(&host);
}

#[test]
fn a_daemon_that_is_not_there_not_synchronised_or_silent_is_said() {
    let host = host();
    let subject = subject(&host, &[]);
    subject.expect_reason(Action::Start, 1, "no clock daemon runs here");
    for (daemon, reason) in [
        ("chrony", "chronyd does not answer"),
        ("ntpd", "ntpd does not answer: Socket error; probably ntpd is not running"),
        ("timesyncd", "systemd-timesyncd does not run"),
    ] {
        crate::ntp::subject(&host, &[("daemon", daemon)]).expect_reason(Action::Start, 1, reason);
    }
    let client = follow(&host, "");
    host.until("chronyc -c tracking");
    subject.expect_reason(Action::Start, 1, "not synchronised, says chronyd");
    host.bash(&format!("kill -STOP {client}"));
    subject.expect_reason(Action::Start, 1, "chronyd does not answer: 506");
    host.bash(&format!("kill -CONT {client}"));
    kill(&host, &client);
    follow(&host, "\nlocal stratum 5");
    until_synchronised(&host);
    subject.expect_reason(Action::Start, 1, "follows no server, but this machine's own clock");
}

/// NTPsec asks no loopback address for the time, so the server has a network of its own.
#[test]
fn ntpsec_is_asked() {
    let host = host();
    let base = chronyd(&host, "base", "local stratum 8\nport 11123\nallow\nbindcmdaddress /");
    let shifted = "server 127.0.0.1 port 11123 minpoll -6 maxpoll -6 offset 0.08\nport 123\nallow\nbindcmdaddress /";
    let shifted = chronyd(&host, "shifted", shifted);
    let elsewhere = spawn(
        &host,
        "elsewhere",
        &format!(
            "unshare --net sh -c 'until ip addr add 10.9.9.9/24 dev v1; do sleep 0.01; done; \
             ip link set v1 up; ip link set lo up; {base} & exec {shifted}'"
        ),
    );
    host.bash(&format!(
        "ip link add v0 type veth peer name v1 && ip addr add 10.9.9.1/24 dev v0 && ip link set v0 up && \
         until [ $(readlink /proc/{elsewhere}/ns/net) != $(readlink /proc/self/ns/net) ]; do sleep 0.01; done; \
         ip link set v1 netns {elsewhere}"
    ));
    let config = "server 10.9.9.9 iburst minpoll 0 maxpoll 0\nrestrict 127.0.0.1\nrestrict ::1\n";
    let config = host.file("ntp.conf", config);
    spawn(
        &host,
        "ntpd",
        &format!("setpriv --bounding-set=-sys_time ntpd -n -c {}", config.display()),
    );
    host.until("ntpq -n -c 'rv 0 leap' | grep leap=11");
    let params = [("daemon", "ntpsec"), ("max_offset", "50ms"), ("max_distance", "5s")];
    let strict = subject(&host, &params);
    strict.expect_reason(Action::Start, 1, "not synchronised, says ntpd");
    host.until("ntpq -n -c 'rv 0 leap' | grep leap=00");
    strict.expect_reason(Action::Start, 1, "the clock is 80 ms off, max_offset is 50 ms");
    let params = [("daemon", "ntpd"), ("max_offset", "90ms"), ("max_distance", "5s")];
    let subject = subject(&host, &params);
    assert_eq!(subject.expect(Action::Start, 0), "");
    assert_eq!(subject.expect(Action::Monitor, 0), "");
}

const BUS: &str = "<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>\
    <auth>EXTERNAL</auth><auth>ANONYMOUS</auth><allow_anonymous/><policy context=\"default\"><allow user=\"*\"/>\
    <allow own=\"*\"/><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>";

/// As a user without rights, as which systemd runs it in the end.
#[test]
fn timesyncd_is_asked() {
    let host = host();
    tool("busctl", "systemd");
    let user = "unshare --user --map-user=33 --map-group=33 setpriv --bounding-set=-sys_time";
    let bus = host.file("bus.conf", BUS);
    host.bash(
        "mkdir /run/dbus && mount -t tmpfs tmpfs /var/lib && \
         printf '[Time]\\nNTP=127.0.0.1\\nFallbackNTP=\\n' >/run/systemd/timesyncd.conf.d/test.conf",
    );
    let bus = format!("{user} dbus-daemon --config-file={} --nofork --nopidfile", bus.display());
    spawn(&host, "bus", &bus);
    host.until("test -S /run/dbus/system_bus_socket");
    let timesyncd = format!("{user} /usr/lib/systemd/systemd-timesyncd");
    let early = spawn(&host, "early", &timesyncd);
    let property = "busctl get-property org.freedesktop.timesync1 /org/freedesktop/timesync1 \
                    org.freedesktop.timesync1.Manager NTPMessage";
    host.until(property);
    let params = [("daemon", "timesyncd"), ("max_offset", "100ms")];
    let strict = subject(&host, &params);
    strict.expect_reason(Action::Start, 1, "systemd-timesyncd has heard no server yet");
    kill(&host, &early);

    serve(&host);
    let shifted = "server 127.0.0.1 port 11123 minpoll -6 maxpoll -6 offset 0.2\nport 123\nallow\n\
                   bindcmdaddress /run/chrony/chronyd.sock";
    spawn(&host, "shifted", &chronyd(&host, "shifted", shifted));
    until_synchronised(&host);
    spawn(&host, "timesyncd", &timesyncd);
    host.until(&format!("{property} | grep ' 0 4 4 9 '"));
    strict.expect_reason(Action::Start, 1, "ms off, max_offset is 100 ms (says timesyncd)");
    let subject = subject(&host, &[("daemon", "timesyncd")]);
    assert_eq!(subject.expect(Action::Start, 0), "");
    assert_eq!(subject.expect(Action::Monitor, 0), "");
}

/// What is not in Debian any more, and what no daemon should say.
#[test]
#[expect(clippy::too_many_lines, reason = "a table: answers and what is read in them")]
fn answers_are_read_with_care() {
    let host = host();
    let bin = host.dir.path().join("bin");
    let says = |client: &str, text: &str| {
        host.file("answer", text);
        let answer = host.dir.path().join("answer");
        host.program(&format!("bin/{client}"), &format!("#!/bin/sh\ncat {}\n", answer.display()));
    };
    for (daemon, client, answer, reason) in [
        // ntpd 4.2, which breaks lines elsewhere.
        (
            "ntpd",
            "ntpq",
            "primary timeout 1500 ms\nleap=00, stratum=3, refid=10.123.33.1,\noffset=-0.720, rootdelay=11.887, rootdisp=54.054\n",
            None,
        ),
        (
            "ntpd",
            "ntpq",
            "leap=00, stratum=3, refid=1.2.3.4, offset=6e-05, rootdelay=0.0, rootdisp=008.09",
            None,
        ),
        (
            "ntpd",
            "ntpq",
            "leap=00, stratum=3, refid=1.2.3.4, offset=-1500.5, rootdelay=0.0, rootdisp=0.0",
            Some("the clock is 1500 ms off"),
        ),
        (
            "ntpd",
            "ntpq",
            "leap=00, stratum=6, refid=LOCAL(0), offset=0.000, rootdelay=0.000, rootdisp=11.1",
            Some("own clock"),
        ),
        ("ntpd", "ntpq", "leap=00, stratum=3, offset=soon", Some("not understood")),
        (
            "ntpd",
            "ntpq",
            "primary timeout 1500 ms\n***Request timed out\n\n",
            Some("ntpd does not answer: Request"),
        ),
        ("ntpd", "ntpq", "", Some("ntpd does not answer")),
        (
            "chrony",
            "chronyc",
            "C0A80101,ntp,2,1.5,0.000000012,0,0,0,0,0,0.01,0.02,64.0,Insert second",
            None,
        ),
        (
            "chrony",
            "chronyc",
            "C0A80101,ntp,2,1.5,0.000000012,0,0,0,0,0,0.01,0.02,64.0,Wonderful",
            Some("not understood"),
        ),
        (
            "chrony",
            "chronyc",
            "C0A80101,ntp,2,1.5,x,0,0,0,0,0,0.01,0.02,64.0,Normal",
            Some("not understood"),
        ),
        ("chrony", "chronyc", "* * *", Some("not understood")),
        // A day and a half without a word from the server.
        (
            "timesyncd",
            "busctl",
            "(uuuuittayttttbtt) 0 4 4 2 -23 1000 2000 4 1 2 3 4 1700000000000000 1700000000000100 1700000000000200 1700000000000300 false 9 5",
            Some("the clock may be"),
        ),
        (
            "timesyncd",
            "busctl",
            "(uuuuittayttttbtt) 3 4 4 2 -23 1000 2000 4 1 2 3 4 9700000000000000 9700000000000100 9700000000000200 9700000000000300 false 9 5",
            Some("itself not synchronised"),
        ),
        (
            "timesyncd",
            "busctl",
            "(uuuuittayttttbtt) 0 4 4 2 -23 1000 2000 4 1 2 3 4 9700000000000000 9700000000000100 9700000000000200 9700000000000300 false 9 5",
            None,
        ),
        (
            "timesyncd",
            "busctl",
            "(uuuuittayttttbtt) 0 4 4 2 -23 1000 2000 4 1 2 3 4 9700000000000000 9700000090000100 9700000090000200 9700000000000300 true 9 5",
            None,
        ),
        ("timesyncd", "busctl", "s \"what\"", Some("not understood")),
    ] {
        says(client, answer);
        host.bash(&format!(
            "mkdir -p {0} && cp $(type -P sleep) {0}/systemd-timesyncd",
            bin.display()
        ));
        let name = "timesyncd";
        let running = spawn(&host, name, &format!("{}/systemd-timesyncd 600", bin.display()));
        let mut subject = subject(&host, &[("daemon", daemon)]);
        subject.bin = Some(bin.clone());
        match reason {
            None => assert_eq!(subject.expect(Action::Start, 0), "", "{answer}"),
            Some(reason) => subject.expect_reason(Action::Start, 1, reason),
        }
        kill(&host, &running);
    }
}

#[test]
fn the_daemon_that_runs_is_found() {
    let host = host();
    let bin = host.dir.path().join("bin");
    for client in ["chronyc", "ntpq", "busctl"] {
        host.program(&format!("bin/{client}"), &format!("#!/bin/sh\necho 'asked by {client}'\n"));
    }
    for (daemon, reason) in [
        ("systemd-timesyncd", "asked by busctl"),
        ("ntpd", "asked by ntpq"),
        ("chronyd", "asked by chronyc"),
    ] {
        host.bash(&format!("cp $(type -P sleep) {}/{daemon}", bin.display()));
        let pid = spawn(&host, daemon, &format!("{}/{daemon} 600", bin.display()));
        host.until(&format!("grep -q {} /proc/{pid}/comm", &daemon[..daemon.len().min(15)]));
        let mut subject = subject(&host, &[]);
        subject.bin = Some(PathBuf::from(&bin));
        // Each of them goes before those that run already.
        subject.expect_reason(Action::Start, 1, reason);
    }
}

#[test]
fn wrong_parameters_are_said() {
    let host = host();
    for (name, value) in [
        ("mode", "maybe"),
        ("daemon", "sundial"),
        ("max_offset", "soon"),
        ("max_offset", "-"),
        ("max_offset", "1h"),
        ("max_distance", "1.2.3s"),
        ("patience", "a while"),
        ("max_stratum", "16"),
        ("max_stratum", "0"),
    ] {
        let subject = subject(&host, &[(name, value)]);
        subject.expect_reason(
            Action::ValidateAll,
            6,
            &format!("parameter '{name}' is '{value}': write"),
        );
        subject.expect(Action::Start, 6);
    }
    let chronyc = tool("chronyc", "chrony");
    host.bash(&format!("mount --bind /dev/null {}", chronyc.display()));
    let subject = subject(&host, &[("daemon", "chrony")]);
    subject.expect_reason(Action::ValidateAll, 5, "'chronyc'");
    subject.expect_reason(Action::Start, 1, "'chronyc'");
}
