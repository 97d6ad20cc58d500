//! Authentic datagrams that count for nothing: a few come with each start and each goodbye of a daemon; worth a word is
//! what goes on.

use std::time::Duration;

use crate::cluster::time::Instant;

/// Such datagrams, one soon after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cluster) struct RefusedStream {
    /// The first and the newest of them.
    seen: Option<(Instant, Instant)>,
    told: bool,
}

impl RefusedStream {
    /// Another one. Whether they come for longer than a deadtime by now: once, until they ceased for as long.
    pub(in crate::cluster) fn goes_on(&mut self, now: Instant, deadtime: Duration) -> bool {
        let flows = self.seen.filter(|(_, newest)| now.since(*newest) <= deadtime);
        let Some((first, _)) = flows else {
            *self = Self { seen: Some((now, now)), told: false };
            return false;
        };
        self.seen = Some((first, now));
        let news = !self.told && now.since(first) > deadtime;
        self.told |= news;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_once_and_again_after_a_rest() {
        let deadtime = Duration::from_millis(500);
        let mut stream = RefusedStream::default();
        let mut told = |millis| stream.goes_on(Instant::from_millis(millis), deadtime);
        let tells: Vec<u64> = (0..=3000).step_by(100).filter(|millis| told(*millis)).collect();
        assert_eq!(tells, [600]);
        let tells: Vec<u64> = (3501..=6000).step_by(100).filter(|millis| told(*millis)).collect();
        assert_eq!(tells, [4101]);
        let rare: Vec<u64> = (7000..=20_000).step_by(501).filter(|millis| told(*millis)).collect();
        assert_eq!(rare, [0; 0]);
    }
}
