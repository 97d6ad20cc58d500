//! Where each group belongs: a pure function of what is known, with a reason for each.

use serde::{Deserialize, Serialize};

use crate::wire::Run;

/// Why a group is where it is, or should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its first choice, and able.
    Preferred,
    /// It runs there, and `auto_failback` is off or nothing better is there.
    StaysPut,
    /// It stays where it came to for this reason.
    Came {
        /// The reason then, in words: what it speaks of may be over.
        because: String,
    },
    /// An operator moved it there.
    Wished {
        /// Who.
        author: String,
    },
    /// The best of those that are able; each better one, and the one that had it, with what is wrong with it.
    BestAble {
        /// Better nodes, and the one that has to give it up.
        instead_of: Vec<(String, Unable)>,
    },
    /// It goes back to a better node.
    Failback,
    /// It runs there, though that node should give it up: no other is able.
    NobodyElse {
        /// What is wrong with its holder.
        because: Unable,
    },
    /// A stop failed there: a human is needed.
    Blocked {
        /// Where.
        node: String,
    },
    /// No node is able; each with what is wrong with it.
    NobodyAble {
        /// All of them.
        nodes: Vec<(String, Unable)>,
    },
    /// Nothing moves: the cluster is in maintenance.
    Maintenance {
        /// Who asked for it.
        author: String,
    },
    /// This node has not looked round yet.
    Starting,
}

/// Why a node cannot run a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unable {
    /// Not heard since this node started.
    NeverHeard,
    /// Silent past deadtime.
    Lost,
    /// Proven dead, by the operator.
    Dead,
    /// It said goodbye.
    Left,
    /// It has not looked round yet.
    Starting,
    /// It is told to end.
    Leaving,
    /// An operator put it in standby.
    Standby,
    /// It does not see the ping node, and another node does.
    NoPing,
    /// The same a short time ago: now it sees the ping node again.
    PingReturning,
    /// Its agents failed a short time ago.
    Failed,
    /// Its agents cannot work there.
    Unfit,
    /// One of its agents cannot be executed there.
    NoAgent,
    /// Its own configuration has no such group.
    Excluded,
    /// It runs a version whose groups this one cannot read.
    OtherVersion,
}

/// One node, as far as one group goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it does with the group, as far as it is heard.
    pub run: Run,
    /// What keeps it from running the group.
    pub unable: Option<Unable>,
}

/// All that decides where a group belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<'a> {
    /// The nodes that may run it, best first.
    pub candidates: Vec<Candidate<'a>>,
    /// Whether it goes back to a better node that returns.
    pub auto_failback: bool,
    /// Where an operator moved it, and who.
    pub wish: Option<(&'a str, &'a str)>,
    /// Whether this node has not looked round yet.
    pub starting: bool,
}

/// Where a group belongs: a place in the view's candidates, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which candidate.
    pub candidate: Option<usize>,
    /// Why.
    pub reason: Reason,
}

