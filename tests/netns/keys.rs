//! The key of a running pair is changed. Neither node may miss the other meanwhile.
#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "test code: it panics where a test has to fail"
)]

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use lubdub::cluster::event::Event;
use lubdub::cluster::io::Reject;
use lubdub::lab::{Lab, LabError, Moment, Node, PATIENCE, PORT, stays, wait_for};
use lubdub::wire::{
    Body, ClusterTag, Flags, Header, Heartbeat, Incarnation, Keys, NodeTag, Phase, Report,
    Sequence, seal,
};

use crate::support::{assert_never_moved, in_lab, pair, sight};

#[test]
fn a_key_is_changed_under_a_running_pair() {
    in_lab("keys::a_key_is_changed_under_a_running_pair", pair(), |lab| {
        let client = lab.begin()?;
        let begin = Moment::now();
        let (alpha, beta) = (lab.node("alpha")?, lab.node("beta")?);
        let old = fs::read_to_string(authkeys(alpha)).unwrap();

        succeeds(alpha, &["keygen", "--add"])?;
        fs::copy(authkeys(alpha), authkeys(beta)).unwrap();
        for node in [alpha, beta] {
            assert!(succeeds(node, &["reload"])?.starts_with("keys: key 2 is accepted too\n"));
        }
        calm(lab, "both keys are accepted")?;

        succeeds(alpha, &["keygen", "--use", "2"])?;
        succeeds(alpha, &["reload"])?;
        wait_for("beta sees alpha sign with key 2", PATIENCE, || {
            Ok(seen_key(beta, "alpha")? == Some(2))
        })?;
        dropping_a_key_in_use_changes_nothing(alpha)?;
        calm(lab, "each signs with another key")?;

        // The signal does what the command does.
        succeeds(beta, &["keygen", "--use", "2"])?;
        beta.hang_up_daemon()?;
        wait_for("alpha sees beta sign with key 2", PATIENCE, || {
            Ok(seen_key(alpha, "beta")? == Some(2))
        })?;
        for node in [alpha, beta] {
            succeeds(node, &["keygen", "--drop", "1"])?;
            assert!(succeeds(node, &["reload"])?.contains("key 1 is no longer accepted"));
        }
        calm(lab, "the old key is gone")?;

        assert_eq!(refused(beta)?, 0, "no datagram of the change itself was refused");
        send_to_beta(alpha, &old)?;
        wait_for("the old key is refused", PATIENCE, || Ok(refused(beta)? == 1))?;
        let missed = lab.nodes().iter().flat_map(|node| node.history().unwrap()).filter(|it| {
            let silence = matches!(it.event, Event::PeerLate { .. } | Event::PeerLost { .. });
            it.moment >= begin && silence
        });
        assert_eq!(missed.collect::<Vec<_>>(), []);
        assert_eq!(sight(client, begin)?.failed, 0);
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

/// Beta signs with key 1 when alpha's file is changed so; and a file that everybody can read is not taken either.
fn dropping_a_key_in_use_changes_nothing(alpha: &Node) -> Result<(), LabError> {
    let both = fs::read_to_string(authkeys(alpha)).unwrap();
    succeeds(alpha, &["keygen", "--drop", "1"])?;
    fails(alpha, &["reload"], "beta still signs with key 1")?;
    fs::write(authkeys(alpha), &both).unwrap();
    fs::set_permissions(authkeys(alpha), fs::Permissions::from_mode(0o644)).unwrap();
    fails(alpha, &["reload"], "chmod 600")?;
    fs::set_permissions(authkeys(alpha), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(authkeys(alpha), "auth 1\n1 sha256 short\n").unwrap();
    fails(alpha, &["reload"], "authkeys: line 2: ")?;
    fs::write(authkeys(alpha), &both).unwrap();
    assert!(succeeds(alpha, &["reload"])?.starts_with("keys: the same as before\n"));
    Ok(())
}

fn authkeys(node: &Node) -> PathBuf {
    node.etc().join("authkeys")
}

fn succeeds(node: &Node, arguments: &[&str]) -> Result<String, LabError> {
    let output = node.lubdub(arguments)?;
    assert!(output.status.success(), "{arguments:?} on {}: {output:?}", node.name());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn fails(node: &Node, arguments: &[&str], words: &str) -> Result<(), LabError> {
    let output = node.lubdub(arguments)?;
    assert_eq!(output.status.code(), Some(2), "{arguments:?} on {}: {output:?}", node.name());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("nothing was changed") && told.contains(words), "{told}");
    Ok(())
}

/// For long enough that a node which does not understand the other would lose it.
fn calm(lab: &Lab, what: &str) -> Result<(), LabError> {
    stays(what, lab.plan().deadtime * 3, || Ok(lab.kernels().only_holder_is("alpha")))
}

fn seen_key(node: &Node, peer: &str) -> Result<Option<u8>, LabError> {
    let nodes = node.status()?.snapshot.nodes;
    let peer = nodes.into_iter().find(|other| other.name == peer).and_then(|node| node.peer);
    Ok(peer.and_then(|peer| peer.key).map(|key| key.get()))
}

/// Datagrams that a node refused for want of their key.
fn refused(node: &Node) -> Result<u64, LabError> {
    Ok(node.status()?.snapshot.refused.get(&Reject::UnknownKey).copied().unwrap_or(0))
}

/// A heartbeat as alpha would have written it with its former keys.
fn send_to_beta(alpha: &Node, keys: &str) -> Result<(), LabError> {
    let heartbeat = Heartbeat {
        header: Header {
            sender: NodeTag::of("alpha"),
            incarnation: Incarnation(1),
            sequence: Sequence(1),
            sent_us: 1,
            wall_us: 1,
            flags: Flags::default(),
            keepalive_us: 100_000,
            deadtime_us: 500_000,
            echoes: vec![],
            records: vec![],
        },
        body: Body::Known(Report {
            phase: Phase::Active,
            digests: [0; 4],
            macs: vec![],
            groups: vec![],
            wishes: vec![],
        }),
    };
    let keys = Keys::parse(keys).unwrap();
    let datagram = seal(&heartbeat, 1, &keys, ClusterTag::of("demo")).unwrap();
    let sent = alpha.inside(move || {
        let socket = UdpSocket::bind(("10.77.0.1", 0))?;
        socket.send_to(&datagram, ("10.77.0.2", PORT))
    })?;
    assert!(sent.is_ok(), "{sent:?}");
    Ok(())
}
