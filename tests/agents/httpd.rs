//! httpd, with the real Apache.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lubdub::agent::Action;

use crate::host::{Host, Subject, source, tool};

/// Where Debian's package puts modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// A configuration that works below the host's directory, and answers `/index.txt` with its name.
pub(crate) fn config(host: &Host, name: &str, port: u16, more: &str) -> PathBuf {
    with_mpm(host, name, port, "event", more)
}

fn with_mpm(host: &Host, name: &str, port: u16, mpm: &str, more: &str) -> PathBuf {
    let dir = host.dir.path().join(name);
    let dir = dir.display();
    host.file(&format!("{name}/index.txt"), &format!("I am {name}"));
    let modules: String = [&format!("mpm_{mpm}"), "authz_core", "authz_host", "status"]
        .map(|module| format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n"))
        .concat();
    let text = format!(
        "# PidFile /not/this\nServerRoot {dir}\nServerName localhost\npidfile \"{dir}/httpd.pid\"\nErrorLog {dir}/error.log\n\
         DefaultRuntimeDir {dir}\nDocumentRoot {dir}\n{modules}Listen 127.0.0.1:{port}\nStartServers 2\n\
         <Location /server-status>\nSetHandler server-status\nRequire local\n</Location>\n{more}\n"
    );
    host.file(&format!("{name}/httpd.conf"), &text)
}

/// Runs Apache as another user than root, which it does not serve as; the host has only one.
fn program(host: &Host, name: &str, apache: &Path) -> PathBuf {
    let text = format!(
        "#!/bin/sh\nexec unshare --user --map-user=33 --map-group=33 -- {} \"$@\"\n",
        apache.display()
    );
    host.program(name, &text)
}

pub(crate) fn subject<'a>(host: &'a Host, name: &str, config: &Path) -> Subject<'a> {
    let program = program(host, "bin/apache", &tool("apache2", "apache2"));
    let params = [("configfile", config.to_str().unwrap()), ("httpd", program.to_str().unwrap())];
    Subject::new(host, "httpd", name, &params)
}

/// Process ids of an instance as the host sees them: its master, then all that are in its session and not zombies.
fn processes(host: &Host, name: &str) -> (String, Vec<String>) {
    let file = host.dir.path().join(name).join("httpd.pid");
    let master = fs::read_to_string(file).unwrap().trim().to_owned();
    let session = host.session(&master);
    (master, session)
}

fn serves(host: &Host, name: &str, port: u16) {
    assert_eq!(host.asked(port, "/index.txt"), format!("I am {name}"));
}

#[test]
fn it_serves_from_the_end_of_start_to_the_end_of_stop() {
    for mpm in ["event", "worker", "prefork"] {
        let host = Host::new();
        let config = with_mpm(&host, "a", 8081, mpm, "");
        let subject = subject(&host, "a", &config);
        subject.expect(Action::ValidateAll, 0);
        subject.expect(Action::Monitor, 7);
        subject.expect(Action::Stop, 0);
        for _ in 0..3 {
            subject.expect(Action::Start, 0);
            serves(&host, "a", 8081);
            subject.expect(Action::Monitor, 0);
            let (master, _) = processes(&host, "a");
            subject.expect(Action::Start, 0);
            assert_eq!(processes(&host, "a").0, master, "{mpm}: a second start changes nothing");
            subject.expect(Action::Stop, 0);
            assert_eq!(host.session(&master), Vec::<String>::new(), "{mpm}");
            subject.expect(Action::Monitor, 7);
        }
    }
}

