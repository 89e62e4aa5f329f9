//! Chance that a seed decides.

use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

/// What one roller throws; several may share it.
#[derive(Debug)]
pub(super) struct Dice(Mutex<u64>);

impl Dice {
    /// The dice of the roller `name`; what others throw does not change them.
    pub(super) fn of(seed: u64, name: &str) -> Self {
        Self(Mutex::new(name.bytes().fold(mix(seed ^ 0x9e37), |state, byte| mix(state ^ u64::from(byte)))))
    }

    pub(super) fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*state)
    }

    pub(super) fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub(super) fn percent(&self, share: u64) -> bool {
        self.within(0..100) < share
    }

    pub(super) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    pub(super) fn one_of<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.next() % of.len() as u64).unwrap()]
    }
}

/// One step of `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
