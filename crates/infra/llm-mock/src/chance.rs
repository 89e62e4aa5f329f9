//! Chance that is no chance: numbers that follow from a seed and an effect id.

use loom_base::EffectId;

/// The numbers of one call.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64, effect: EffectId) -> Self {
        let (high, low) = effect.turn.as_uuid().as_u64_pair();
        let mixed =
            [high, low, u64::from(effect.number)].into_iter().fold(seed, |state, part| mix(state ^ part));
        Self(mixed)
    }

    /// The next number in 0..1.
    pub(crate) fn next_fraction(&mut self) -> f64 {
        const MANTISSA_BITS: u32 = 53;
        self.0 = mix(self.0);
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let fraction = (self.0 >> (u64::BITS - MANTISSA_BITS)) as f64 / (1_u64 << MANTISSA_BITS) as f64;
        fraction
    }
}

/// One step of `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
const fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