#[test]
fn orphaned_workers_are_ended_and_those_of_another_apache_are_not() {
    let host = Host::new();
    // Prefork's workers never look after their master.
    let (config_a, config_b) =
        (with_mpm(&host, "a", 8081, "prefork", ""), config(&host, "b", 8082, ""));
    let (a, b) = (subject(&host, "a", &config_a), subject(&host, "b", &config_b));
    a.expect(Action::Start, 0);
    b.expect(Action::Start, 0);
    let others = processes(&host, "b").0;

    let (master, _) = processes(&host, "a");
    host.kill_alone(&master);
    a.expect_reason(Action::Monitor, 1, "its workers go on");
    assert!(host.session(&master).len() >= 2, "workers outlive their master");
    serves(&host, "a", 8081);
    a.expect(Action::Start, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
    serves(&host, "a", 8081);
    a.expect(Action::Monitor, 0);

    let (master, _) = processes(&host, "a");
    host.kill_alone(&master);
    a.expect(Action::Stop, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
    a.expect(Action::Monitor, 7);

    assert_eq!(processes(&host, "b").0, others);
    serves(&host, "b", 8082);
}

#[test]
fn orphans_are_found_by_the_pid_file_when_the_state_is_lost() {
    let host = Host::new();
    let config = with_mpm(&host, "a", 8081, "prefork", "");
    let subject = subject(&host, "a", &config);
    subject.expect(Action::Start, 0);
    let (master, _) = processes(&host, "a");
    fs::remove_dir_all(host.dir.path().join("state")).unwrap();
    host.kill_alone(&master);
    subject.expect(Action::Monitor, 1);
    subject.expect(Action::Stop, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
}

/// A process id that was given away again must not make another Apache ours, nor keep ours from starting.
#[test]
fn a_stale_pid_file_names_nobody() {
    let host = Host::new();
    let (config_a, config_b) = (config(&host, "a", 8081, ""), config(&host, "b", 8082, ""));
    let (a, b) = (subject(&host, "a", &config_a), subject(&host, "b", &config_b));
    b.expect(Action::Start, 0);
    let (master, _) = processes(&host, "b");
    host.file("a/httpd.pid", &format!("{master}\n"));
    host.file("state/httpd-a@web", &format!("{master} {master}\n"));
    a.expect(Action::Monitor, 7);
    a.expect(Action::Stop, 0);
    host.file("a/httpd.pid", &format!("{master}\n"));
    a.expect(Action::Start, 0);
    serves(&host, "a", 8081);
    a.expect(Action::Stop, 0);
    assert_eq!(processes(&host, "b").0, master);
    serves(&host, "b", 8082);
}

/// Nobody reaps in this host: all that was killed stays a zombie, in which Apache itself would see a living master.
#[test]
fn zombies_count_as_gone() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let subject = subject(&host, "a", &config);
    subject.expect(Action::Start, 0);
    let (master, all) = processes(&host, "a");
    host.bash(&format!("kill -KILL {}", all.join(" ")));
    host.until(&format!("grep -q '^State:.Z' /proc/{master}/status"));
    host.until("! grep -l '^State:.[^Z]' /proc/[0-9]*/status | xargs grep -q '^Name:.apache2'");
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Start, 0);
    serves(&host, "a", 8081);
    subject.expect(Action::Monitor, 0);
}

#[test]
fn what_does_not_stop_is_killed_in_time() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let mut subject = subject(&host, "a", &config);
    subject.resource.timeout.stop = Duration::from_secs(1);
    subject.expect(Action::Start, 0);
    let (master, all) = processes(&host, "a");
    host.bash(&format!("kill -STOP {}", all.join(" ")));
    subject.expect(Action::Stop, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
}

#[test]
fn what_cannot_work_is_said() {
    let host = Host::new();
    let broken = config(&host, "a", 8081, "NoSuchDirective on");
    let a = subject(&host, "a", &broken);
    for (action, code) in [(Action::Start, 1), (Action::ValidateAll, 2)] {
        a.expect_reason(action, code, "Syntax error on line");
        a.expect_reason(action, code, "Invalid command 'NoSuchDirective'");
    }
    a.expect(Action::Monitor, 7);

    let good = config(&host, "b", 8082, "");
    let same_port = config(&host, "c", 8082, "");
    let b = subject(&host, "b", &good);
    b.expect(Action::Start, 0);
    let c = subject(&host, "c", &same_port);
    c.expect_reason(Action::Start, 1, "could not bind to address 127.0.0.1:8082");
    c.expect(Action::Monitor, 7);
    c.expect(Action::Stop, 0);
    serves(&host, "b", 8082);

    let mut missing = subject(&host, "d", Path::new("/none/httpd.conf"));
    missing.expect_reason(Action::Start, 5, "/none/httpd.conf");
    missing.expect(Action::Monitor, 7);
    missing.expect(Action::Stop, 0);
    missing.resource.params.insert("httpd".to_owned(), "/none/httpd".to_owned());
    missing.expect_reason(Action::Start, 5, "/none/httpd");
    missing.expect(Action::Monitor, 7);
    missing.expect(Action::Stop, 0);
    let mut wrong = subject(&host, "e", Path::new("relative.conf"));
    wrong.expect_reason(Action::ValidateAll, 2, "absolute path");
    for (name, value, code) in [
        ("graceful", "soon", 2),
        ("graceful", "08", 2),
        ("testregex", "x", 2),
        ("envfiles", "/none/envvars", 5),
    ] {
        wrong = subject(&host, "e", &same_port);
        wrong.resource.params.insert(name.to_owned(), value.to_owned());
        wrong.expect_reason(Action::ValidateAll, code, name);
        // What was never started can be looked for and stopped all the same.
        wrong.expect(Action::Monitor, 7);
        wrong.expect(Action::Stop, 0);
    }
}

/// Apache lets go of the agent before its workers have begun: what goes wrong then stands in its log alone.
#[test]
fn an_end_after_a_good_beginning_is_no_start() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let mut subject = subject(&host, "a", &config);
    let (apache, dir) = (subject.resource.params["httpd"].clone(), host.dir.path().display());
    let ends = format!(
        "#!/bin/sh\n{apache} \"$@\" || exit\ncase $* in *-k\\ start) ;; *) exit ;; esac\n\
         until [ -s {dir}/a/httpd.pid ]; do sleep 0.01; done\npkill -KILL -s $(cat {dir}/a/httpd.pid)\n\
         echo 'it was me' >{dir}/a/error.log\n"
    );
    let ends = host.program("bin/ends", &ends);
    subject.resource.params.insert("httpd".to_owned(), ends.display().to_string());
    subject.expect_reason(Action::Start, 1, "Apache ended while it started: it was me (see ");
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Stop, 0);
}

