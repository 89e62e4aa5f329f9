//! The OpenAPI document, as it is checked in and as it is served.

use std::path::Path;

use crate::setup::{json, start};

#[tokio::test]
async fn the_checked_in_document_is_the_served_one() {
    let served = json(start().await.get("/openapi.json").await).await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&served).unwrap());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        checked_in == text,
        "docs/reference/openapi.json is stale: run the test again with UPDATE_EXPECT=1"
    );
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = loom_api::openapi().unwrap();
    let text = document.to_string();
    let mut references = 0;
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        references += 1;
    }
    assert!(references > 50);
    let service = loom_proto::descriptor_pool().get_service_by_name("loom.v1.LoomService").unwrap();
    for method in service.methods() {
        assert!(text.contains(&format!("\"operationId\":\"{}\"", method.name())), "{}", method.name());
    }
}
