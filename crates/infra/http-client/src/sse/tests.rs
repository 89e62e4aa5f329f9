//! The decoder, against the standard and against every way to cut a stream.

use super::*;
use proptest::prelude::*;

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut decoder = Decoder::new(10_000);
    let mut events = Vec::new();
    for mut piece in pieces {
        while let Some(event) = decoder.next(&mut piece).unwrap() {
            events.push(event);
        }
    }
    events
}

fn event(kind: &str, data: &str, id: &str) -> Event {
    Event { kind: kind.into(), data: data.into(), id: id.into() }
}

#[test]
fn fields_comments_and_line_ends_follow_the_standard() {
    let stream = "\u{feff}: a comment\r\n\
                  event: add\rdata:one\ndata: two\ndata\r\n\r\n\
                  id: 7\ndata:  spaced\nretry: 10\nunknown: x\n\n\
                  event: no data, no event\n\n\
                  data: last\n\n\
                  data: unfinished";
    assert_eq!(
        decode([stream.as_bytes()]),
        [event("add", "one\ntwo\n", ""), event("message", " spaced", "7"), event("message", "last", "7")]
    );
}

#[test]
fn an_empty_data_field_is_an_event_and_a_byte_order_mark_counts_only_at_the_start() {
    assert_eq!(decode(["data\n\n".as_bytes()]), [event("message", "", "")]);
    assert_eq!(decode(["\n\u{feff}data: x\n\n".as_bytes()]), []);
}

#[test]
fn a_crlf_cut_in_two_is_one_line_end() {
    assert_eq!(decode([&b"data: a\r"[..], b"\ndata: b\r", b"\n\r", b"\n"]), [event("message", "a\nb", "")]);
}

#[test]
fn an_event_above_the_cap_is_refused_in_one_line_or_in_many() {
    let one_line = format!("data: {}\n\n", "x".repeat(100));
    let many = "data: xxxxxxxxxx\n".repeat(10);
    for stream in [one_line, many] {
        let mut decoder = Decoder::new(64);
        assert_eq!(decoder.next(&mut stream.as_bytes()), Err(EventTooLarge { cap: 64 }));
    }
    let mut decoder = Decoder::new(64);
    let small = "data: 0123456789\n\n".repeat(50);
    let mut rest = small.as_bytes();
    let mut count = 0;
    while decoder.next(&mut rest).unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 50);
}

fn stream_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just(String::new()),
        Just("data: é😀".to_owned()),
        Just("event: e".to_owned()),
        Just(": c".to_owned()),
        "(data|id|event)?:? ?[a-z\u{feff}\0é:]{0,6}",
    ];
    let end = prop_oneof![Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n")];
    prop::collection::vec((line, end), 0..20)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
}

proptest! {
    #[test]
    fn cutting_a_stream_anywhere_changes_nothing(
        text in stream_text(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(decode(pieces), decode([bytes]));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_make_it_panic(bytes: Vec<u8>) {
        let whole = decode([&bytes[..]]);
        prop_assert_eq!(decode(bytes.chunks(1)), whole);
    }
}