#[test]
fn a_status_page_that_is_not_as_it_should_be_is_a_failure() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let mut subject = subject(&host, "a", &config);
    let set = |subject: &mut Subject<'_>, name: &str, value: &str| {
        subject.resource.params.insert(name.to_owned(), value.to_owned());
    };
    set(&mut subject, "port", "8081");
    subject.expect(Action::ValidateAll, 0);
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Start, 0);
    let (master, _) = processes(&host, "a");
    for client in ["curl", "wget"] {
        let client = tool(client, client);
        subject.expect(Action::Monitor, 0);
        set(&mut subject, "testregex", "I AM [a-b]$");
        subject.expect_reason(Action::Monitor, 1, "shows nothing that matches");
        set(&mut subject, "statusurl", "http://127.0.0.1:8081/index.txt");
        subject.expect(Action::Monitor, 0);
        set(&mut subject, "statusurl", "http://127.0.0.1:8099/");
        subject.expect_reason(Action::Monitor, 1, "http://127.0.0.1:8099/ does not answer");
        subject.resource.params.retain(|name, _| name != "statusurl" && name != "testregex");
        // The next is used only where this one is not there.
        host.bash(&format!("mount --bind /dev/null {}", client.display()));
    }
    subject.expect_reason(Action::ValidateAll, 5, "neither curl nor wget");
    for client in ["curl", "wget"] {
        host.bash(&format!("umount {}", tool(client, client).display()));
    }
    assert_eq!(processes(&host, "a").0, master);
    subject.expect(Action::Stop, 0);

    set(&mut subject, "statusurl", "http://127.0.0.1:8099/");
    subject.resource.timeout.stop = Duration::from_secs(2);
    subject.expect_reason(Action::Start, 1, "http://127.0.0.1:8099/ does not answer");
    subject.expect(Action::Stop, 0);
    subject.expect(Action::Monitor, 7);
}

/// As its meta-data says.
#[test]
fn without_a_page_to_ask_for_only_processes_are_looked_at() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let subject = subject(&host, "a", &config);
    assert!(subject.run(Action::MetaData).stdout.contains("it looks at processes alone"));
    subject.expect(Action::Start, 0);
    host.bash(&format!("kill -STOP {}", processes(&host, "a").1.join(" ")));
    assert_eq!(subject.expect(Action::Monitor, 0), "");
}

#[test]
fn options_are_read_as_by_a_shell() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "<IfDefine !Wanted>\nNoSuchDirective\n</IfDefine>");
    let mut subject = subject(&host, "a", &config);
    subject
        .resource
        .params
        .insert("options".to_owned(), "-D Wanted -C 'ServerAdmin \"two words\"'".to_owned());
    subject.expect(Action::ValidateAll, 0);
    subject.expect(Action::Start, 0);
    serves(&host, "a", 8081);
    subject.expect(Action::Monitor, 0);
    subject.expect(Action::Stop, 0);
}

