//! The wait that a service asks for.

use std::time::{Duration, UNIX_EPOCH};

use loom_base::Timestamp;

/// Longer waits are cut to this: no caller of ours waits for tomorrow.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// The wait in a `Retry-After` value (RFC 9110, §10.2.3): seconds, or a date measured against `now`. A date in the past
/// is no wait; a text that is neither is `None`.
///
/// Fractions of a second are accepted as well, because some services send them.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MAX_WAIT));
    }
    let since_epoch = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((Timestamp::default() + since_epoch).since(now).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = Timestamp::from_micros(784_111_777 * 1_000_000);
        let wait = |value| parse_retry_after(value, now);
        assert_eq!(wait("120"), Some(Duration::from_mins(2)));
        assert_eq!(wait(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999"), Some(MAX_WAIT));
        for bad in ["", "-1", "NaN", "inf", "soon"] {
            assert_eq!(wait(bad), None, "{bad:?}");
        }
    }
}
