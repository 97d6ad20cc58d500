//! How a running daemon answers a survey: what it heard, and what it is. The core never hears of it, so that whoever asks
//! is neither up nor lost nor gone, and nothing starts, waits or moves because of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::facts_of;
use crate::cluster::io::{Input, Reject};
use crate::cluster::time::Instant;
use crate::config::{Config, LinkId, NodeId};
use crate::daemon::link::Datagram;
use crate::wire::{Incarnation, Keys, Survey, SurveyHeard, SurveyRole, open_survey, seal_survey};

/// A peer is answered no more often than this on each link: an honest one asks half as often.
const LEAST: Duration = Duration::from_millis(100);

/// Answers surveys.
#[derive(Debug)]
pub(in crate::daemon) struct Responder {
    life: Incarnation,
    answered: BTreeMap<(NodeId, LinkId), Instant>,
}

/// What follows from a survey that came.
#[derive(Debug)]
pub(in crate::daemon) enum Reply {
    /// Send this to the node, on all links: it asks which of them this node hears.
    Send(NodeId, Vec<u8>),
    /// It could not be taken: it counts as any such datagram does.
    Refused(Input),
    /// Nothing.
    Silence,
}

impl Responder {
    /// Answers for this life of the daemon.
    pub(in crate::daemon) fn new(life: Incarnation) -> Self {
        Self { life, answered: BTreeMap::new() }
    }

    /// What to say to a survey. `wall_us`: this node's wall clock.
    pub(in crate::daemon) fn reply(
        &mut self,
        now: Instant,
        wall_us: u64,
        datagram: &Datagram,
        config: &Config,
        keys: &Keys,
    ) -> Reply {
        let link = datagram.link;
        let (from, survey) = match read(datagram, config, keys, self.life) {
            Ok(Some(read)) => read,
            Ok(None) => return Reply::Silence,
            Err(why) => return Reply::Refused(refused(link, datagram.source, why)),
        };
        let me = config.node(config.me).tag;
        // A daemon's answer would be answered for ever.
        if survey.receiver != me || survey.role == SurveyRole::Daemon {
            return Reply::Silence;
        }
        if self.answered.get(&(from, link)).is_some_and(|at| now - *at < LEAST) {
            return Reply::Silence;
        }
        self.answered.insert((from, link), now);
        let heard =
            SurveyHeard { link: link.0, life: survey.life, sent_us: survey.sent_us, hold_us: 0 };
        let answer = Survey {
            role: SurveyRole::Daemon,
            receiver: survey.sender,
            life: self.life,
            sent_us: now.as_micros(),
            wall_us,
            heard: vec![heard],
            ..facts_of(config, keys)
        };
        Reply::Send(from, seal_survey(&answer, keys, config.cluster_tag()))
    }
}

/// Opens a survey, and names the node that sent it. `None`: this very life, whose own words come back on links that
/// everybody hears.
pub(super) fn read(
    datagram: &Datagram,
    config: &Config,
    keys: &Keys,
    life: Incarnation,
) -> Result<Option<(NodeId, Survey)>, Reject> {
    let survey = open_survey(&datagram.bytes, keys, config.cluster_tag()).map_err(Reject::from)?;
    match config.node_by_tag(survey.sender) {
        None => Err(Reject::UnknownNode),
        Some(from) if from == config.me && survey.life == life => Ok(None),
        Some(from) if from == config.me => Err(Reject::OwnName),
        Some(from) => Ok(Some((from, survey))),
    }
}

fn refused(link: LinkId, source: SocketAddr, why: Reject) -> Input {
    Input::Rejected { link, why, source: source.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::wire::NodeTag;

    const KEY: &str = "f05a1dc3b3f9e2b6c8b35a7f4fb1adf6f2a8f2ca34c7c6f6b0d4a5b1e60cb4d9";
    const OTHER_KEY: &str = "a1b6f0c87d2e94351f6c0a8be2d7439b5c80f1647ae3d92b06f5187c4de39a50";

    fn keys(key: &str) -> Keys {
        Keys::parse(&format!("auth 1\n1 sha256 {key}\n")).unwrap()
    }

    fn config(me: &str) -> Config {
        let text = "cluster = \"c\"\n[heartbeat]\nlinks = [{ name = \"lan\" }]\n\
                    [[node]]\nname = \"alpha\"\naddress = { lan = \"10.0.0.1\" }\n\
                    [[node]]\nname = \"beta\"\naddress = { lan = \"10.0.0.2\" }\n\
                    [guard]\narp = true\n";
        config::parse(text, "test").unwrap().for_node(me).unwrap()
    }

    /// What beta sends to a node.
    fn asked(role: SurveyRole, to: &str, key: &str) -> Datagram {
        let survey = Survey {
            role,
            receiver: NodeTag::of(to),
            life: Incarnation(7),
            sent_us: 42,
            ..facts_of(&config("beta"), &keys(key))
        };
        let bytes = seal_survey(&survey, &keys(key), config("beta").cluster_tag());
        Datagram { link: LinkId(0), source: "10.0.0.2:694".parse().unwrap(), bytes }
    }

    fn reply(responder: &mut Responder, millis: u64, datagram: &Datagram) -> Reply {
        let now = Instant::from_millis(millis);
        responder.reply(now, 0, datagram, &config("alpha"), &keys(KEY))
    }

    #[test]
    fn an_asker_hears_what_was_heard_of_it() {
        let mut responder = Responder::new(Incarnation(3));
        let Reply::Send(to, bytes) =
            reply(&mut responder, 1_000, &asked(SurveyRole::Asks, "alpha", KEY))
        else {
            panic!("it is answered")
        };
        assert_eq!(to, NodeId(1));
        let answer = open_survey(&bytes, &keys(KEY), config("beta").cluster_tag()).unwrap();
        assert_eq!((answer.role, answer.sender), (SurveyRole::Daemon, NodeTag::of("alpha")));
        assert_eq!(answer.receiver, NodeTag::of("beta"));
        let heard = SurveyHeard { link: 0, life: Incarnation(7), sent_us: 42, hold_us: 0 };
        assert_eq!(answer.heard, [heard]);
    }

    #[test]
    fn nobody_is_answered_too_often_nor_for_ever() {
        let mut responder = Responder::new(Incarnation(3));
        let ask = asked(SurveyRole::Asks, "alpha", KEY);
        assert!(matches!(reply(&mut responder, 1_000, &ask), Reply::Send(..)));
        assert!(matches!(reply(&mut responder, 1_099, &ask), Reply::Silence));
        assert!(matches!(reply(&mut responder, 1_100, &ask), Reply::Send(..)));
        for silent in
            [asked(SurveyRole::Daemon, "alpha", KEY), asked(SurveyRole::Asks, "gamma", KEY)]
        {
            assert!(matches!(reply(&mut responder, 9_000, &silent), Reply::Silence));
        }
    }

    #[test]
    fn what_is_signed_with_another_key_only_counts() {
        let mut responder = Responder::new(Incarnation(3));
        let forged = asked(SurveyRole::Asks, "alpha", OTHER_KEY);
        let Reply::Refused(input) = reply(&mut responder, 1_000, &forged) else {
            panic!("it is refused")
        };
        assert!(matches!(input, Input::Rejected { why: Reject::BadTag, .. }));
    }
}
