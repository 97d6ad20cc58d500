//! The replay window (RFC 4303, section 3.4.3, in 64 bits): which sequences of one incarnation were seen.

use super::Sequence;

/// Sequences of one incarnation that were accepted. Datagrams may overtake each other by up to 63.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    highest: u64,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl Window {
    /// Whether this sequence is new; from then on it is not. Refuses 0, what was seen, and what is too old to know.
    pub fn accept(&mut self, sequence: Sequence) -> bool {
        let Some(ahead) = sequence.0.checked_sub(self.highest) else {
            return self.accept_late(self.highest - sequence.0, sequence);
        };
        if ahead == 0 {
            return false;
        }
        // A jump by 64 or more leaves nothing of the old window.
        let kept = u32::try_from(ahead).ok().and_then(|by| self.seen.checked_shl(by)).unwrap_or(0);
        self.seen = kept | 1;
        self.highest = sequence.0;
        true
    }

    fn accept_late(&mut self, behind: u64, sequence: Sequence) -> bool {
        let bit = u32::try_from(behind).ok().and_then(|by| 1_u64.checked_shl(by));
        match bit {
            Some(bit) if sequence.0 != 0 && self.seen & bit == 0 => {
                self.seen |= bit;
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_sequence_is_accepted_once() {
        let mut window = Window::default();
        for sequence in [1, 2, 5, 4, 3] {
            assert!(window.accept(Sequence(sequence)), "{sequence}");
            assert!(!window.accept(Sequence(sequence)), "{sequence} again");
        }
    }

    #[test]
    fn zero_is_never_a_sequence() {
        let mut window = Window::default();
        assert!(!window.accept(Sequence(0)));
        assert!(window.accept(Sequence(3)));
        assert!(!window.accept(Sequence(0)));
    }

    #[test]
    fn the_window_is_64_wide() {
        let mut window = Window::default();
        assert!(window.accept(Sequence(100)));
        assert!(!window.accept(Sequence(36)), "64 behind is too old to know");
        assert!(window.accept(Sequence(37)), "63 behind");
    }

    #[test]
    fn a_jump_forgets_the_old_window_and_nothing_wraps() {
        let mut window = Window::default();
        assert!(window.accept(Sequence(1)));
        assert!(window.accept(Sequence(u64::MAX)));
        assert!(!window.accept(Sequence(u64::MAX)));
        assert!(!window.accept(Sequence(1)));
        assert!(window.accept(Sequence(u64::MAX - 63)));
    }

    /// The same answers as the set of all sequences ever seen, on a stream with gaps, repetitions and overtaking.
    #[test]
    fn agrees_with_a_set() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut window = Window::default();
        let (mut seen, mut highest, mut base) = (BTreeSet::new(), 0, 1_000);
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            base += random % 3;
            let sequence = base - (random >> 32) % 100;
            let expected = sequence + 64 > highest && seen.insert(sequence);
            highest = highest.max(sequence);
            assert_eq!(window.accept(Sequence(sequence)), expected, "{sequence} after {highest}");
        }
    }
}
