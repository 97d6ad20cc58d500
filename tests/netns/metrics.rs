//! The metrics endpoint of real daemons, scraped from the node itself.
#![expect(clippy::unwrap_used, reason = "test code: it panics where a test has to fail")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lubdub::cluster::event::Event;
use lubdub::lab::{LabError, Moment, Node, PATIENCE, stays, wait_for};
use nix::sched::{CloneFlags, setns};

use crate::support::{assert_never_moved, in_lab, pair, sight};

/// Where it is served unless told otherwise.
const HERE: &str = "127.0.0.1:9694";

#[test]
fn figures_follow_a_takeover() {
    in_lab("metrics::figures_follow_a_takeover", pair(), |lab| {
        let beta = lab.node("beta")?;
        for node in lab.nodes() {
            configure(node, "[metrics]\n");
        }
        let client = lab.begin()?;
        let holds = r#"lubdub_group_state{group="web",node="beta",state="started"}"#;
        let lost = r#"lubdub_peer_lost_total{peer="alpha"}"#;
        wait_for("beta sees alpha", PATIENCE, || {
            let page = scrape(beta)?;
            Ok(value(&page, r#"lubdub_node_state{node="alpha",state="up"}"#) == Some("1")
                && value(&page, r#"lubdub_group_holders{group="web"}"#) == Some("1"))
        })?;
        let before = scrape(beta)?;
        assert_eq!((value(&before, holds), value(&before, lost)), (Some("0"), Some("0")));
        lab.power_off("alpha")?;
        lab.wait_served(&client, "beta")?;
        wait_for("the figures of beta tell of it", PATIENCE, || {
            let page = scrape(beta)?;
            Ok(value(&page, holds) == Some("1") && value(&page, lost) == Some("1"))
        })?;
        // For this machine alone: the address of the network is not listened on.
        let elsewhere = beta.inside(|| TcpStream::connect(("10.77.0.2", 9694)).map(drop))?;
        assert!(elsewhere.is_err());
        Ok(())
    });
}

#[test]
fn without_its_section_nothing_listens() {
    in_lab("metrics::without_its_section_nothing_listens", pair(), |lab| {
        lab.begin()?;
        let listens = lab.node("alpha")?.inside(|| TcpStream::connect(HERE).map(drop))?;
        assert_eq!(listens.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        Ok(())
    });
}

/// Connections by the thousand, requests without an end and readers that do not read: nobody is lost for it.
#[test]
fn hostile_scrapers_cost_the_cluster_nothing() {
    in_lab("metrics::hostile_scrapers_cost_the_cluster_nothing", pair(), |lab| {
        for node in lab.nodes() {
            configure(node, "[metrics]\n");
        }
        let client = lab.begin()?;
        let begin = Moment::now();
        let alpha = lab.node("alpha")?;
        wait_for("alpha serves its figures", PATIENCE, || Ok(scrape(alpha).is_ok()))?;
        let end = Arc::new(AtomicBool::new(false));
        let attacks = attack(alpha, &end)?;
        stays("alpha keeps the group", lab.plan().deadtime * 8, || {
            Ok(lab.kernels().only_holder_is("alpha"))
        })?;
        end.store(true, Ordering::Relaxed);
        let connections: u64 = attacks.into_iter().map(|attack| attack.join().unwrap()).sum();
        assert!(connections > 100, "{connections}");
        wait_for("a scraper is served", PATIENCE, || Ok(scrape(alpha).is_ok()))?;
        let missed = lab.nodes().iter().flat_map(|node| node.history().unwrap()).filter(|it| {
            let silence = matches!(it.event, Event::PeerLost { .. } | Event::Paused { .. });
            it.moment >= begin && silence
        });
        assert_eq!(missed.collect::<Vec<_>>(), []);
        assert_eq!(sight(client, begin)?.failed, 0);
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

/// Two that attack at once; each tells how many connections it had.
fn attack(node: &Node, end: &Arc<AtomicBool>) -> Result<Vec<thread::JoinHandle<u64>>, LabError> {
    let attacks: [&[u8]; 2] = [b"GET /metrics HTTP/1.1\r\nx: ", b"GET /metrics HTTP/1.1\r\n\r\n"];
    let process = node.processes()?.first().map(|process| process.pid).unwrap();
    let begin = |request: &'static [u8]| {
        let end = Arc::clone(end);
        thread::spawn(move || {
            let network = File::open(format!("/proc/{process}/ns/net")).unwrap();
            setns(network, CloneFlags::CLONE_NEWNET).unwrap();
            let mut open = Vec::new();
            let mut count = 0;
            while !end.load(Ordering::Relaxed) {
                let Ok(mut stream) = TcpStream::connect(HERE) else { continue };
                count += u64::from(stream.write_all(request).is_ok());
                // Nobody reads; some stay open.
                open.push(stream);
                if open.len() > 100 {
                    open.clear();
                }
            }
            count
        })
    };
    Ok(attacks.map(begin).into_iter().collect())
}

fn configure(node: &Node, more: &str) {
    let path = node.etc().join("cluster.toml");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    write!(file, "\n{more}").unwrap();
}

fn scrape(node: &Node) -> Result<String, LabError> {
    let page = node.inside(|| {
        let address: SocketAddr = HERE.parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        match page.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200 OK") => Ok(body.to_owned()),
            _ => Err(io::Error::other(page)),
        }
    })?;
    page.map_err(|source| LabError::CannotRun { program: format!("scrape {HERE}"), source })
}

fn value<'a>(page: &'a str, series: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}
