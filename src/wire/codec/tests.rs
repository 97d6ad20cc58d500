use super::*;
use crate::wire::{
    Ability, Candidate, Echo, Flags, GroupReport, GroupTag, GuardRecord, Heard, Incarnation,
    MAX_AUTHOR, MAX_CANDIDATES, MAX_GROUPS_PER_PAGE, MAX_MACS, MAX_NODES, MAX_WISHES_PER_PAGE,
    Mac as HardwareAddress, MaintenanceState, MaintenanceWord, NodeTag, Nonce, Phase, PingSight,
    Report, Run, Sequence, Term, Wish, WishSubject,
};

const KEY: &str = "f05a1dc3b3f9e2b6c8b35a7f4fb1adf6f2a8f2ca34c7c6f6b0d4a5b1e60cb4d9";
const OTHER_KEY: &str = "a1b6f0c87d2e94351f6c0a8be2d7439b5c80f1647ae3d92b06f5187c4de39a50";

fn keys(key: &str) -> Keys {
    Keys::parse(&format!("auth 3\n3 sha256 {key}\n")).unwrap()
}

fn cluster() -> ClusterTag {
    ClusterTag::of("web")
}

fn small() -> Heartbeat {
    Heartbeat {
        header: Header {
            sender: NodeTag::of("alpha"),
            incarnation: Incarnation(7),
            sequence: Sequence(1),
            sent_us: 1_000,
            wall_us: 2_000,
            flags: Flags::default(),
            keepalive_us: 100_000,
            deadtime_us: 500_000,
            echoes: vec![],
            records: vec![],
        },
        body: Body::Known(Report {
            phase: Phase::Starting,
            digests: [0; 4],
            macs: vec![],
            groups: vec![],
            wishes: vec![],
        }),
    }
}

/// Everything that a message can hold, with numbers that take the most bytes.
fn largest() -> Heartbeat {
    let candidate = Candidate { incarnation: Incarnation(u64::MAX), nonce: Nonce(u64::MAX) };
    let echo = Echo {
        node: NodeTag(u64::MAX),
        heard: Some(Heard {
            incarnation: Incarnation(u64::MAX),
            sequence: Sequence(u64::MAX),
            hold_us: u32::MAX,
            links: u8::MAX,
        }),
        candidates: vec![candidate; MAX_CANDIDATES],
        answer: Some(Nonce(u64::MAX)),
    };
    let group = GroupReport {
        group: GroupTag(u32::MAX),
        run: Run::Blocked,
        term: Term(u64::MAX),
        highest: Term(u64::MAX),
        consent: Some(Term(u64::MAX)),
        ability: Ability::Excluded,
    };
    let wish = Wish {
        subject: WishSubject::Location { group: GroupTag(u32::MAX), node: Some(NodeTag(u64::MAX)) },
        stamp: u64::MAX,
        author: "x".repeat(MAX_AUTHOR),
    };
    let mut heartbeat = small();
    heartbeat.header.flags = Flags { ask: true, answer: true, goodbye: true };
    heartbeat.header.echoes = vec![echo; MAX_NODES];
    let word = MaintenanceWord { stamp: u64::MAX, state: MaintenanceState::InForce };
    heartbeat.header.records =
        vec![GuardRecord::Ping(PingSight::Answers), GuardRecord::Maintenance(word)];
    heartbeat.body = Body::Known(Report {
        phase: Phase::Leaving,
        digests: [u32::MAX; 4],
        macs: vec![HardwareAddress([0xff; 6]); MAX_MACS],
        groups: vec![group; MAX_GROUPS_PER_PAGE],
        wishes: vec![wish; MAX_WISHES_PER_PAGE],
    });
    heartbeat
}

/// A datagram with this header and body that nobody's `seal` would write, under a right tag.
fn signed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut datagram = seal(&small(), 0, &keys(KEY), cluster()).unwrap();
    datagram.truncate(datagram.len() - TAG_LEN);
    change(&mut datagram);
    sign(&mut datagram, keys(KEY).sending_mac(cluster()));
    datagram
}

fn open_it(datagram: &[u8]) -> Result<Heartbeat, OpenError> {
    open(datagram, &keys(KEY), cluster()).map(|opened| opened.heartbeat)
}

#[test]
fn what_is_sealed_opens_again_with_the_wall_clock_of_the_socket() {
    for mut heartbeat in [small(), largest()] {
        let datagram = seal(&heartbeat, 99, &keys(KEY), cluster()).unwrap();
        heartbeat.header.wall_us = 99;
        assert_eq!(open_it(&datagram), Ok(heartbeat));
    }
}