/// A pid file that depends on the environment, and one that another file names.
#[test]
fn the_pid_file_is_found_where_the_configuration_puts_it() {
    let host = Host::new();
    let dir = host.dir.path().display().to_string();
    let own = host.file("env", "PLACE=$APACHE_CONFDIR/run\nexport NAME=own\n");
    fs::create_dir_all(host.dir.path().join("a/run")).unwrap();
    host.file("a/more.conf", "PidFile run/other.pid\n");
    for (more, pid_file) in
        [("PidFile ${PLACE}/${NAME}.pid", "own.pid"), ("Include more.conf", "other.pid")]
    {
        let config = config(&host, "a", 8081, more);
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace(&format!("pidfile \"{dir}/a/httpd.pid\"\n"), "")).unwrap();
        let mut subject = subject(&host, "a", &config);
        subject.resource.params.insert("envfiles".to_owned(), own.display().to_string());
        subject.expect(Action::Start, 0);
        let master = fs::read_to_string(format!("{dir}/a/run/{pid_file}")).unwrap();
        fs::remove_dir_all(host.dir.path().join("state")).unwrap();
        subject.expect(Action::Monitor, 0);
        subject.expect(Action::Stop, 0);
        assert_eq!(host.session(master.trim()), Vec::<String>::new());
    }
}

/// A client that has asked for much and reads on when `ready` succeeds; the file that tells how much it got.
fn read_slowly(host: &Host, ready: &str) -> PathBuf {
    let dir = host.dir.path().display().to_string();
    host.bash(&format!(
        "truncate -s 64M {dir}/a/big; rm -f {dir}/started {dir}/size; \
         ( exec 3<>/dev/tcp/127.0.0.1/8081; printf 'GET /big HTTP/1.0\\r\\n\\r\\n' >&3; head -c 1000 <&3; \
         touch {dir}/started; until {ready}; do sleep 0.01; done; \
         wc -c <&3 >{dir}/size.new; mv {dir}/size.new {dir}/size ) >/dev/null 2>&1 &"
    ));
    host.until(&format!("test -e {dir}/started"));
    host.dir.path().join("size")
}

fn got(host: &Host, size: &Path) -> u64 {
    host.until(&format!("test -e {}", size.display()));
    fs::read_to_string(size).unwrap().trim().parse().unwrap()
}

