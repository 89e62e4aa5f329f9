//! The OpenAPI 3.1 document of the HTTP gateway, from the descriptor set and its comments.

mod schema;

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{FieldDescriptor, Kind};
use serde_json::{Map, Value, json};

use crate::GatewayError;
use crate::gateway::{Route, RouteBody, RouteTable};
use schema::Schemas;

/// Where the schemas of messages are.
const SCHEMAS: &str = "#/components/schemas/";

/// The document. It holds nothing of the server's configuration, so it is the same for every server of a version.
pub fn openapi() -> Result<Value, GatewayError> {
    let table = RouteTable::new(loom_proto::descriptor_pool())?;
    let mut schemas = Schemas::default();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in table.routes() {
        let method = route.http_method.as_str().to_ascii_lowercase();
        paths.entry(route.path.clone()).or_default().insert(method, operation(route, &mut schemas));
    }
    let mut schemas = schemas.into_json();
    schemas.insert("Problem".into(), problem());
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Loom",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The HTTP form of loom.v1. Requests take lowerCamelCase and snake_case names; answers use lowerCamelCase.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "The request failed.",
                    "content": {"application/problem+json": {"schema": reference("Problem")}},
                },
            },
        },
    }))
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let rpc = &route.rpc;
    let (summary, description) = schema::comment_of_method(rpc);
    let mut operation = Map::new();
    operation.insert("operationId".into(), rpc.name().into());
    operation.insert("summary".into(), summary.into());
    if !description.is_empty() {
        operation.insert("description".into(), description.into());
    }
    let in_path: BTreeSet<&str> = route.path_fields().collect();
    let mut parameters: Vec<Value> =
        in_path.iter().filter_map(|name| parameter(route, name, schemas)).collect();
    match route.body {
        RouteBody::Request => {
            let schema = schemas.of_message(&rpc.input());
            let content = json!({"application/json": {"schema": schema}});
            operation.insert("requestBody".into(), json!({"required": false, "content": content}));
        }
        RouteBody::None => {
            let input = rpc.input();
            let fields = input.fields().filter(|field| !in_path.contains(field.name()));
            parameters.extend(fields.filter(is_scalar).map(|field| in_query(&field, schemas)));
        }
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    let answer = schemas.of_message(&rpc.output());
    let (description, media_type) = if rpc.is_server_streaming() {
        ("A stream of events; the data of each is one message.", "text/event-stream")
    } else {
        ("The answer.", "application/json")
    };
    let ok = json!({"description": description, "content": {media_type: {"schema": answer}}});
    let responses = json!({"200": ok, "default": {"$ref": "#/components/responses/Problem"}});
    operation.insert("responses".into(), responses);
    Value::Object(operation)
}

fn parameter(route: &Route, name: &str, schemas: &mut Schemas) -> Option<Value> {
    let field = route.rpc.input().get_field_by_name(name)?;
    Some(json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": schema::comment_of_field(&field),
        "schema": schemas.of_field(&field),
    }))
}

fn in_query(field: &FieldDescriptor, schemas: &mut Schemas) -> Value {
    json!({
        "name": field.json_name(),
        "in": "query",
        "description": schema::comment_of_field(field),
        "schema": schemas.of_field(field),
    })
}

fn is_scalar(field: &FieldDescriptor) -> bool {
    !field.is_map() && !matches!(field.kind(), Kind::Message(_))
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("{SCHEMAS}{name}")})
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A failure, after RFC 9457.",
        "required": ["type", "title", "status", "detail", "code", "retryable"],
        "properties": {
            "type": {"type": "string", "description": "The page about the code, relative to the documentation."},
            "title": {"type": "string", "description": "What the code means."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What happened this time."},
            "code": {"type": "string", "enum": loom_base::ErrorCode::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>()},
            "retryable": {"type": "boolean", "description": "Whether the same request may be sent again."},
            "retryAfterSeconds": {"type": "number", "description": "When, if that is known."},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}, "description": "The facts, by name."},
            "requestId": {"type": "string", "description": "The request's id in the server's logs."},
        },
    })
}