/// Decide where a group belongs.
#[must_use]
pub fn place(view: &View<'_>) -> Place {
    let nodes = &view.candidates;
    let here = |candidate, reason| Place { candidate: Some(candidate), reason };
    if view.starting {
        return Place { candidate: None, reason: Reason::Starting };
    }
    if let Some(blocked) = nodes.iter().position(|node| node.run == Run::Blocked && is_heard(node))
    {
        return here(blocked, Reason::Blocked { node: name_of(nodes, blocked) });
    }
    let holder = nodes
        .iter()
        .position(|node| matches!(node.run, Run::Started | Run::Starting) && is_heard(node));
    let able = |place: &usize| nodes.get(*place).is_some_and(|node| node.unable.is_none());
    let wished = view.wish.and_then(|(node, author)| {
        Some((nodes.iter().position(|candidate| candidate.name == node)?, author.to_owned()))
    });
    if let Some((wished, author)) = wished.filter(|(wished, _)| able(wished)) {
        return here(wished, Reason::Wished { author });
    }
    let best = (0..nodes.len()).find(able);
    match (holder, best) {
        (Some(holder), Some(best)) if able(&holder) => match view.auto_failback && best < holder {
            true => here(best, Reason::Failback),
            false if holder == 0 => here(holder, Reason::Preferred),
            false => here(holder, Reason::StaysPut),
        },
        (Some(holder), None) => match nodes.get(holder).and_then(|node| node.unable) {
            // What failed there, or is about to end, is not kept there for want of a better place.
            Some(because @ (Unable::Standby | Unable::NoPing)) => {
                here(holder, Reason::NobodyElse { because })
            }
            _ => nowhere(nodes),
        },
        (_, Some(best)) => {
            // Who runs it, or did when it was last heard, is not able: that is why it moves, to the first choice too.
            let had = nodes.iter().skip(best).filter(|node| ran(node.run));
            let instead_of = unable(nodes.iter().take(best).chain(had));
            here(
                best,
                if instead_of.is_empty() {
                    Reason::Preferred
                } else {
                    Reason::BestAble { instead_of }
                },
            )
        }
        (None, None) => nowhere(nodes),
    }
}

/// Where a group is left in maintenance: where it runs, or is about to; where nobody does, where it belonged before.
#[must_use]
pub fn leave(view: &View<'_>, former: Option<usize>, author: &str) -> Place {
    let at = |runs: &[Run]| {
        view.candidates.iter().position(|node| runs.contains(&node.run) && is_heard(node))
    };
    let candidate = at(&[Run::Started, Run::Starting, Run::Blocked])
        .or_else(|| at(&[Run::Claiming]))
        .or(former);
    Place { candidate, reason: Reason::Maintenance { author: author.to_owned() } }
}

/// Whether a node runs a group, is about to, or has not ended it yet.
fn ran(run: Run) -> bool {
    match run {
        Run::Starting | Run::Started | Run::Stopping | Run::Blocked => true,
        Run::Unknown | Run::Stopped | Run::Claiming => false,
    }
}

/// Whether what it says of itself still counts.
fn is_heard(node: &Candidate<'_>) -> bool {
    match node.unable {
        Some(Unable::NeverHeard | Unable::Lost | Unable::Dead | Unable::Left) => false,
        None
        | Some(
            Unable::Starting
            | Unable::Leaving
            | Unable::Standby
            | Unable::NoPing
            | Unable::PingReturning
            | Unable::Failed
            | Unable::Unfit
            | Unable::NoAgent
            | Unable::Excluded
            | Unable::OtherVersion,
        ) => true,
    }
}

fn name_of(nodes: &[Candidate<'_>], place: usize) -> String {
    nodes.get(place).map_or_else(String::new, |node| node.name.to_owned())
}

fn unable<'a>(nodes: impl Iterator<Item = &'a Candidate<'a>>) -> Vec<(String, Unable)> {
    nodes.filter_map(|node| Some((node.name.to_owned(), node.unable?))).collect()
}

