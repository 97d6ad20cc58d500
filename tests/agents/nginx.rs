//! nginx, with the real program.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use lubdub::agent::Action;

use crate::host::{Host, Subject, tool};

/// A configuration that works for a single user below the host's directory, and answers with its name.
pub(crate) fn config(host: &Host, name: &str, port: u16, more: &str) -> PathBuf {
    let dir = host.dir.path().join(name);
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/{kind};\n"))
        .concat();
    let text = format!(
        "user root; # pid /not/this;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\n{more}\nevents {{}}\nhttp {{\n\
         access_log off;\n{temporary}server {{ listen 127.0.0.1:{port}; location / {{ return 200 'I am {name}'; }} }}\n}}\n"
    );
    host.file(&format!("{name}/nginx.conf"), &text)
}

pub(crate) fn subject<'a>(host: &'a Host, name: &str, config: &Path) -> Subject<'a> {
    let httpd =
        env::var_os("LUBDUB_TEST_NGINX").map_or_else(|| tool("nginx", "nginx"), PathBuf::from);
    let params = [("configfile", config.to_str().unwrap()), ("httpd", httpd.to_str().unwrap())];
    Subject::new(host, "nginx", name, &params)
}

/// Process ids of an instance as the host sees them: its master, then all that are in its session and not zombies.
fn processes(host: &Host, name: &str) -> (String, Vec<String>) {
    let master =
        fs::read_to_string(host.dir.path().join(name).join("nginx.pid")).unwrap().trim().to_owned();
    let session = host.session(&master);
    (master, session)
}

#[test]
fn it_serves_from_the_end_of_start_to_the_end_of_stop() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "worker_processes 2;");
    let subject = subject(&host, "a", &config);
    subject.expect(Action::ValidateAll, 0);
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Stop, 0);
    for _ in 0..5 {
        subject.expect(Action::Start, 0);
        assert_eq!(host.asked(8081, "/"), "I am a");
        subject.expect(Action::Monitor, 0);
        let (master, before) = processes(&host, "a");
        assert_eq!(before.len(), 3);
        subject.expect(Action::Start, 0);
        assert_eq!(
            processes(&host, "a"),
            (master.clone(), before),
            "a second start changes nothing"
        );
        subject.expect(Action::Stop, 0);
        assert_eq!(host.session(&master), Vec::<String>::new());
        subject.expect(Action::Monitor, 7);
    }
}

#[test]
fn orphaned_workers_are_ended_and_those_of_another_nginx_are_not() {
    let host = Host::new();
    let (config_a, config_b) =
        (config(&host, "a", 8081, "worker_processes 2;"), config(&host, "b", 8082, ""));
    let (a, b) = (subject(&host, "a", &config_a), subject(&host, "b", &config_b));
    a.expect(Action::Start, 0);
    b.expect(Action::Start, 0);
    let others = processes(&host, "b");

    let (master, _) = processes(&host, "a");
    host.kill_alone(&master);
    a.expect_reason(Action::Monitor, 1, "its workers go on");
    assert_eq!(host.session(&master).len(), 2, "workers outlive their master");
    a.expect(Action::Start, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
    assert_eq!(host.asked(8081, "/"), "I am a");
    a.expect(Action::Monitor, 0);

    let (master, _) = processes(&host, "a");
    host.kill_alone(&master);
    a.expect(Action::Stop, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
    a.expect(Action::Monitor, 7);

    assert_eq!(processes(&host, "b"), others);
    assert_eq!(host.asked(8082, "/"), "I am b");
}

#[test]
fn orphans_are_found_by_the_pid_file_when_the_state_is_lost() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let subject = subject(&host, "a", &config);
    subject.expect(Action::Start, 0);
    let (master, _) = processes(&host, "a");
    fs::remove_dir_all(host.dir.path().join("state")).unwrap();
    host.kill_alone(&master);
    subject.expect(Action::Monitor, 1);
    subject.expect(Action::Stop, 0);
    assert_eq!(host.session(&master), Vec::<String>::new());
}

/// A process id that was given away again must not make another nginx ours.
#[test]
fn a_stale_pid_file_does_not_name_another_nginx() {
    let host = Host::new();
    let (config_a, config_b) = (config(&host, "a", 8081, ""), config(&host, "b", 8082, ""));
    let (a, b) = (subject(&host, "a", &config_a), subject(&host, "b", &config_b));
    b.expect(Action::Start, 0);
    let (master, before) = processes(&host, "b");
    host.file("a/nginx.pid", &format!("{master}\n"));
    host.file("state/nginx-a@web", &format!("{master} {master}\n"));
    a.expect(Action::Monitor, 7);
    a.expect(Action::Stop, 0);
    host.file("a/nginx.pid", &format!("{master}\n"));
    a.expect(Action::Start, 0);
    a.expect(Action::Stop, 0);
    assert_eq!(processes(&host, "b"), (master, before));
}

/// Nobody reaps in this host: all that was killed stays a zombie.
#[test]
fn zombies_count_as_gone() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let subject = subject(&host, "a", &config);
    subject.expect(Action::Start, 0);
    let (master, all) = processes(&host, "a");
    host.bash(&format!("kill -KILL {}", all.join(" ")));
    host.until(&format!("grep -q '^State:.Z' /proc/{master}/status"));
    host.until("! grep -l '^State:.[^Z]' /proc/[0-9]*/status | xargs grep -q '^Name:.nginx'");
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Start, 0);
    assert_eq!(host.asked(8081, "/"), "I am a");
}

