//! Passing the trace on (W3C Trace Context, level 1).

use loom_base::{EffectId, TraceId};

/// The value of the `traceparent` header for a request made by `effect`. The trace is marked as recorded.
pub fn traceparent(trace: TraceId, effect: EffectId) -> String {
    format!("00-{trace}-{}-01", effect.span_id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom_base::TurnId;

    #[test]
    fn the_header_has_the_standard_form_and_tells_effects_apart() {
        let turn = TurnId::from_uuid(uuid::Uuid::from_u128(7));
        let header = |number| traceparent(TraceId::of_turn(turn), EffectId { turn, number });
        let parts: Vec<_> = header(1).split('-').map(str::len).collect();
        assert_eq!(parts, [2, 32, 16, 2]);
        assert!(header(1).starts_with("00-00000000000000000000000000000007-"));
        assert_ne!(header(1), header(2));
    }
}
