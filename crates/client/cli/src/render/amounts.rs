//! Numbers as people read them.

use loom_base::Timestamp;

/// A count with its thousands apart.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun, which takes an s.
pub(crate) fn counted(number: i64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A span of time.
pub(crate) fn span(micros: i64) -> String {
    let micros = micros.max(0);
    let (millis, seconds) = (micros / 1_000, micros / 1_000_000);
    if millis < 10 {
        format!("{millis}.{} ms", micros / 100 % 10)
    } else if seconds < 1 {
        format!("{millis} ms")
    } else if seconds < 60 {
        format!("{seconds}.{:02} s", millis / 10 % 100)
    } else {
        format!("{} min {} s", count(seconds / 60), seconds % 60)
    }
}

/// A span of time that was measured in whole milliseconds.
pub(crate) fn whole_millis(millis: i64) -> String {
    match millis {
        ..1 => "under 1 ms".to_owned(),
        1..10 => format!("{millis} ms"),
        _ => span(millis.saturating_mul(1_000)),
    }
}

/// A price in US dollars. Small prices keep six decimals.
pub(crate) fn dollars(amount: f64) -> String {
    if amount == 0.0 {
        return "$0".to_owned();
    }
    if amount.abs() < 0.000_001 {
        return "under $0.000001".to_owned();
    }
    if amount.abs() >= 1.0 {
        return format!("${amount:.2}");
    }
    let text = format!("{amount:.6}");
    format!("${}", text.trim_end_matches('0'))
}

/// A moment, given in seconds since the Unix epoch, to the second; empty when it is not set.
pub(crate) fn moment(seconds: i64) -> String {
    if seconds == 0 {
        return String::new();
    }
    let text = Timestamp::from_micros(seconds.saturating_mul(1_000_000)).to_string();
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    format!("{}Z", whole.replace('T', " "))
}

/// How much of a room is used.
pub(crate) fn share(used: i64, room: i64) -> String {
    if room <= 0 {
        return count(used);
    }
    let percent = used.saturating_mul(100) / room;
    format!("{} of {} ({percent} %)", count(used), count(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let counts = [0, 999, 1_000, 1_234_567, -12_345].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567", "-12,345"]);
        assert_eq!([counted(1, "row"), counted(0, "row")], ["1 row", "0 rows"]);
        let spans = [-5, 90, 1_250, 42_000, 999_999, 1_234_567, 125_000_000].map(span);
        assert_eq!(spans, ["0.0 ms", "0.0 ms", "1.2 ms", "42 ms", "999 ms", "1.23 s", "2 min 5 s"]);
        assert_eq!([0, 3, 12, 1_500].map(whole_millis), ["under 1 ms", "3 ms", "12 ms", "1.50 s"]);
        let prices = [0.0, 1e-9, 0.001_2, 0.25, 12.345].map(dollars);
        assert_eq!(prices, ["$0", "under $0.000001", "$0.0012", "$0.25", "$12.35"]);
        assert_eq!([share(5, 0), share(2_100, 10_000)], ["5", "2,100 of 10,000 (21 %)"]);
        assert_eq!([moment(0), moment(1_709_210_096)], ["", "2024-02-29 12:34:56Z"]);
    }
}