#[test]
fn what_does_not_stop_is_killed_in_time() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "worker_shutdown_timeout 60s;");
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
    let broken = config(&host, "a", 8081, "no_such_directive;");
    let subject = subject(&host, "a", &broken);
    subject.expect_reason(Action::Start, 1, "unknown directive \"no_such_directive\"");
    subject.expect_reason(Action::ValidateAll, 2, "unknown directive \"no_such_directive\"");

    let good = config(&host, "b", 8082, "");
    let same_port = config(&host, "c", 8082, "");
    let b = crate::nginx::subject(&host, "b", &good);
    b.expect(Action::Start, 0);
    let c = crate::nginx::subject(&host, "c", &same_port);
    c.expect_reason(Action::Start, 1, "bind() to 127.0.0.1:8082 failed");
    c.expect(Action::Monitor, 7);
    c.expect(Action::Stop, 0);
    assert_eq!(host.asked(8082, "/"), "I am b");

    let mut missing = crate::nginx::subject(&host, "d", Path::new("/none/nginx.conf"));
    missing.expect_reason(Action::Start, 5, "/none/nginx.conf");
    missing.expect(Action::Monitor, 7);
    missing.expect(Action::Stop, 0);
    missing.resource.params.insert("httpd".to_owned(), "/none/nginx".to_owned());
    missing.expect_reason(Action::Start, 5, "/none/nginx");
    missing.expect(Action::Monitor, 7);
    missing.expect(Action::Stop, 0);
}

#[test]
fn options_are_read_as_by_a_shell() {
    let host = Host::new();
    let config = config(&host, "a", 8081, "");
    let mut subject = subject(&host, "a", &config);
    subject.resource.params.insert(
        "options".to_owned(),
        "-g 'worker_processes 3; timer_resolution 100ms;'".to_owned(),
    );
    subject.expect(Action::ValidateAll, 0);
    subject.expect(Action::Start, 0);
    assert_eq!(processes(&host, "a").1.len(), 4);
    subject.expect(Action::Monitor, 0);
    subject.expect(Action::Stop, 0);
}

/// A daemon that keeps its error output open must not hold up the start, nor die of it when the agent has gone.
#[test]
fn an_error_log_on_stderr_is_no_hindrance() {
    let host = Host::new();
    let path = config(&host, "a", 8081, "");
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find("error_log").unwrap();
    let end = start + text[start..].find(';').unwrap();
    fs::write(&path, format!("{}error_log stderr debug{}", &text[..start], &text[end..])).unwrap();
    let subject = subject(&host, "a", &path);
    subject.expect(Action::Start, 0);
    for _ in 0..20 {
        assert_eq!(host.asked(8081, "/"), "I am a");
    }
    subject.expect(Action::Monitor, 0);
    subject.expect(Action::Stop, 0);
}
