//! What every agent owes: the contract of the OCF resource agent API 1.1.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lubdub::agent::{Action, Agents, MetaData};

use crate::host::{Host, Subject, source, tool};
use crate::{httpd, nginx, ntp};

fn agents() -> Vec<String> {
    let list = Agents::new(vec![source("resource-agents")], vec![nix::unistd::geteuid().as_raw()])
        .list()
        .unwrap();
    list.into_iter()
        .map(|(name, found)| {
            found.unwrap();
            name.0
        })
        .collect()
}

#[test]
fn every_agent_describes_itself_and_refuses_what_it_does_not_know() {
    let host = Host::new();
    assert_eq!(
        agents(),
        ["Dummy", "IPaddr", "httpd", "nginx", "ntp"],
        "a new agent needs tests here"
    );
    for agent in agents() {
        let subject = Subject::new(&host, &agent, "x", &[]);
        let data = MetaData::parse(&subject.run(Action::MetaData).stdout).unwrap();
        assert_eq!(data.name, agent);
        let advised: Vec<_> = data
            .actions
            .iter()
            .map(|action| (action.name.as_str(), action.timeout.is_some()))
            .collect();
        let all =
            [Action::Start, Action::Stop, Action::Monitor, Action::ValidateAll, Action::MetaData];
        assert_eq!(advised, all.map(|action| (action.word(), true)), "{agent}");
        let path = source("resource-agents").join(&agent);
        let ran = host.run(&path, &["promote"], &subject.environment(Action::Start));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{agent}: {ran:?}");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o555, 0o555, "{agent}: everybody may read and run it");
    }
}

#[test]
fn every_script_passes_shellcheck() {
    let scripts = agents().into_iter().map(|agent| source("resource-agents").join(agent));
    let ours = ["fixture.sh", "stand-in.sh"].map(|name| source("tests/agents").join(name));
    let host = Host::new();
    let shellcheck = tool("shellcheck", "shellcheck");
    for script in scripts.chain(ours) {
        let subject = Subject::new(&host, "Dummy", "x", &[]);
        let environment = subject.environment(Action::MetaData);
        let ran = host.run(&shellcheck, &["-s", "sh", script.to_str().unwrap()], &environment);
        assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    }
}

/// Runs `ocf-tester` from wherever it lies: it looks for the document type below `DATADIR`, and calls `su nobody` to test
/// permissions, which a namespace with a single user does not have (the mode is tested above).
fn ocf_tester(subject: &Subject<'_>) {
    let host = subject.host;
    let tester = tool("ocf-tester", "resource-agents");
    tool("xmllint", "libxml2-utils");
    let data = tester.ancestors().nth(2).unwrap().join("share");
    assert!(
        data.join("resource-agents/ra-api-1.dtd").is_file(),
        "ocf-tester without its files in {}",
        data.display()
    );
    let script = fs::read_to_string(&tester).unwrap();
    assert!(
        script.contains("DATADIR=/usr/share\n"),
        "ocf-tester has changed: look how it finds its files"
    );
    let script = script.replace("DATADIR=/usr/share\n", &format!("DATADIR={}\n", data.display()));
    let script = host.file("ocf-tester", &script);
    let su =
        host.program("bin/su", "#!/bin/sh\n# su nobody -s /bin/sh -c COMMAND\nexec sh -c \"$5\"\n");

    let agent = source("resource-agents").join(&subject.resource.agent.0);
    let mut environment = subject.environment(Action::Monitor);
    // The tester gives the parameters itself.
    environment.retain(|name, _| !name.starts_with("OCF_RESKEY_") && name != "OCF_ROOT");
    environment.insert("OCF_ROOT".to_owned(), "/".into());
    let path = format!("{}:{}", su.parent().unwrap().display(), environment["PATH"].display());
    environment.insert("PATH".to_owned(), path.into());
    let mut args =
        vec![script.display().to_string(), "-n".to_owned(), subject.resource.name.clone()];
    for (name, value) in &subject.resource.params {
        args.extend(["-o".to_owned(), format!("{name}={value}")]);
    }
    args.push(agent.display().to_string());
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let ran = host.run(Path::new("sh"), &args, &environment);
    assert!(
        ran.code == Some(0) && ran.stdout.contains("passed all tests"),
        "{}\n{}",
        ran.stdout,
        ran.stderr
    );
    assert!(!ran.stdout.contains("rc="), "{}", ran.stdout);
}

#[test]
fn dummy_passes_ocf_tester() {
    let host = Host::new();
    ocf_tester(&Subject::new(&host, "Dummy", "x", &[]));
}

#[test]
fn nginx_passes_ocf_tester() {
    let host = Host::new();
    let config = nginx::config(&host, "a", 8081, "");
    ocf_tester(&nginx::subject(&host, "a", &config));
}

#[test]
fn httpd_passes_ocf_tester() {
    let host = Host::new();
    let config = httpd::config(&host, "a", 8081, "");
    ocf_tester(&httpd::subject(&host, "a", &config));
}

#[test]
fn ntp_passes_ocf_tester() {
    let host = ntp::host();
    ntp::synchronise(&host);
    ocf_tester(&Subject::new(&host, "ntp", "x", &[]));
}

#[test]
fn ipaddr_passes_ocf_tester() {
    let host = Host::new();
    ocf_tester(&Subject::new(&host, "IPaddr", "x", &[("ip", "127.0.0.2/8"), ("interface", "lo")]));
}

#[test]
fn dummy_is_what_its_file_is() {
    let host = Host::new();
    let mut subject = Subject::new(&host, "Dummy", "x", &[]);
    let state = host.dir.path().join("state/Dummy-x@web.state");
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Start, 0);
    assert!(state.exists());
    subject.expect(Action::Start, 0);
    subject.expect(Action::Monitor, 0);
    subject.expect(Action::Stop, 0);
    assert!(!state.exists());
    subject.expect(Action::Stop, 0);

    let own = host.dir.path().join("own");
    subject.resource.params.insert("state".to_owned(), own.display().to_string());
    subject.expect(Action::Start, 0);
    assert!(own.exists());
    subject.resource.params.insert("state".to_owned(), "/proc/none/x".to_owned());
    subject.expect_reason(Action::Start, 1, "cannot be written");
    subject.resource.params.insert("state".to_owned(), "relative".to_owned());
    subject.expect_reason(Action::ValidateAll, 2, "absolute path");
}
