//! Traces as they look.

use loom_proto::v1::CostInfo;

use super::*;

fn part(id: &str, parent: &str, name: &str, start: i64, took: i64) -> Span {
    Span {
        id: id.to_owned(),
        parent_id: parent.to_owned(),
        name: name.to_owned(),
        start_time_us: start,
        end_time_us: start + took,
        duration_us: took,
        status: "ok".to_owned(),
        ..Span::default()
    }
}

fn with(mut span: Span, attributes: &[(&str, &str)]) -> Span {
    span.attributes =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    span
}

fn shown(spans: Vec<Span>) -> String {
    let whole = Trace {
        id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        session_id: "sess_1".to_owned(),
        total_duration_ms: 42,
        total_cost: Some(CostInfo { total_cost_usd: 0.0021, ..CostInfo::default() }),
        spans,
        ..Trace::default()
    };
    let mut out = Vec::new();
    trace(&whole, Style::Plain, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_turn_with_its_calls() {
    let usage = [("gen_ai.usage.input_tokens", "1200"), ("gen_ai.usage.output_tokens", "34")];
    let model = [("gen_ai.request.model", "small"), ("gen_ai.provider.name", "some")];
    let chat =
        [usage.as_slice(), &model, &[("loom.cost_usd", "0.001000000"), ("loom.attempt", "2")]].concat();
    let pattern = [("loom.pattern.name", "top_n"), ("loom.pattern.confidence", "0.870")];
    let cached = [("gen_ai.usage.cache_read.input_tokens", "1000"), ("loom.cost_usd", "0.002100000")];
    let root = [usage.as_slice(), &model, &pattern, &cached].concat();
    let ran = [
        ("loom.tool.outcome", "succeeded"),
        ("loom.tool.rows", "5"),
        ("loom.tool.truncated", "true"),
        ("loom.tool.query", "SELECT c\nFROM t\n\nLIMIT ?"),
    ];
    let mut broken = with(
        part("e", "a", "execute_tool query", 30_000, 1_500),
        &[
            ("loom.tool.outcome", "failed"),
            ("error.type", "LOOM_QUERY_REFUSED"),
            ("loom.tool.query", "DROP t"),
        ],
    );
    broken.status = "error".to_owned();
    let mut open = part("f", "a", "chat small", 40_000, 0);
    open.status = "unset".to_owned();
    // Out of order, as a trace may come.
    insta::assert_snapshot!(shown(vec![
        with(part("a", "feed", "invoke_agent", 0, 42_000), &root),
        open,
        broken,
        with(part("b", "a", "chat small", 1_000, 9_000), &chat),
        with(part("c", "a", "execute_tool run_pattern", 12_000, 3_000), &ran),
        part("d", "c", "loom.query", 12_500, 1_234_567),
    ]));
}

#[test]
fn spans_without_a_way_to_the_top_are_not_lost() {
    let spans = vec![
        part("a", "", "top", 0, 5),
        part("b", "c", "its parent's parent", 1, 2),
        part("c", "b", "its child's child", 1, 2),
        part("d", "d", "its own parent", 3, 1),
    ];
    insta::assert_snapshot!(shown(spans));
}

#[test]
fn nothing_that_a_terminal_obeys_gets_through() {
    let evil = "x\u{1b}[2J\r\u{202e}";
    let names =
        ["loom.tool.query", "loom.tool.outcome", "error.type", "loom.pattern.name", "gen_ai.request.model"];
    let mut span = part(evil, evil, evil, 0, 1);
    span.attributes = names.iter().map(|name| ((*name).to_owned(), evil.to_owned())).collect();
    let shown = shown(vec![span]);
    assert_eq!(clean(&shown), shown);
    assert!(shown.matches("x[2J").count() >= 5, "{shown}");
}
