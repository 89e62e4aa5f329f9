//! One call, put through gRPC or through HTTP: the words and the answers are the same.

use ::http::Method;
use loom_testkit::Reflected;
use serde_json::{Value, json};

use crate::http::Http;
use crate::serving::Serving;

/// The routes of the HTTP API, as existing clients know them.
const ROUTES: [(&str, Method, &str); 37] = [
    ("Weave", Method::POST, "/v1/weave"),
    ("CancelTurn", Method::POST, "/v1/turns/{turnId}:cancel"),
    ("ListTurns", Method::GET, "/v1/turns"),
    ("ListEffects", Method::GET, "/v1/effects"),
    ("ResolveEffect", Method::POST, "/v1/effects/{effectId}:resolve"),
    ("ListApprovals", Method::GET, "/v1/approvals"),
    ("AnswerApproval", Method::POST, "/v1/approvals/{approvalId}:answer"),
    ("AnswerClarificationQuestion", Method::POST, "/v1/clarifications/{sessionId}/answer"),
    ("ListBudgets", Method::GET, "/v1/budgets"),
    ("CreateSession", Method::POST, "/v1/sessions"),
    ("GetSession", Method::GET, "/v1/sessions/{sessionId}"),
    ("ListSessions", Method::GET, "/v1/sessions"),
    ("DeleteSession", Method::DELETE, "/v1/sessions/{sessionId}"),
    ("ForkSession", Method::POST, "/v1/sessions/{sessionId}:fork"),
    ("GetConversationHistory", Method::GET, "/v1/sessions/{sessionId}/history"),
    ("CreateAgentFromConfig", Method::POST, "/v1/agents"),
    ("CreateAgent", Method::POST, "/v1/agents:create"),
    ("ListAgents", Method::GET, "/v1/agents"),
    ("GetAgent", Method::GET, "/v1/agents/{agentId}"),
    ("ReloadAgent", Method::POST, "/v1/agents/{agentId}:reload"),
    ("DeleteAgent", Method::DELETE, "/v1/agents/{agentId}"),
    ("ListPatterns", Method::GET, "/v1/patterns"),
    ("GetPattern", Method::GET, "/v1/patterns/{name}"),
    ("ReloadPatterns", Method::POST, "/v1/patterns:reload"),
    ("LoadPatterns", Method::POST, "/v1/patterns:load"),
    ("CreatePattern", Method::POST, "/v1/patterns"),
    ("ListTools", Method::GET, "/v1/tools"),
    ("GetTrace", Method::GET, "/v1/traces/{traceId}"),
    ("GetHealth", Method::GET, "/v1/health"),
    ("GetServerConfig", Method::GET, "/v1/server/config"),
    ("GetStorageStatus", Method::GET, "/v1/server/storage"),
    ("DescribeStore", Method::GET, "/v1/store"),
    ("VerifyStore", Method::POST, "/v1/store:verify"),
    ("BackUpStore", Method::POST, "/v1/store:backup"),
    ("MigrateStore", Method::POST, "/v1/store:migrate"),
    ("VacuumStore", Method::POST, "/v1/store:vacuum"),
    ("CleanUpStore", Method::POST, "/v1/store:cleanup"),
];
const STREAMS: [&str; 6] =
    ["ExportStore", "ReplaySession", "StreamChat", "StreamPatternUpdates", "StreamTurn", "StreamWeave"];

/// A way in.
pub(crate) enum Door {
    Grpc(Box<Reflected>),
    Http(Box<Http>),
}

impl Door {
    /// Both ways into `server`.
    pub(crate) async fn both(server: &Serving) -> [Self; 2] {
        [Self::Grpc(Box::new(server.reflected().await)), Self::Http(Box::new(server.http.clone()))]
    }

    /// The name of the door, to keep what is made through each apart.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Grpc(_) => "grpc",
            Self::Http(_) => "http",
        }
    }

    /// Calls an RPC. An error is its stable code and the name of its status.
    pub(crate) async fn call(&self, rpc: &str, request: Value) -> Result<Value, (String, String)> {
        match self {
            Self::Grpc(client) => {
                client.call(rpc, request, &[]).await.map_err(|refusal| (refusal.reason, refusal.status))
            }
            Self::Http(http) => call_http(http, rpc, request).await,
        }
    }

    /// Calls an RPC that must work.
    pub(crate) async fn ok(&self, rpc: &str, request: Value) -> Value {
        let answer = self.call(rpc, request).await;
        answer.unwrap_or_else(|error| panic!("{rpc} over {}: {error:?}", self.name()))
    }

    /// Calls an RPC that must fail, and returns its code.
    pub(crate) async fn refused(&self, rpc: &str, request: Value) -> String {
        match self.call(rpc, request).await {
            Err((code, _)) => code,
            Ok(answer) => panic!("{rpc} over {} worked: {answer}", self.name()),
        }
    }
}

/// Reflection tells of no RPC that has no route here, and the other way round.
pub(crate) fn assert_routes_are_all(mut rpcs: Vec<String>) {
    let mut known: Vec<_> = ROUTES.iter().map(|route| route.0).chain(STREAMS).collect();
    known.sort_unstable();
    rpcs.sort();
    assert_eq!(rpcs, known);
}

async fn call_http(http: &Http, rpc: &str, request: Value) -> Result<Value, (String, String)> {
    let (_, method, template) = ROUTES.iter().find(|route| route.0 == rpc).unwrap();
    let Value::Object(mut fields) = request else { panic!("a request is an object") };
    let mut path = (*template).to_owned();
    if let Some((start, end)) = template.find('{').zip(template.find('}')) {
        let field = &template[start + 1..end];
        let value = fields.remove(field).unwrap_or_default();
        path =
            format!("{}{}{}", &template[..start], value.as_str().unwrap_or_default(), &template[end + 1..]);
    }
    let answer = if *method == Method::POST {
        http.post(&path, Value::Object(fields)).await
    } else {
        let query: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", in_query(value))).collect();
        http.send(method.clone(), &format!("{path}?{}", query.join("&")), &[], String::new()).await
    };
    if answer.status == 200 {
        return Ok(answer.json());
    }
    let (status, problem) = answer.problem();
    assert_eq!(problem["status"], status);
    Err((problem["code"].as_str().unwrap_or_default().to_owned(), status.to_string()))
}

fn in_query(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace(' ', "%20"),
        other => other.to_string(),
    }
}

/// The answer without what differs from one moment to the next.
pub(crate) fn timeless(mut answer: Value) -> Value {
    for key in ["uptimeSeconds", "latencyMs", "lastCheck", "poolStats"] {
        forget(&mut answer, key);
    }
    answer
}

fn forget(value: &mut Value, key: &str) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key(key) {
                fields.insert(key.to_owned(), json!("…"));
            }
            fields.values_mut().for_each(|value| forget(value, key));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, key)),
        _ => {}
    }
}
