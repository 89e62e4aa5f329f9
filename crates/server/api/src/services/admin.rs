//! Tools, traces, health and storage.

use std::collections::BTreeMap;

use loom_base::ErrorCode;
use loom_proto::v1::{
    ComponentHealth, CostInfo, GetStorageStatusResponse, GetTraceRequest, HealthStatus, ListToolsRequest,
    ListToolsResponse, PoolStats, Span, StorageBackendType, StorageHealthStatus, ToolDefinition, Trace,
};
use loom_runtime::TraceSpan;
use loom_store::StoreKind;

use super::LoomApi;
use super::convert::{cost, count, long, millis};
use crate::Failure;

const HEALTHY: &str = "healthy";
const DEGRADED: &str = "degraded";

impl LoomApi {
    /// The tools of all agents, each once.
    pub(super) fn tool_list(&self, request: &ListToolsRequest) -> Result<ListToolsResponse, Failure> {
        let mut tools: BTreeMap<String, ToolDefinition> = BTreeMap::new();
        let agents = self.runtime.agents().list();
        for agent in &agents {
            // An agent that does not build at the moment has no tools to show; its error is in ListAgents.
            let Ok(built) = self.runtime.agents().built(agent) else { continue };
            for tool in built.tools.iter() {
                let spec = tool.spec();
                let known = tools.entry(spec.definition.name.to_string()).or_insert_with(|| ToolDefinition {
                    name: spec.definition.name.to_string(),
                    description: spec.definition.description.to_string(),
                    input_schema_json: spec.definition.input_schema.to_string(),
                    ..ToolDefinition::default()
                });
                let backend = spec.backend.iter().map(std::string::ToString::to_string);
                let new: Vec<_> = backend.filter(|name| !known.backends.contains(name)).collect();
                known.backends.extend(new);
            }
        }
        let wanted = &request.backend;
        let is_named = agents.iter().any(|agent| agent.definition.backends.contains(wanted));
        let has_tools = tools.values().any(|tool| tool.backends.contains(wanted));
        if !wanted.is_empty() && !is_named && !has_tools {
            let message = format!("no agent has a backend called {wanted:?}");
            return Err(Failure::new(ErrorCode::BackendNotFound, message).with("backend", wanted));
        }
        let fits = |tool: &ToolDefinition| wanted.is_empty() || tool.backends.contains(wanted);
        let tools: Vec<_> = tools.into_values().filter(fits).collect();
        Ok(ListToolsResponse { total_count: count(tools.len() as u64), tools })
    }

    pub(super) async fn trace_get(&self, request: &GetTraceRequest) -> Result<Trace, Failure> {
        let trace = self.runtime.traces().get(&request.trace_id).await?;
        let spans: Vec<_> = trace.spans.iter().map(span).collect();
        let (provider, model) = &trace.model;
        Ok(Trace {
            id: trace.id.to_string(),
            session_id: trace.session.to_string(),
            root_span: spans.first().cloned(),
            total_duration_ms: millis(trace.duration()),
            total_cost: Some(CostInfo {
                estimated_cost_usd: trace.estimated_cost.as_dollars(),
                ..cost(trace.usage, trace.cost, provider, model)
            }),
            spans,
        })
    }

    /// Looks at the parts that cost nothing to look at; no model is called.
    pub(super) async fn health(&self) -> HealthStatus {
        let now = self.clock.now().as_seconds();
        let part = |error: Option<String>, latency_ms| ComponentHealth {
            status: if error.is_none() { HEALTHY } else { DEGRADED }.to_owned(),
            last_check: now,
            error: error.unwrap_or_default(),
            latency_ms,
        };
        let store = match self.runtime.store_status().await {
            Ok(status) => part(None, millis(status.latency)),
            Err(error) => part(Some(error.to_string()), 0),
        };
        let agents = self.runtime.agents();
        let broken: Vec<_> = agents.list().iter().filter_map(|agent| agents.problem_of(agent)).collect();
        let agents = part(Some(broken.join("; ")).filter(|text| !text.is_empty()), 0);
        let components = BTreeMap::from([("storage".to_owned(), store), ("agents".to_owned(), agents)]);
        let all_well = components.values().all(|part| part.status == HEALTHY);
        HealthStatus {
            status: if all_well { HEALTHY } else { DEGRADED }.to_owned(),
            components,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: long(self.clock.now().since(self.started_at).as_secs()),
        }
    }

    pub(super) async fn storage_status(&self) -> GetStorageStatusResponse {
        let status = match self.runtime.store_status().await {
            Ok(status) => StorageHealthStatus {
                backend: match status.kind {
                    StoreKind::Sqlite => StorageBackendType::Sqlite,
                    StoreKind::Postgres => StorageBackendType::Postgres,
                }
                .into(),
                healthy: true,
                // Clients take 0 for "not measured": a read that took less than a millisecond took one.
                latency_ms: millis(status.latency).max(1),
                migration_version: i32::try_from(status.migration).unwrap_or(i32::MAX),
                error: String::new(),
                pool_stats: Some(PoolStats {
                    total_connections: count(u64::from(status.pool.open)),
                    idle_connections: count(u64::from(status.pool.idle)),
                    active_connections: count(u64::from(status.pool.open.saturating_sub(status.pool.idle))),
                    max_connections: count(u64::from(status.pool.most)),
                    ..PoolStats::default()
                }),
            },
            Err(error) => StorageHealthStatus { error: error.to_string(), ..StorageHealthStatus::default() },
        };
        GetStorageStatusResponse { status: Some(status) }
    }
}

fn span(span: &TraceSpan) -> Span {
    let (start, end) = (span.started_at.as_micros(), span.ended_at.as_micros());
    Span {
        id: span.id.clone(),
        parent_id: span.parent.clone(),
        name: span.name.clone(),
        start_time_us: start,
        end_time_us: end,
        duration_us: end.saturating_sub(start),
        status: span.status.to_owned(),
        attributes: span.attributes.clone(),
        events: Vec::new(),
    }
}
