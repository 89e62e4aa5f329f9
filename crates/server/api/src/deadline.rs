//! The deadline a gRPC caller sets.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use loom_base::ErrorCode;
use tonic::metadata::MetadataMap;

use crate::Failure;

/// The header of the gRPC protocol (PROTOCOL-HTTP2.md, "Timeout").
pub(crate) const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The time the caller gives a call, from its `grpc-timeout`; a turn started by the call must not outlive it.
pub fn grpc_timeout(metadata: &MetadataMap) -> Option<Duration> {
    metadata.get(GRPC_TIMEOUT).and_then(|value| parse(value.as_encoded_bytes()))
}

/// The same from headers; a value that is not of the protocol is the caller's error.
pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let invalid = || {
        Failure::new(
            ErrorCode::InvalidArgument,
            "grpc-timeout must be 1 to 8 digits and one of H, M, S, m, u, n",
        )
        .with("header", GRPC_TIMEOUT)
    };
    parse(value.as_bytes()).ok_or_else(invalid).map(Some)
}

/// The time that is `left`, as the protocol writes it. Rounded up: what is left of a millisecond is not nothing.
pub(crate) fn header(left: Duration) -> HeaderValue {
    const MOST_DIGITS: u128 = 99_999_999;
    let (millis, seconds) =
        (left.as_nanos().div_ceil(1_000_000), u128::from(left.as_secs()).min(MOST_DIGITS));
    let text = if millis <= MOST_DIGITS { format!("{millis}m") } else { format!("{seconds}S") };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0m"))
}

pub(crate) fn exceeded(limit: Duration) -> Failure {
    Failure::new(ErrorCode::DeadlineExceeded, format!("the call took longer than {limit:?}"))
        .with("limit_ms", limit.as_millis().to_string())
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_no_less() {
        for left in
            [Duration::ZERO, Duration::from_micros(1), Duration::from_secs(7), Duration::from_hours(99)]
        {
            let read = parse(header(left).as_bytes()).unwrap();
            assert!(read >= left && read <= left + Duration::from_secs(1), "{left:?} {read:?}");
        }
        assert_eq!(header(Duration::MAX), "99999999S");
    }

    #[test]
    fn reads_the_units_of_the_protocol_and_nothing_else() {
        assert_eq!(parse(b"2H"), Some(Duration::from_hours(2)));
        assert_eq!(parse(b"99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "S", "1", "1s", "-1S", "123456789S", "1.5S"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
