//! The example in `examples/own_tool.rs`, run as its reader would, and kept as short as it is promised to be.

use crate::setup::folder;

#[path = "../../examples/own_tool.rs"]
#[expect(dead_code, reason = "its `main` prints what the test compares")]
mod own_tool;

#[tokio::test]
async fn the_answer_comes_from_the_programs_own_tool() {
    let folder = folder();
    let answer = own_tool::ask("How much tea is there?", folder.path()).await.unwrap();
    assert_eq!(answer, r#"The shop says {"pieces":12}."#);
}

#[test]
fn it_is_no_longer_than_thirty_lines() {
    let lines = include_str!("../../examples/own_tool.rs").lines().count();
    assert!(lines <= 30, "it has {lines} lines");
}
