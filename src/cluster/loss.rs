//! How much of what is sent on a link is lost on its way, in each direction. Only for status: nothing is decided by it.
//!
//! *In*: a peer sends the same heartbeat on all links at once, with consecutive numbers in the order of the links. What
//! came on one of them and not on another was lost on that one. *Out*: each heartbeat asks for an answer on one link,
//! which comes back on it; what is missing beyond the loss on the way in was lost on the way out.
//!
//! Both need a second link for comparison, and say nothing of a single one. Answers to other nodes, which on a link to a
//! group are heard too, and answers to what a late peer is asked besides make loss look smaller, never larger.

use std::collections::VecDeque;

use super::peer::{Peer, Standing};
use crate::config::LinkId;
use crate::wire::{Body, Heartbeat, Sequence};

/// Heartbeats, or asks, that make a figure. Two more or fewer, as at its edges, are 6 %.
const WINDOW: u32 = 32;

/// Heartbeats that may yet come on a slower link.
const PENDING: usize = 8;

/// A part of what was to come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    expected: u32,
    came: u32,
    lost: Option<u8>,
}

impl Share {
    /// One more is to come.
    pub(super) fn expect(&mut self) {
        if self.expected == WINDOW {
            let missing = self.expected.saturating_sub(self.came);
            *self = Self { lost: u8::try_from(missing * 100 / WINDOW).ok(), ..Self::default() };
        }
        self.expected += 1;
    }

    /// One came.
    pub(super) fn came(&mut self) {
        self.came += 1;
    }

    /// What came until now says nothing: nobody could answer.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { lost: self.lost, ..Self::default() };
    }

    /// Percent that was lost of the last that made a figure.
    pub(super) fn lost(&self) -> Option<u8> {
        self.lost
    }
}

/// Percent that is lost on the way out, where so much of the answers is missing, and so much is lost on the way in.
///
/// Both are shares of [`WINDOW`] and scatter, the more the nearer to one half. What is missing counts as lost on the way out
/// only where chance does not make it: from three standard deviations on. While much is lost on the way in little can be
/// said of the way out, and the node at its other end says it.
pub(super) fn lost_out(answers: Option<u8>, way_in: Option<u8>) -> Option<u8> {
    let (came, passed) = (100 - answers?.min(100), 100 - way_in?.min(100));
    let (came, passed) = (u32::from(came), u32::from(passed));
    if passed == 0 {
        return None;
    }
    let missing = passed.saturating_sub(came);
    // The variance of the difference of two such shares, each passed × (100 - passed) / WINDOW.
    let variance = 2 * passed * (100 - passed) / WINDOW;
    if missing * missing <= 9 * variance {
        return Some(0);
    }
    u8::try_from(100 - came * 100 / passed).ok()
}

/// The newest heartbeats of a peer, each with the links on which it came.
#[derive(Debug, Default)]
pub(super) struct Beats(VecDeque<(u64, u8)>);

impl Beats {
    /// A heartbeat came on a link. Which links an earlier one came on, once no more of it is waited for.
    pub(super) fn came(&mut self, link: u8, sequence: Sequence) -> Option<u8> {
        let number = sequence.0.checked_sub(u64::from(link))?;
        let bit = 1_u8.checked_shl(link.into())?;
        if let Some((_, links)) = self.0.iter_mut().find(|(known, _)| *known == number) {
            *links |= bit;
            return None;
        }
        // Older than all that are waited for: it was counted already.
        if self.0.front().is_some_and(|(oldest, _)| number < *oldest) {
            return None;
        }
        self.0.push_back((number, bit));
        (self.0.len() > PENDING).then(|| self.0.pop_front()).flatten().map(|(_, links)| links)
    }
}

impl Peer {
    /// A datagram of its present life came on a link.
    pub(super) fn count(&mut self, link: LinkId, heartbeat: &Heartbeat) {
        // Only a heartbeat to everybody tells of groups, and goes out on all links.
        let is_beat = match &heartbeat.body {
            Body::Known(report) => !report.groups.is_empty(),
            Body::Unknown { .. } => false,
        };
        if heartbeat.header.flags.answer {
            if let Some(sight) = self.links.get_mut(usize::from(link.0)) {
                sight.answers.came();
            }
        } else if is_beat
            && let Some(life) = &mut self.life
            && let Some(came_on) = life.beats.came(link.0, heartbeat.header.sequence)
        {
            for (place, sight) in (0_u32..).zip(&mut self.links) {
                sight.way_in.expect();
                if came_on & 1_u8.checked_shl(place).unwrap_or(0) != 0 {
                    sight.way_in.came();
                }
            }
        }
    }