#[test]
fn the_largest_message_of_the_most_nodes_fits() {
    let datagram = seal(&largest(), 0, &keys(KEY), cluster()).unwrap();
    assert!(datagram.len() <= MAX_DATAGRAM);
    assert!(
        datagram.len() > MAX_DATAGRAM - 50,
        "the pages are as large as they can be: {}",
        datagram.len()
    );
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let mut heartbeat = largest();
    let echo = heartbeat.header.echoes[0].clone();
    heartbeat.header.echoes.push(echo.clone());
    assert_eq!(seal(&heartbeat, 0, &keys(KEY), cluster()), Err(SealError::TooLarge));
    heartbeat.header.echoes = vec![echo; 256];
    assert_eq!(seal(&heartbeat, 0, &keys(KEY), cluster()), Err(SealError::TooLarge));

    let mut heartbeat = largest();
    let Body::Known(report) = &mut heartbeat.body else { panic!("made so") };
    report.wishes[0].author = "x".repeat(MAX_DATAGRAM);
    assert_eq!(seal(&heartbeat, 0, &keys(KEY), cluster()), Err(SealError::TooLarge));
}

#[test]
fn what_cannot_be_read_cannot_be_sent() {
    let mut heartbeat = small();
    heartbeat.header.records = vec![GuardRecord::Unknown { kind: 9 }];
    assert_eq!(seal(&heartbeat, 0, &keys(KEY), cluster()), Err(SealError::Unknown));
    heartbeat.header.records.clear();
    heartbeat.body = Body::Unknown { version: 2 };
    assert_eq!(seal(&heartbeat, 0, &keys(KEY), cluster()), Err(SealError::Unknown));
}

#[test]
fn each_refusal_has_its_kind() {
    let datagram = seal(&small(), 0, &keys(KEY), cluster()).unwrap();
    let magic = [b"lub2", &datagram[4..]].concat();
    assert_eq!(open_it(&magic), Err(OpenError::Malformed));
    assert_eq!(open(&datagram, &keys(KEY), ClusterTag::of("db")), Err(OpenError::ForeignCluster));
    assert_eq!(open(&datagram, &keys(OTHER_KEY), cluster()), Err(OpenError::BadTag));
    let newer = Keys::parse(&format!("auth 4\n4 sha256 {KEY}\n")).unwrap();
    assert_eq!(open(&datagram, &newer, cluster()), Err(OpenError::UnknownKey { id: 3 }));
}

/// Nodes that have both keys understand each other whichever of them signs: that is how a key is changed.
#[test]
fn keys_rotate() {
    let both = |sends: u8| {
        Keys::parse(&format!("auth {sends}\n1 sha256 {KEY}\n2 sha256 {OTHER_KEY}")).unwrap()
    };
    let old = seal(&small(), 2_000, &both(1), cluster()).unwrap();
    let new = seal(&small(), 2_000, &both(2), cluster()).unwrap();
    assert_ne!(old, new);
    for (datagram, signed_with, keys) in [(old, "1", both(2)), (new, "2", both(1))] {
        let opened = Opened { key: signed_with.parse().unwrap(), heartbeat: small() };
        assert_eq!(open(&datagram, &keys, cluster()), Ok(opened));
    }
}

/// The same shared key on two clusters is two keys: with the cluster's tag exchanged the tag is wrong.
#[test]
fn a_key_is_bound_to_its_cluster() {
    let mut datagram = seal(&small(), 0, &keys(KEY), ClusterTag::of("db")).unwrap();
    datagram[4..20].copy_from_slice(&cluster().0);
    assert_eq!(open_it(&datagram), Err(OpenError::BadTag));
    // Nor does it help to sign the exchanged bytes with the other cluster's key.
    datagram.truncate(datagram.len() - TAG_LEN);
    sign(&mut datagram, keys(KEY).sending_mac(ClusterTag::of("db")));
    assert_eq!(open_it(&datagram), Err(OpenError::BadTag));
}

#[test]
fn every_truncation_is_refused() {
    for heartbeat in [small(), largest()] {
        let datagram = seal(&heartbeat, 0, &keys(KEY), cluster()).unwrap();
        for len in 0..datagram.len() {
            let expected =
                if len < MIN_DATAGRAM { OpenError::Malformed } else { OpenError::BadTag };
            assert_eq!(open_it(&datagram[..len]), Err(expected), "{len} bytes");
        }
    }
}

