//! Small APIs against each other.

use prost_reflect::DescriptorPool;

use super::breaks;

const HEAD: &str = r#"
    syntax = "proto3";
    package loom.v1;
    import "google/api/annotations.proto";
"#;

const OLD: &str = r#"
    service S {
        rpc Ask (Question) returns (Answer) { option (google.api.http) = { post: "/v1/ask" body: "*" }; }
        rpc Watch (Question) returns (stream Answer);
    }
    enum Mood { MOOD_UNSPECIFIED = 0; MOOD_GOOD = 1; }
    message Question { string text = 1; repeated string tags = 2; map<string, int32> limits = 3; }
    message Answer { string text = 1; Mood mood = 2; }
"#;

/// Compiles `body` with the options file of this tree.
fn api(body: &str) -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.proto"), format!("{HEAD}{body}")).unwrap();
    let vendored = crate::workspace::root().join("proto");
    let mut compiler = protox::Compiler::new([folder.path(), vendored.as_path()]).unwrap();
    compiler.include_imports(true).open_file("api.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

#[test]
fn an_unchanged_and_an_extended_api_break_nothing() {
    let more = OLD
        .replace("Mood mood = 2;", "Mood mood = 2; int64 cost = 3;")
        .replace("rpc Watch", "rpc More (Question) returns (Answer); rpc Watch");
    assert_eq!(breaks(&api(OLD), &api(OLD)), Vec::<String>::new());
    assert_eq!(breaks(&api(OLD), &api(&more)), Vec::<String>::new());
}

#[test]
fn every_change_that_breaks_a_client_is_named() {
    let cases = [
        ("Mood mood = 2;", "", "field 2 of loom.v1.Answer: removed"),
        ("Mood mood = 2;", "Mood mood = 4;", "field 2 of loom.v1.Answer: removed"),
        ("Mood mood = 2;", "int32 mood = 2;", "loom.v1.Mood mood (JSON mood) became int32 mood"),
        ("Mood mood = 2;", "Mood humour = 2;", "became loom.v1.Mood humour"),
        ("Mood mood = 2;", "oneof x { Mood mood = 2; }", "in oneof x"),
        ("repeated string tags", "string tags", "field 2 of loom.v1.Question: repeated string tags"),
        ("map<string, int32>", "map<string, int64>", "<string, int32> limits"),
        ("rpc Watch (Question) returns (stream Answer);", "", "rpc loom.v1.S.Watch: removed"),
        ("(stream Answer)", "(Answer)", "rpc loom.v1.S.Watch: (loom.v1.Question) -> (stream loom.v1.Answer)"),
        ("MOOD_GOOD = 1;", "", "value 1 of loom.v1.Mood: removed"),
        ("MOOD_GOOD = 1;", "MOOD_FINE = 1;", "value 1 of loom.v1.Mood: MOOD_GOOD became MOOD_FINE"),
        ("/v1/ask", "/v1/question", "http mapping of loom.v1.S.Ask"),
        ("body: \"*\"", "", "http mapping of loom.v1.S.Ask"),
    ];
    for (old, new, expected) in cases {
        let found = breaks(&api(OLD), &api(&OLD.replace(old, new))).join("\n");
        assert!(found.contains(expected), "{old:?} -> {new:?} gave {found:?}");
    }
}
