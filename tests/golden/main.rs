//! Datagrams of released versions, kept as files: this program must understand them, and write the same bytes. A file is
//! never changed once it was released; another layout gets another directory.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use lubdub::wire::{
        Ability, Body, Candidate, ClusterTag, Echo, Flags, GroupReport, GroupTag, GuardRecord,
        Header, Heard, Heartbeat, Incarnation, Keys, Mac, MaintenanceState, MaintenanceWord,
        NodeTag, Nonce, OwnCheck, Phase, PingSight, Report, Run, SealError, Sequence, Survey,
        SurveyHeard, SurveyRole, Term, Wish, WishSubject, open, open_survey, seal, seal_survey,
    };

    /// Signs these files and nothing else.
    const KEYS: &str =
        "auth 3\n3 sha256 f05a1dc3b3f9e2b6c8b35a7f4fb1adf6f2a8f2ca34c7c6f6b0d4a5b1e60cb4d9\n";

    fn golden(name: &str) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        let line = |bytes: &[u8]| {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n"
        };
        bytes.chunks(32).map(line).collect()
    }

    fn both_ways(name: &str, heartbeat: &Heartbeat) {
        let keys = Keys::parse(KEYS).unwrap();
        let cluster = ClusterTag::of("web");
        let sealed = seal(heartbeat, heartbeat.header.wall_us, &keys, cluster).unwrap();
        assert_eq!(
            hex(&sealed),
            hex(&golden(name)),
            "{name}: what is written today stands on the left"
        );
        let opened = open(&golden(name), &keys, cluster).map(|opened| opened.heartbeat);
        assert_eq!(opened.as_ref(), Ok(heartbeat), "{name}");
    }

    /// The first heartbeat of a node that has heard nobody.
    fn first() -> Heartbeat {
        Heartbeat {
            header: Header {
                sender: NodeTag::of("alpha"),
                incarnation: Incarnation(0x0123_4567_89ab_cdef),
                sequence: Sequence(1),
                sent_us: 15_625,
                wall_us: 1_767_225_600_000_000,
                flags: Flags::default(),
                keepalive_us: 100_000,
                deadtime_us: 500_000,
                echoes: vec![Echo {
                    node: NodeTag::of("beta"),
                    heard: None,
                    candidates: vec![],
                    answer: None,
                }],
                records: vec![],
            },
            body: Body::Known(Report {
                phase: Phase::Starting,
                digests: [0xdead_beef, 1, 300, 70_000],
                macs: vec![],
                groups: vec![],
                wishes: vec![],
            }),
        }
    }

    fn group(run: Run, ability: Ability, consent: Option<Term>) -> GroupReport {
        let group = GroupTag::of(&format!("{run:?}"));
        GroupReport {
            group,
            run,
            term: Term(452_409_753_600_001),
            highest: Term(250),
            consent,
            ability,
        }
    }

    /// Every kind of entry, every variant, every flag.
    fn full() -> Heartbeat {
        let heard = Heard {
            incarnation: Incarnation(2),
            sequence: Sequence(0x0102_0304_0506),
            hold_us: 1_234,
            links: 3,
        };
        let candidate =
            |number| Candidate { incarnation: Incarnation(number), nonce: Nonce(!number) };
        let wish =
            |subject| Wish { subject, stamp: 452_409_753_600_002, author: "zoë".to_owned() };
        let (node, web) = (NodeTag::of("beta"), GroupTag::of("web"));
        let mut heartbeat = first();
        heartbeat.header.flags = Flags { ask: true, answer: true, goodbye: true };
        heartbeat.header.echoes = vec![
            Echo {
                node,
                heard: Some(heard),
                candidates: vec![candidate(3), candidate(4)],
                answer: Some(Nonce(5)),
            },
            Echo {
                node: NodeTag::of("gamma"),
                heard: None,
                candidates: vec![candidate(6)],
                answer: None,
            },
        ];
        heartbeat.header.records =
            vec![GuardRecord::Ping(PingSight::Answers), GuardRecord::Ping(PingSight::Silent)];
        heartbeat.body = Body::Known(Report {
            phase: Phase::Active,
            digests: [1, 2, 3, u32::MAX],
            macs: vec![Mac([2, 0, 0, 0, 0, 1]), Mac([0xff; 6])],
            groups: vec![
                group(Run::Unknown, Ability::Able, None),
                group(Run::Stopped, Ability::Failed, Some(Term(452_409_753_600_000))),
                group(Run::Claiming, Ability::Unfit, None),
                group(Run::Starting, Ability::Excluded, None),
                group(Run::Started, Ability::Able, None),
                group(Run::Stopping, Ability::Able, Some(Term(0))),
                group(Run::Blocked, Ability::Able, None),
            ],
            wishes: vec![
                wish(WishSubject::Standby { node, standby: true }),
                wish(WishSubject::Location { group: web, node: Some(node) }),
                wish(WishSubject::Location { group: web, node: None }),
            ],
        });
        heartbeat
    }

    #[test]
    fn first_heartbeat() {
        both_ways("wire-v1/first.hex", &first());
    }

    #[test]
    fn full_heartbeat() {
        both_ways("wire-v1/full.hex", &full());
    }

    #[test]
    fn maintenance() {
        let mut heartbeat = first();
        let states = [
            MaintenanceState::Over,
            MaintenanceState::Noted,
            MaintenanceState::InForce,
            MaintenanceState::Leaves,
        ];
        let record =
            |state| GuardRecord::Maintenance(MaintenanceWord { stamp: 452_409_753_600_002, state });
        heartbeat.header.records = states.map(record).to_vec();
        if let Body::Known(report) = &mut heartbeat.body {
            let wish = |on| Wish {
                subject: WishSubject::Maintenance { on },
                stamp: 452_409_753_600_002,
                author: "root".to_owned(),
            };
            report.wishes = vec![wish(true), wish(false)];
        }
        both_ways("wire-v1/maintenance.hex", &heartbeat);
    }

    #[test]
    fn goodbye() {
        let mut heartbeat = first();
        heartbeat.header.flags.goodbye = true;
        if let Body::Known(report) = &mut heartbeat.body {
            report.phase = Phase::Leaving;
        }
        both_ways("wire-v1/goodbye.hex", &heartbeat);
    }

    /// From a later version: body version 7, guard record of kind 200, an unknown flag. Alive, and not to be imitated.
    #[test]
    fn later_version() {
        let keys = Keys::parse(KEYS).unwrap();
        let mut expected = first();
        expected.header.flags.ask = true;
        expected.header.records =
            vec![GuardRecord::Unknown { kind: 200 }, GuardRecord::Ping(PingSight::Silent)];
        expected.body = Body::Unknown { version: 7 };
        let opened = open(&golden("wire-v1/later.hex"), &keys, ClusterTag::of("web"));
        assert_eq!(opened.map(|opened| opened.heartbeat).as_ref(), Ok(&expected));
        assert_eq!(seal(&expected, 0, &keys, ClusterTag::of("web")), Err(SealError::Unknown));
    }

    fn survey_both_ways(name: &str, survey: &Survey) {
        let keys = Keys::parse(KEYS).unwrap();
        let cluster = ClusterTag::of("web");
        let sealed = seal_survey(survey, &keys, cluster);
        assert_eq!(
            hex(&sealed),
            hex(&golden(name)),
            "{name}: what is written today stands on the left"
        );
        assert_eq!(open_survey(&golden(name), &keys, cluster).as_ref(), Ok(survey), "{name}");
    }

    /// The first words of `check --peer`.
    fn asks() -> Survey {
        Survey {
            role: SurveyRole::Asks,
            sender: NodeTag::of("alpha"),
            receiver: NodeTag::of("beta"),
            life: Incarnation(0x0123_4567_89ab_cdef),
            sent_us: 15_625,
            wall_us: 1_767_225_600_000_000,
            digests: [0xdead_beef, 1, 300, 70_000],
            sending: 3,
            accepted: vec![3],
            version: "0.1.0".to_owned(),
            heard: vec![],
            own_check: OwnCheck::Passed,
        }
    }

    #[test]
    fn survey_that_asks() {
        survey_both_ways("survey-v1/asks.hex", &asks());
        let unsound = Survey { own_check: OwnCheck::Failed, ..asks() };
        survey_both_ways("survey-v1/own_check_failed.hex", &unsound);
    }

    /// It has heard the other on every link that there can be.
    #[test]
    fn survey_that_is_done() {
        let heard = |link| SurveyHeard {
            link,
            life: Incarnation(u64::MAX - u64::from(link)),
            sent_us: 1_000_000 + u64::from(link),
            hold_us: if link == 7 { u32::MAX } else { 1_234 },
        };
        let survey = Survey {
            role: SurveyRole::Done,
            accepted: vec![1, 3, 8, 255],
            version: "10.20.30-a-version-of-32-letters".to_owned(),
            heard: (0..8).map(heard).collect(),
            ..asks()
        };
        survey_both_ways("survey-v1/done.hex", &survey);
    }

    #[test]
    fn survey_that_a_daemon_answers() {
        let heard = SurveyHeard { link: 1, life: Incarnation(2), sent_us: 15_625, hold_us: 40 };
        let survey = Survey {
            role: SurveyRole::Daemon,
            sender: NodeTag::of("beta"),
            receiver: NodeTag::of("alpha"),
            heard: vec![heard],
            ..asks()
        };
        survey_both_ways("survey-v1/daemon.hex", &survey);
    }
}