/// Also with a right tag, as if the sender itself were broken.
#[test]
fn every_truncation_under_a_right_tag_is_malformed() {
    let datagram = seal(&largest(), 0, &keys(KEY), cluster()).unwrap();
    for len in 0..datagram.len() - TAG_LEN {
        let mut part = datagram[..len].to_vec();
        sign(&mut part, keys(KEY).sending_mac(cluster()));
        assert_eq!(open_it(&part), Err(OpenError::Malformed), "{len} bytes");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for heartbeat in [small(), largest()] {
        let datagram = seal(&heartbeat, 0, &keys(KEY), cluster()).unwrap();
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0..4 => OpenError::Malformed,
                4..20 => OpenError::ForeignCluster,
                20 => OpenError::UnknownKey { id: flipped[20] },
                _ => OpenError::BadTag,
            };
            assert_eq!(open_it(&flipped), Err(expected), "bit {bit}");
        }
    }
}

#[test]
fn oversize_is_refused_before_the_tag() {
    let datagram = signed(|bytes| bytes.resize(MAX_DATAGRAM + 1 - TAG_LEN, 0));
    assert_eq!(datagram.len(), MAX_DATAGRAM + 1);
    assert_eq!(open_it(&datagram), Err(OpenError::Malformed));
}

#[test]
fn fields_that_make_no_sense_are_malformed() {
    let zero_at = |start: usize| signed(move |bytes| bytes[start..start + 8].fill(0));
    assert_eq!(open_it(&zero_at(32)), Err(OpenError::Malformed), "incarnation 0");
    assert_eq!(open_it(&zero_at(40)), Err(OpenError::Malformed), "sequence 0");
    assert_eq!(
        open_it(&signed(|bytes| bytes.push(0))),
        Err(OpenError::Malformed),
        "left over after the body"
    );
    let longer = signed(|bytes| {
        bytes[75] += 1;
        bytes.push(0);
    });
    assert_eq!(open_it(&longer), Err(OpenError::Malformed), "left over in the body");
    assert_eq!(
        open_it(&signed(|bytes| bytes[FIXED_LEN] = 3)),
        Err(OpenError::Malformed),
        "no such phase"
    );
    // 253 begins an integer of eight bytes: a list of 2^64 - 1 addresses.
    let endless = signed(|bytes| {
        bytes.truncate(FIXED_LEN + 5);
        bytes.push(253);
        bytes.extend([0xff; 8]);
        bytes[75] = 14;
    });
    assert_eq!(open_it(&endless), Err(OpenError::Malformed), "endless list");
}

/// What a later version may do within the magic.
#[test]
fn a_newer_peer_is_understood_as_far_as_it_can_be() {
    let datagram = signed(|bytes| {
        bytes[21] = 0xff;
        bytes[23] = 2;
        bytes.truncate(FIXED_LEN);
        bytes[73] = 2;
        bytes.extend([200, 0, 3, 1, 2, 3]);
        bytes.extend([1, 0, 1, 1]);
        bytes[75] = 5;
        bytes.extend([0xee; 5]);
    });
    let mut expected = small();
    expected.header.wall_us = 0;
    expected.header.flags = Flags { ask: true, answer: true, goodbye: true };
    expected.header.records =
        vec![GuardRecord::Unknown { kind: 200 }, GuardRecord::Ping(PingSight::Answers)];
    expected.body = Body::Unknown { version: 2 };
    assert_eq!(open_it(&datagram), Ok(expected));
}

struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

#[test]
fn garbage_is_refused() {
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    for round in 0..100_000 {
        let len = random.below(if round % 16 == 0 { MAX_DATAGRAM + 100 } else { 2 * MIN_DATAGRAM });
        let mut garbage: Vec<u8> = (0..len).map(|_| random.next().to_be_bytes()[0]).collect();
        // Half of it gets past the first look.
        if random.below(2) == 0 && len > 20 {
            garbage[..4].copy_from_slice(&header::MAGIC);
            garbage[4..20].copy_from_slice(&cluster().0);
            garbage[20] = 3;
        }
        assert!(open_it(&garbage).is_err());
    }
}

/// Garbage under a right tag reaches the decoder: it may be refused or understood, but it cannot panic, and what is
/// understood can be sent again.
#[test]
fn garbage_under_a_right_tag_does_no_harm() {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mac = keys(KEY).sending_mac(cluster());
    let base = seal(&largest(), 0, &keys(KEY), cluster()).unwrap();
    let (mut understood, mut refused) = (0, 0);
    for _ in 0..10_000 {
        let mut datagram = base[..base.len() - TAG_LEN].to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(datagram.len());
            datagram[at] = random.next().to_be_bytes()[0];
        }
        sign(&mut datagram, mac.clone());
        match open_it(&datagram) {
            Ok(heartbeat) => {
                understood += 1;
                let again = seal(&heartbeat, heartbeat.header.wall_us, &keys(KEY), cluster());
                assert!(again.is_ok() || again == Err(SealError::Unknown), "{again:?}");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(understood > 500 && refused > 500, "{understood} understood, {refused} refused");
}
