//! IPaddr, judged by what the kernel shows.

use std::path::PathBuf;
use std::time::Duration;

use lubdub::agent::Action;

use crate::host::{Host, Subject};

fn host() -> Host {
    let host = Host::new();
    host.bash("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
    host.bash("ip addr add 192.0.2.1/24 dev v0");
    host
}

/// The address's line of `ip -o addr`; empty where it is not there.
fn kernel(host: &Host, address: &str) -> String {
    host.bash(&format!("ip -o addr | grep -F ' {address} ' || true"))
}

#[test]
fn an_address_comes_and_goes() {
    let host = host();
    for (address, interface) in
        [("192.0.2.100/24", None), ("192.0.2.101/24", Some("v1")), ("2001:db8::100/64", Some("v0"))]
    {
        let mut subject = Subject::new(&host, "IPaddr", "vip", &[("ip", address)]);
        let named = interface.map(|name| ("interface".to_owned(), name.to_owned()));
        subject.resource.params.extend(named);
        subject.expect(Action::ValidateAll, 0);
        subject.expect(Action::Monitor, 7);
        subject.expect(Action::Start, 0);
        let line = kernel(&host, address);
        assert!(line.contains(&format!(": {} ", interface.unwrap_or("v0"))), "{line}");
        assert!(line.contains("valid_lft forever"), "{line}");
        subject.expect(Action::Start, 0);
        subject.expect(Action::Monitor, 0);
        subject.expect(Action::Stop, 0);
        assert_eq!(kernel(&host, address), "");
        subject.expect(Action::Stop, 0);
        subject.expect(Action::Monitor, 7);
    }
}

#[test]
fn a_leased_address_is_the_kernels_to_remove() {
    let host = host();
    let mut subject = Subject::new(&host, "IPaddr", "vip", &[("ip", "192.0.2.100/24")]);
    subject.lease = Some(Duration::from_secs(1));
    subject.not_after = Some(Duration::from_secs(u32::MAX.into()));
    subject.expect(Action::Start, 0);
    assert!(kernel(&host, "192.0.2.100/24").contains("valid_lft 1sec"));
    host.until("! ip -o addr | grep -q -F 192.0.2.100/24");
    subject.expect(Action::Monitor, 7);
}

#[test]
fn a_right_that_has_ended_adds_nothing() {
    let host = host();
    let mut subject = Subject::new(&host, "IPaddr", "vip", &[("ip", "192.0.2.100/24")]);
    subject.not_after = Some(Duration::from_secs(1));
    subject.expect_reason(Action::Start, 1, "too late");
    assert_eq!(kernel(&host, "192.0.2.100/24"), "");
}

#[test]
fn an_interface_that_is_not_there_has_no_address() {
    let host = host();
    let subject =
        Subject::new(&host, "IPaddr", "vip", &[("ip", "192.0.2.100/24"), ("interface", "v9")]);
    subject.expect_reason(Action::Start, 5, "no interface 'v9'");
    subject.expect(Action::Monitor, 7);
    subject.expect(Action::Stop, 0);
}

#[test]
fn what_cannot_work_is_said() {
    let host = host();
    Subject::new(&host, "IPaddr", "vip", &[]).expect_reason(Action::Start, 6, "'ip' is missing");
    for ip in ["192.0.2.100", "192.0.2.100/", "192.0.2.100/x"] {
        Subject::new(&host, "IPaddr", "vip", &[("ip", ip)]).expect_reason(
            Action::ValidateAll,
            6,
            "with its prefix",
        );
    }
    let mut subject = Subject::new(&host, "IPaddr", "vip", &[("ip", "192.0.2.100/24")]);
    subject.program = PathBuf::from("/none/lubdub");
    subject.expect_reason(Action::Start, 5, "/none/lubdub");
}
