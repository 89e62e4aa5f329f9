//! Rows that are broken and stores of later versions: what a server says of them, and that it serves the rest.

use loom_testkit::{PostgresSchema, tamper};
use serde_json::{Value, json};

use crate::home::Home;
use crate::serving::{Serving, until};

const SCRIPT: &str = "
rules: [{ when: { contains: sleep }, reply: { text: late, latency_ms: 600000 } }]
default: { text: '{{user}}' }
";
const NEWER: &str = "UPDATE meta SET value = 9999 WHERE key = 'min_binary'";

/// What the server answers in `session`: the answer's text, or the code of a problem and what it says.
async fn ask(server: &Serving, session: &str) -> Result<String, (String, String)> {
    let answer = server.http.post("/v1/weave", json!({ "query": "and on", "sessionId": session })).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if answer.status == 200 {
        return Ok(text(&answer.json()["text"]));
    }
    let problem = answer.problem().1;
    Err((text(&problem["code"]), text(&problem["detail"])))
}

/// The same, once no server that was killed counts as alive.
async fn ask_in_the_end(server: &Serving, session: &str) -> Result<String, (String, String)> {
    until("the session is taken over", async || {
        let answer = ask(server, session).await;
        let is_elsewhere = matches!(&answer, Err((code, _)) if code == "LOOM_SESSION_ELSEWHERE");
        (!is_elsewhere).then_some(answer)
    })
    .await
}

/// Three sessions on `home`, of which one runs a turn that a kill cuts off; returns that turn.
async fn sessions_and_a_turn(home: Home) -> (Home, String) {
    let server = Serving::start(home).await;
    for session in ["whole", "message"] {
        assert_eq!(ask(&server, session).await.unwrap(), "and on");
    }
    let asked = json!({ "query": "sleep", "sessionId": "journal" });
    let mut running = server.http.stream("/v1/chat:stream", asked).await;
    let turn = running.next().await.unwrap().data["turnId"].as_str().unwrap().to_owned();
    (server.kill().await, turn)
}

/// What breaks a message and an event.
fn damage(turn: &str) -> [String; 2] {
    [
        "UPDATE messages SET content = '[{}]' WHERE session_id = 'message' AND seq = 1".to_owned(),
        format!(
            "UPDATE turn_events SET event = '{{\"at\": 1, \"event\": \"no_such\"}}' WHERE turn_id = '{turn}'"
        ),
    ]
}

async fn is_named_and_the_rest_is_served(home: Home, turn: &str) {
    let server = Serving::start(home).await;
    for (session, named) in [("message", "message msg_"), ("journal", turn)] {
        let (code, said) = ask_in_the_end(&server, session).await.unwrap_err();
        assert_eq!(code, "LOOM_STORE_CORRUPT", "{said}");
        assert!(said.contains(named), "{said} does not name {named}");
    }
    for session in ["whole", "new"] {
        assert_eq!(ask_in_the_end(&server, session).await.unwrap(), "and on");
    }
    assert_eq!(server.http.get("/readyz").await.status, 200, "one broken row is no outage");
    let listed = server.http.get("/v1/turns").await.ok();
    assert_eq!(listed["turns"][0]["turnId"], turn, "what cannot go on is still listed: {listed}");
    server.stop().await;
}

#[tokio::test]
async fn a_broken_row_is_named_its_session_refused_and_the_rest_served() {
    let (home, turn) = sessions_and_a_turn(Home::playing(SCRIPT)).await;
    tamper(&home.path("data/loom.db"), &damage(&turn)).await.unwrap();
    is_named_and_the_rest_is_served(home, &turn).await;
}

fn on(schema: &PostgresSchema) -> Home {
    let mut home = Home::playing(SCRIPT);
    home.configure_also("storage: { backend: postgres, lease_seconds: 2 }");
    home.set("DATABASE_URL", &schema.url());
    home
}

#[tokio::test]
async fn a_broken_row_on_postgres_is_named_its_session_refused_and_the_rest_served() {
    let test = |schema: PostgresSchema| async move {
        let (home, turn) = sessions_and_a_turn(on(&schema)).await;
        schema.tamper(&damage(&turn)).await.unwrap();
        is_named_and_the_rest_is_served(home, &turn).await;
    };
    PostgresSchema::lend("looms", test).await.unwrap();
}

/// A server that starts on a store which a later version has changed ends, and says so.
async fn is_refused(home: &Home) {
    let refused = Serving::does_not_start(home).await.failed(5);
    assert!(refused.contains("LOOM_STORE_TOO_NEW") && refused.contains("9999"), "{refused}");
}

#[tokio::test]
async fn a_store_of_a_later_version_is_refused_and_left_alone() {
    let (home, _) = Serving::start(Home::playing(SCRIPT)).await.stop().await;
    tamper(&home.path("data/loom.db"), &[NEWER.to_owned()]).await.unwrap();
    is_refused(&home).await;
    let back = "UPDATE meta SET value = 1 WHERE key = 'min_binary'".to_owned();
    tamper(&home.path("data/loom.db"), &[back]).await.unwrap();
    Serving::start(home).await.stop().await;
}

#[tokio::test]
async fn a_store_of_a_later_version_on_postgres_is_refused() {
    let test = |schema: PostgresSchema| async move {
        let (home, _) = Serving::start(on(&schema)).await.stop().await;
        schema.tamper(&[NEWER.to_owned()]).await.unwrap();
        is_refused(&home).await;
    };
    PostgresSchema::lend("looms", test).await.unwrap();
}