    /// A heartbeat asks for an answer on this link.
    pub(super) fn asked(&mut self, link: LinkId) {
        let answers = self.standing == Standing::Up;
        if let Some(sight) = self.links.get_mut(usize::from(link.0)) {
            if answers {
                sight.answers.expect();
            } else {
                sight.answers.begin_anew();
            }
        }
    }

    /// Percent lost on a link on the way in, and on the way out.
    pub(super) fn lost(&self, link: LinkId) -> (Option<u8>, Option<u8>) {
        let sight = self.links.get(usize::from(link.0)).filter(|_| self.links.len() > 1);
        let way_in = sight.and_then(|sight| sight.way_in.lost());
        (way_in, lost_out(sight.and_then(|sight| sight.answers.lost()), way_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand heartbeats on two links, of which the second loses those that `lost` names and is late by `delay`; the
    /// shares of both.
    fn play(delay: usize, lost: impl Fn(u64) -> bool) -> [Option<u8>; 2] {
        let (mut beats, mut shares, mut slow) =
            (Beats::default(), [Share::default(); 2], VecDeque::new());
        let mut came = |link: u8, sequence| {
            let Some(links) = beats.came(link, Sequence(sequence)) else { return };
            for (place, share) in shares.iter_mut().enumerate() {
                share.expect();
                if links & (1 << place) != 0 {
                    share.came();
                }
            }
        };
        for beat in 0..1000 {
            // Others are asked and answered in between.
            let first = beat * 7 + 3;
            came(0, first);
            slow.push_back((beat, first + 1));
            if slow.len() > delay {
                let (beat, sequence) = slow.pop_front().unwrap();
                if !lost(beat) {
                    came(1, sequence);
                }
            }
        }
        shares.map(|share| share.lost())
    }

    #[test]
    fn what_comes_on_one_link_alone_was_lost_on_the_other() {
        assert_eq!(play(0, |_| false), [Some(0), Some(0)]);
        assert_eq!(play(0, |beat| beat % 4 == 0), [Some(0), Some(25)]);
        assert_eq!(play(0, |_| true), [Some(0), Some(100)]);
    }

    #[test]
    fn a_slow_link_loses_nothing() {
        assert_eq!(play(5, |_| false), [Some(0), Some(0)]);
        assert_eq!(play(5, |beat| beat % 2 == 0), [Some(0), Some(50)]);
    }

    #[test]
    fn few_say_nothing_and_too_many_are_no_loss() {
        let mut share = Share::default();
        for _ in 0..WINDOW {
            share.expect();
        }
        assert_eq!(share.lost(), None);
        (0..100).for_each(|_| share.came());
        share.expect();
        assert_eq!(share.lost(), Some(0));
        share.begin_anew();
        assert_eq!(share.lost(), Some(0), "the last figure stands");
    }

    #[test]
    fn what_is_missing_beyond_the_way_in_is_lost_on_the_way_out() {
        assert_eq!(lost_out(Some(0), Some(0)), Some(0));
        assert_eq!(lost_out(Some(30), Some(0)), Some(30));
        assert_eq!(lost_out(Some(30), Some(30)), Some(0));
        assert_eq!(lost_out(Some(90), Some(30)), Some(86));
        assert_eq!(lost_out(Some(10), Some(40)), Some(0));
        assert_eq!(lost_out(Some(100), Some(100)), None);
        // Missing 20 of 57 is what chance makes of 60 % lost on the way in.
        assert_eq!(lost_out(Some(63), Some(43)), Some(0));
        assert_eq!(lost_out(Some(75), Some(50)), Some(0));
        assert_eq!(lost_out(None, Some(0)), None);
        assert_eq!(lost_out(Some(0), None), None);
    }
}