#[test]
fn requests_under_way_are_cut_unless_time_is_given() {
    const ALL: u64 = 64 << 20;
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let mut subject = subject(&host, "a", &config);
    subject.expect(Action::Start, 0);
    let (master, _) = processes(&host, "a");
    let stopped = host.dir.path().join("stopped");
    let size = read_slowly(&host, &format!("test -e {}", stopped.display()));
    subject.expect(Action::Stop, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
    // MPM event waits for this client and complains of that: nobody does here.
    let log = fs::read_to_string(host.dir.path().join("a/error.log")).unwrap();
    assert!(log.contains("caught SIGTERM") && !log.contains("did not exit"), "{log}");
    fs::write(stopped, "").unwrap();
    let cut = got(&host, &size);
    assert!(cut < ALL - 1000, "{cut}");

    subject.expect(Action::Start, 0);
    subject.resource.params.insert("graceful".to_owned(), "08".to_owned());
    subject.expect(Action::Stop, 0);

    subject.resource.params.insert("graceful".to_owned(), "10".to_owned());
    subject.expect(Action::Start, 0);
    let (master, _) = processes(&host, "a");
    let log = host.dir.path().join("a/error.log");
    let size = read_slowly(&host, &format!("grep -q 'caught SIGWINCH' {}", log.display()));
    subject.expect(Action::Stop, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
    let all = got(&host, &size);
    assert!(all >= ALL - 1000, "{all}");
    subject.expect(Action::Monitor, 7);
}

/// Debian's own files where its package puts them, and no parameter at all.
#[test]
fn debians_apache_needs_no_parameters() {
    let host = Host::new();
    let etc = [".cache/packages/root/etc/apache2", "/etc/apache2"].map(source);
    let etc = etc.iter().find(|dir| dir.join("apache2.conf").exists()).unwrap();
    let dir = host.dir.path().display().to_string();
    host.bash(&format!("mkdir {dir}/etc && cp -a {} {dir}/etc/apache2", etc.display()));
    // What its installation does.
    let enabled = host.dir.path().join("etc/apache2/mods-enabled");
    let _ = fs::remove_dir_all(&enabled);
    fs::create_dir(&enabled).unwrap();
    for name in ["mpm_event.load", "mpm_event.conf", "authz_core.load"] {
        let target = format!("../mods-available/{name}");
        std::os::unix::fs::symlink(target, enabled.join(name)).unwrap();
    }
    host.file("etc/apache2/conf-enabled/own.conf", "DocumentRoot /var/www\n");
    let apache = tool("apache2", "apache2");
    program(&host, "bin/apache2", &apache);
    host.bash(&format!(
        "mount -t overlay -o lowerdir={dir}/etc:/etc overlay /etc && mount -t tmpfs tmpfs /run && \
         mount -t tmpfs tmpfs /var && ln -s /run /var/run && ln -s /run/lock /var/lock && \
         mkdir -p /run/lock /var/log/apache2 /var/www && echo 'I am Debian' >/var/www/index.txt && \
         echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start"
    ));
    let mut subject = Subject::new(&host, "httpd", "a", &[]);
    subject.bin = Some(host.dir.path().join("bin"));
    subject.expect(Action::ValidateAll, 0);
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Start, 0);
    assert_eq!(host.asked(80, "/index.txt"), "I am Debian\n");
    subject.expect(Action::Monitor, 0);
    subject.expect(Action::Stop, 0);
    subject.expect(Action::Monitor, 7);

    // A process that has to do with the same file is none.
    host.bash("sleep 600 </dev/null >/dev/null 2>&1 & tail -n 0 --pid $! --follow=name /etc/apache2/apache2.conf \
               </dev/null >/dev/null 2>&1 & echo $! >/run/apache2/apache2.pid");
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Stop, 0);
    host.bash("kill -0 $(cat /run/apache2/apache2.pid) && rm /run/apache2/apache2.pid");

    // As Debian's and Red Hat's units start it: it is the same Apache.
    for how in ["-k start", "-DFOREGROUND"] {
        host.bash(&format!(
            "export APACHE_CONFDIR=/etc/apache2; . /etc/apache2/envvars; \
             setsid {dir}/bin/apache2 {how} </dev/null >/dev/null 2>&1 &"
        ));
        host.until("test -s /run/apache2/apache2.pid");
        subject.expect(Action::Monitor, 0);
        let master = host.bash("cat /run/apache2/apache2.pid");
        subject.expect(Action::Stop, 0);
        assert_eq!(host.session(master.trim()), Vec::<String>::new(), "{how}");
        subject.expect(Action::Monitor, 7);
    }
}

/// Red Hat's names and places: another program, another file, a pid file that stands in neither.
#[test]
fn red_hats_apache_needs_no_parameters() {
    let host = Host::new();
    let dir = host.dir.path().display().to_string();
    let config = config(&host, "a", 8081, "");
    fs::create_dir_all(host.dir.path().join("etc/httpd/conf")).unwrap();
    fs::copy(&config, host.dir.path().join("etc/httpd/conf/httpd.conf")).unwrap();
    host.file("etc/sysconfig/httpd", "LANG=C\n");
    host.bash(&format!("cp {} {dir}/httpd", tool("apache2", "apache2").display()));
    program(&host, "bin/httpd", &host.dir.path().join("httpd"));
    host.bash(&format!(
        "mount -t overlay -o lowerdir={dir}/etc:/etc overlay /etc && \
         for place in $(type -a -P apache2); do mount --bind /dev/null $place; done"
    ));
    let mut subject = Subject::new(&host, "httpd", "a", &[]);
    subject.bin = Some(host.dir.path().join("bin"));
    subject.expect(Action::ValidateAll, 0);
    subject.expect(Action::Start, 0);
    serves(&host, "a", 8081);
    subject.expect(Action::Monitor, 0);
    let (master, _) = processes(&host, "a");
    subject.expect(Action::Stop, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
}

/// A daemon that keeps its error output open must not hold up the start, nor die of it when the agent has gone.
#[test]
fn an_error_log_on_stderr_is_no_hindrance() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "ErrorLog /dev/stderr\nLogLevel debug");
    let subject = subject(&host, "a", &config);
    subject.expect(Action::Start, 0);
    for _ in 0..20 {
        serves(&host, "a", 8081);
    }
    subject.expect(Action::Monitor, 0);
    subject.expect(Action::Stop, 0);
}
