//! What turns may use, and what is left of it.

use loom_access::Principal;
use loom_agent::{Measure, Period};
use loom_base::{NanoUsd, SessionId};
use loom_proto::v1::{Budget, BudgetMeasure, ListBudgetsRequest, ListBudgetsResponse};
use loom_runtime::{BudgetReport, Error};

use super::LoomApi;
use super::convert::{given, long};
use crate::Failure;

const SECONDS_PER_DAY: i64 = 86_400;

impl LoomApi {
    pub(super) async fn budget_list(
        &self,
        request: ListBudgetsRequest,
        principal: Principal,
    ) -> Result<ListBudgetsResponse, Failure> {
        let session = given(request.session_id)
            .map(|id| id.parse::<SessionId>().map_err(|_| Error::session_not_found(id)))
            .transpose()?;
        let agent = given(request.agent_id);
        let reports = self.runtime.budgets(agent.as_deref(), session.as_ref(), principal).await?;
        Ok(ListBudgetsResponse { budgets: reports.iter().map(budget).collect() })
    }
}

fn budget(report: &BudgetReport) -> Budget {
    let (id, name) = report.agent.as_ref().map(|(id, name)| (id.to_string(), name.clone())).unzip();
    let (per, limits) = (report.budget.period, report.budget.limits());
    let starts = |day: i64| if per == Period::Total { 0 } else { day.saturating_mul(SECONDS_PER_DAY) };
    let measure = |measure: Measure| BudgetMeasure {
        name: measure.as_str().to_owned(),
        limit: limits.of(measure).map(|amount| shown(measure, amount)),
        used: shown(measure, report.usage.used.of(measure)),
        reserved: shown(measure, report.usage.reserved.of(measure)),
    };
    Budget {
        scope: report.scope.as_str().to_owned(),
        agent_id: id.unwrap_or_default(),
        agent_name: name.unwrap_or_default(),
        session_id: report.session.as_ref().map(ToString::to_string).unwrap_or_default(),
        per: per.as_str().to_owned(),
        starts_at: starts(report.window.from),
        ends_at: starts(report.window.until),
        on_exceeded: report.budget.on_exceeded.as_str().to_owned(),
        measures: Measure::ALL.map(measure).to_vec(),
        estimated_usd: report.usage.estimated_cost.as_dollars(),
        estimated_tokens: long(report.usage.estimated_tokens),
    }
}

/// An amount in the unit that people set it in.
#[expect(clippy::cast_precision_loss, reason = "for display: exact below nine quadrillion")]
fn shown(measure: Measure, amount: u64) -> f64 {
    match measure {
        Measure::Cost => NanoUsd::from_nanos(i64::try_from(amount).unwrap_or(i64::MAX)).as_dollars(),
        Measure::Time => amount as f64 / 1e6,
        Measure::Tokens | Measure::ToolCalls => amount as f64,
    }
}
