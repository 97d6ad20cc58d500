//! What a client's attempts add up to. Pure: made from the attempts alone.

use std::time::Duration;

use super::client::Attempt;
use super::moment::Moment;

/// What a client saw of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The outage, if a request failed.
    pub outage: Option<Outage>,
    /// The longest time between two answers in a row.
    pub longest_gap: Duration,
    /// Requests that failed, of all.
    pub failed: usize,
    /// All requests since the fault, and those under way at it.
    pub requests: usize,
    /// Failures before the fault: a false alarm that would make the outage look short.
    pub failed_before: usize,
    /// Who answered last.
    pub last_from: Option<String>,
}

/// A time without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// When the first request that failed was sent.
    pub first_failure: Moment,
    /// The first answer to a request sent after it; `None`: none came.
    pub end: Option<(Moment, String)>,
}

impl Sight {
    /// Adds up attempts (in the order in which they were sent) around a fault.
    #[must_use]
    pub fn of(attempts: &[Attempt], fault: Moment) -> Self {
        let failed_before =
            attempts.iter().filter(|a| a.ended < fault && a.result.is_err()).count();
        let concerned: Vec<&Attempt> =
            attempts.iter().filter(|attempt| attempt.ended >= fault).collect();
        let first_failure =
            concerned.iter().find(|attempt| attempt.result.is_err()).map(|attempt| attempt.sent);
        // A worker that is dying can still answer: what counts is the first answer after the first failure.
        let outage = first_failure.map(|first_failure| Outage {
            first_failure,
            end: concerned
                .iter()
                .filter(|attempt| attempt.sent > first_failure)
                .filter_map(|attempt| Some((attempt.ended, attempt.result.clone().ok()?)))
                .min(),
        });
        let mut answers: Vec<(Moment, &str)> =
            attempts.iter().filter_map(|a| Some((a.ended, a.result.as_deref().ok()?))).collect();
        answers.sort_unstable();
        Self {
            outage,
            longest_gap: answers
                .iter()
                .zip(answers.iter().skip(1))
                .map(|((one, _), (next, _))| *next - *one)
                .max()
                .unwrap_or_default(),
            failed: concerned.iter().filter(|attempt| attempt.result.is_err()).count(),
            requests: concerned.len(),
            failed_before,
            last_from: answers.last().map(|(_, node)| (*node).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::super::client::Failure;
    use super::*;

    fn at(start: Moment, ms: u64) -> Moment {
        start + Duration::from_millis(ms)
    }

    fn attempt(start: Moment, sent: u64, ended: u64, node: Option<&str>) -> Attempt {
        let result = node.map(str::to_owned).ok_or(Failure::Socket(ErrorKind::ConnectionRefused));
        Attempt { sent: at(start, sent), ended: at(start, ended), result }
    }

    #[test]
    fn the_outage_ends_with_the_first_answer_after_the_first_failure() {
        let start = Moment::now();
        let attempts = [
            attempt(start, 0, 1, Some("alpha")),
            attempt(start, 10, 910, None),
            // A dying worker's answer, sent for earlier, and the true end.
            attempt(start, 9, 11, Some("alpha")),
            attempt(start, 500, 600, Some("beta")),
            attempt(start, 502, 590, Some("beta")),
        ];
        let sight = Sight::of(&attempts, at(start, 5));
        let outage = sight.outage.unwrap();
        assert_eq!(outage.first_failure, at(start, 10));
        assert_eq!(outage.end, Some((at(start, 590), "beta".to_owned())));
        assert_eq!(sight.longest_gap, Duration::from_millis(579));
        assert_eq!((sight.failed, sight.requests, sight.failed_before), (1, 4, 0));
        assert_eq!(sight.last_from.as_deref(), Some("beta"));
    }

    #[test]
    fn a_failure_before_the_fault_is_told_apart() {
        let start = Moment::now();
        let attempts = [attempt(start, 0, 1, None), attempt(start, 20, 21, Some("beta"))];
        let sight = Sight::of(&attempts, at(start, 10));
        assert_eq!((sight.outage, sight.failed, sight.failed_before), (None, 0, 1));
    }

    #[test]
    fn an_outage_that_did_not_end_says_so() {
        let start = Moment::now();
        let sight = Sight::of(&[attempt(start, 0, 30, None)], at(start, 10));
        assert_eq!(sight.outage.unwrap().end, None);
        assert_eq!(sight.last_from, None);
    }
}