fn nowhere(nodes: &[Candidate<'_>]) -> Place {
    Place { candidate: None, reason: Reason::NobodyAble { nodes: unable(nodes.iter()) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Option<Unable> = None;

    fn node(name: &str, run: Run, unable: Option<Unable>) -> Candidate<'_> {
        Candidate { name, run, unable }
    }

    fn decide(
        alpha: (Run, Option<Unable>),
        beta: (Run, Option<Unable>),
        failback: bool,
        wish: Option<&str>,
    ) -> Place {
        place(&View {
            candidates: vec![node("alpha", alpha.0, alpha.1), node("beta", beta.0, beta.1)],
            auto_failback: failback,
            wish: wish.map(|wish| (wish, "root")),
            starting: false,
        })
    }

    #[test]
    fn a_pair() {
        use Run::{Started, Stopped};
        let (alpha, beta, nowhere) = (Some(0), Some(1), None);
        let lost = Some(Unable::Lost);
        let standby = Some(Unable::Standby);
        let failed = Some(Unable::Failed);
        for (title, a, b, failback, wish, expected) in [
            ("nothing runs", (Stopped, OK), (Stopped, OK), false, None, alpha),
            ("it runs on the other and stays", (Stopped, OK), (Started, OK), false, None, beta),
            ("it runs on the other and goes back", (Stopped, OK), (Started, OK), true, None, alpha),
            ("the holder is lost", (Started, lost), (Stopped, OK), false, None, beta),
            ("the holder is in standby", (Started, standby), (Stopped, OK), false, None, beta),
            ("both are in standby", (Started, standby), (Stopped, standby), false, None, alpha),
            ("the holder failed", (Started, failed), (Stopped, OK), false, None, beta),
            (
                "the holder failed, the other is gone",
                (Started, failed),
                (Stopped, lost),
                false,
                None,
                nowhere,
            ),
            ("an operator moved it", (Started, OK), (Stopped, OK), false, Some("beta"), beta),
            ("a wish outweighs failback", (Stopped, OK), (Started, OK), true, Some("beta"), beta),
            ("a wish that cannot be", (Started, OK), (Stopped, lost), false, Some("beta"), alpha),
            ("its stop failed", (Run::Blocked, OK), (Stopped, OK), false, Some("beta"), alpha),
            (
                "its stop failed on a lost node",
                (Run::Blocked, lost),
                (Stopped, OK),
                false,
                None,
                beta,
            ),
        ] {
            assert_eq!(decide(a, b, failback, wish).candidate, expected, "{title}");
        }
    }

    /// What moves a group is named, also where it moves to its first choice.
    #[test]
    fn the_reason_is_what_moves_it() {
        use Run::{Started, Stopped, Stopping};
        let with = |why: Unable| Reason::BestAble { instead_of: vec![("beta".to_owned(), why)] };
        for (title, a, b, expected) in [
            ("nothing runs", (Stopped, OK), (Stopped, OK), Reason::Preferred),
            ("it runs there", (Started, OK), (Stopped, OK), Reason::Preferred),
            (
                "nobody else is able",
                (Stopped, OK),
                (Stopped, Some(Unable::Lost)),
                Reason::Preferred,
            ),
            (
                "its holder is lost",
                (Stopped, OK),
                (Started, Some(Unable::Lost)),
                with(Unable::Lost),
            ),
            (
                "its holder failed",
                (Stopped, OK),
                (Started, Some(Unable::Failed)),
                with(Unable::Failed),
            ),
            (
                "and lets go",
                (Stopped, OK),
                (Stopping, Some(Unable::Standby)),
                with(Unable::Standby),
            ),
        ] {
            let place = decide(a, b, false, None);
            assert_eq!((place.candidate, place.reason), (Some(0), expected), "{title}");
        }
    }

    #[test]
    fn a_node_that_has_not_looked_round_decides_nothing() {
        let candidates = vec![node("alpha", Run::Stopped, OK)];
        let view = View { candidates, auto_failback: false, wish: None, starting: true };
        assert_eq!(place(&view), Place { candidate: None, reason: Reason::Starting });
    }

    #[test]
    fn many_backups_stand_in_line() {
        let lost = Some(Unable::Lost);
        let candidates = vec![
            node("alpha", Run::Started, lost),
            node("beta", Run::Stopped, Some(Unable::Standby)),
            node("gamma", Run::Stopped, OK),
            node("delta", Run::Stopped, OK),
        ];
        let place = place(&View { candidates, auto_failback: false, wish: None, starting: false });
        assert_eq!(place.candidate, Some(2));
        let instead_of =
            vec![("alpha".to_owned(), Unable::Lost), ("beta".to_owned(), Unable::Standby)];
        assert_eq!(place.reason, Reason::BestAble { instead_of });
    }
}
