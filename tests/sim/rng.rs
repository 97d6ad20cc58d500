//! The only source of chance. Our own SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
//! 2014), not a crate's, so that a seed that was written down stays worth something.

use std::time::Duration;

use lubdub::cluster::time::micros;

/// A stream of chance.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed for one purpose: drawing more from one stream changes nothing in another.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut rng = Self(seed);
        for byte in purpose.bytes() {
            rng.0 = rng.next() ^ u64::from(byte);
        }
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `bound`. The bias of the remainder is far below what a test could notice.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    pub fn duration(&mut self, low: Duration, high: Duration) -> Duration {
        Duration::from_micros(self.between(micros(low), micros(high.max(low))))
    }

    /// Milliseconds, both ends included.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        self.duration(Duration::from_millis(low), Duration::from_millis(high))
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// One of these, each as often as its weight says.
    pub fn weighted<T: Copy>(&mut self, table: &[(u64, T)]) -> T {
        let mut ticket = self.below(table.iter().map(|(weight, _)| weight).sum());
        for (weight, value) in table {
            if ticket < *weight {
                return *value;
            }
            ticket -= weight;
        }
        unreachable!("the ticket is below the sum of all weights")
    }
}

#[test]
fn recorded_seeds_stay_valid() {
    let mut rng = Rng::new(0, "");
    assert_eq!([rng.next(), rng.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    assert_ne!(Rng::new(1, "network").next(), Rng::new(1, "faults").next());
}
