//! Waiting until what was asked for has happened.
#![expect(
    clippy::disallowed_methods,
    reason = "the command line polls the daemon at an interval, with a deadline"
)]

use std::time::{Duration, Instant};

use super::exit::Failure;
use super::output::age;

/// Between two looks at the daemon.
const INTERVAL: Duration = Duration::from_millis(50);

/// What one look showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has happened: what did.
    Done(String),
    /// Not yet: what is going on.
    Waiting(String),
    /// It will not happen: why.
    Failed(String),
}

/// Look until it has happened or will not, at most for `patience`. `tell` gets each new state on the way. Gives what
/// happened and how long it took.
pub(super) fn wait(
    patience: Duration,
    mut look: impl FnMut() -> Result<Progress, Failure>,
    mut tell: impl FnMut(&str),
) -> Result<(String, Duration), Failure> {
    let began = Instant::now();
    let mut told = String::new();
    loop {
        match look()? {
            Progress::Done(what) => return Ok((what, began.elapsed())),
            Progress::Failed(why) => return Err(Failure::Failed(why)),
            Progress::Waiting(what) if began.elapsed() > patience => {
                return Err(Failure::Failed(format!(
                    "not done after {}: {what}; it may still happen: lubdub status",
                    age(patience)
                )));
            }
            Progress::Waiting(what) => {
                if told != what {
                    tell(&what);
                    told = what;
                }
            }
        }
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_told_once() {
        let mut looks = ["a", "a", "b", "done"].into_iter();
        let mut told = Vec::new();
        let look = || {
            Ok(match looks.next().unwrap() {
                "done" => Progress::Done("done".into()),
                other => Progress::Waiting(other.into()),
            })
        };
        let (what, _) =
            wait(Duration::from_secs(20), look, |text| told.push(text.to_owned())).unwrap();
        assert_eq!((what.as_str(), told), ("done", vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn patience_and_failure_end_it() {
        let waiting = || Ok(Progress::Waiting("stopping on alpha".into()));
        let late = wait(Duration::ZERO, waiting, |_| {}).unwrap_err().to_string();
        assert_eq!(
            late,
            "not done after 0 ms: stopping on alpha; it may still happen: lubdub status"
        );
        let failed = wait(Duration::ZERO, || Ok(Progress::Failed("blocked".into())), |_| {});
        assert_eq!(failed.unwrap_err().to_string(), "blocked");
    }
}
