//! No conversation, however odd, makes the provider panic or waver.

use std::sync::Arc;

use proptest::prelude::*;

use loom_base::CallId;
use loom_llm::{ContentBlock, Message, Role};

use crate::{HOSPITAL, LOGISTICS, MUSIC_SHOP, PATTERNS, streamed};

fn texts() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-zA-Z0-9_.,|'é日 ]{0,12}",
        prop::sample::select(vec![
            "top",
            "5",
            "customers",
            "invoices",
            "total",
            "by",
            "average",
            "monthly",
            "per",
            "country",
            "how many",
            "patients",
            "cost",
            "shipments",
            "2013",
            "Germany",
            "most",
            "missing",
            "email",
            "than",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "))
}

fn results() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            PATTERNS, MUSIC_SHOP, HOSPITAL, LOGISTICS, "", "{", "[]", "{\"patterns\": []}", "{\"tables\": []}",
            "{\"columns\": [\"a\"], \"rows\": [[1e300], [], [null, 2]]}", "{\"columns\": [], \"rows\": [[1]]}",
            "{\"patterns\": [{\"name\": \"\", \"executable\": true, \"confidence\": 1e308, \"parameters\": []}]}",
            "{\"tables\": [{\"name\": \"\", \"columns\": [{\"name\": \"\"}]}]}",
        ])
        .prop_map(str::to_owned),
        ".{0,40}",
    ]
}

fn blocks() -> impl Strategy<Value = ContentBlock> {
    let id = || prop::sample::select(vec!["a", "b", "c"]).prop_map(CallId::new);
    let tool = prop::sample::select(vec!["tool_a", "tool_b", "tool_c", "tool_d", "other"]);
    prop_oneof![
        texts().prop_map(ContentBlock::text),
        (id(), tool).prop_map(|(id, name)| ContentBlock::ToolUse {
            id,
            name: name.into(),
            input: serde_json::json!({})
        }),
        (id(), results(), prop::bool::weighted(0.1)).prop_map(|(id, content, is_error)| {
            ContentBlock::ToolResult { id, content: content.into(), is_error }
        }),
    ]
}

fn messages() -> impl Strategy<Value = Vec<Arc<Message>>> {
    let role = prop::sample::select(vec![Role::User, Role::Assistant]);
    let message = (role, prop::collection::vec(blocks(), 0..4));
    prop::collection::vec(message.prop_map(|(role, content)| Arc::new(Message { role, content })), 0..8)
}

/// A question with both lookups answered in some way, which random messages seldom reach.
fn looked_up() -> impl Strategy<Value = Vec<Arc<Message>>> {
    let schema = prop_oneof![3 => prop::sample::select(vec![MUSIC_SHOP, HOSPITAL, LOGISTICS]).prop_map(str::to_owned), 1 => results()];
    let search = prop_oneof![3 => Just(PATTERNS.to_owned()), 1 => results()];
    (texts(), search, schema).prop_map(|(question, search, schema)| {
        let call = |id: &'static str, name: &str| ContentBlock::ToolUse {
            id: CallId::new(id),
            name: name.into(),
            input: serde_json::json!({}),
        };
        let result = |id: &'static str, content: String| ContentBlock::ToolResult {
            id: CallId::new(id),
            content: content.into(),
            is_error: false,
        };
        vec![
            Arc::new(Message::text(Role::User, question)),
            Arc::new(Message {
                role: Role::Assistant,
                content: vec![call("a", "tool_a"), call("b", "tool_b")],
            }),
            Arc::new(Message { role: Role::User, content: vec![result("a", search), result("b", schema)] }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_conversation_gets_a_step(messages in prop_oneof![messages(), looked_up()]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let once = runtime.block_on(streamed(&messages));
        prop_assert!(once.len() >= 3);
        prop_assert_eq!(once, runtime.block_on(streamed(&messages)));
    }
}
