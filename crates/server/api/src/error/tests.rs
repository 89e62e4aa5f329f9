//! Failures through both languages and back.

use super::*;

#[test]
fn a_failure_survives_the_status() {
    for code in ErrorCode::ALL {
        let failure =
            Failure::new(*code, "it broke").with("field", "query").retry_after(Duration::from_millis(1500));
        assert_eq!(Failure::from_status(&Status::from(failure.clone())), failure);
    }
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let status = Status::from(Failure::new(ErrorCode::Internal, "é".repeat(3000)));
    assert_eq!(status.message().len(), MAX_MESSAGE_BYTES);
}

#[test]
fn a_foreign_status_gets_a_code_and_keeps_its_message() {
    let failure = Failure::from_status(&Status::with_details(Code::Unimplemented, "no", Bytes::from("junk")));
    assert_eq!(failure, Failure::new(ErrorCode::RouteNotFound, "no"));
}

#[test]
fn the_problem_names_its_page() {
    let failure = Failure::new(ErrorCode::AgentNotFound, "no agent \"x\"").with("agent_id", "x");
    let problem = problem(&failure, http_status(failure.code), None);
    assert_eq!(
        problem,
        serde_json::json!({
            "type": "/errors/LOOM_AGENT_NOT_FOUND",
            "title": "No agent has that id or name",
            "status": 404,
            "detail": "no agent \"x\"",
            "code": "LOOM_AGENT_NOT_FOUND",
            "retryable": false,
            "metadata": {"agent_id": "x"},
        })
    );
}
