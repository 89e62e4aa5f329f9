//! A shipped server cannot be made to die, and counts no effects elsewhere.

use crate::home::Home;
use crate::serving::Serving;

#[tokio::test]
async fn a_build_without_the_feature_has_neither_fail_points_nor_the_tools_beside_them() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_looms")).unwrap();
    // The search of the standard library is optimised; a loop of our own would take half a minute.
    let binary = String::from_utf8_lossy(&binary);
    let holds = |text: &str| binary.contains(text);
    assert!(holds("LOOM_SERVER"), "what is read from the environment is found in the binary");
    for text in ["LOOM_FAILPOINT", "LOOM_RECORDER", "record_unsafe"] {
        assert!(!holds(text), "{text}");
    }
    let mut home = Home::playing("default: { text: alive }");
    home.set("LOOM_FAILPOINT", "accept.before_commit:1");
    assert_eq!(Serving::start(home).await.ask("still there?").await["text"], "alive");
}
