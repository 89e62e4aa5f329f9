//! Budgets and what is left of them.

use std::io::{self, Write};

use loom_proto::v1::{Budget, BudgetMeasure};

use super::amounts::dollars;
use super::columns::Columns;
use crate::Style;

/// What each budget counts, one measure a line. A measure without a bound that nothing was used of is left out.
pub(crate) fn budgets(budgets: &[Budget], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Columns::new(["BUDGET", "OF", "PER", "MEASURE", "USED", "HELD BACK", "LIMIT", "LEFT"]);
    for budget in budgets {
        let of = match (budget.session_id.as_str(), budget.agent_name.as_str()) {
            ("", name) => name,
            (session, _) => session,
        };
        let said = budget.measures.iter().filter(|one| one.limit.is_some() || one.used > 0.0);
        for measure in said {
            let show = |amount: f64| shown(&measure.name, amount);
            let (used, held) = (show(measure.used), show(measure.reserved));
            let limit = measure.limit.map_or_else(|| "none".to_owned(), show);
            let left = left(measure).map_or_else(String::new, show);
            table.row([&budget.scope, of, &budget.per, &measure.name, &used, &held, &limit, &left]);
        }
    }
    table.write(out, style, "no budget is set and nothing was used")?;
    for budget in budgets.iter().filter(|budget| budget.estimated_tokens > 0) {
        writeln!(
            out,
            "of what the {} used, {} and {} tokens are estimates: no provider said what these calls used",
            budget.scope,
            dollars(budget.estimated_usd),
            budget.estimated_tokens
        )?;
    }
    Ok(())
}

fn left(measure: &BudgetMeasure) -> Option<f64> {
    measure.limit.map(|limit| (limit - measure.used - measure.reserved).max(0.0))
}

fn shown(measure: &str, amount: f64) -> String {
    match measure {
        "usd" => dollars(amount),
        "seconds" => format!("{amount:.0} s"),
        _ => format!("{amount:.0}"),
    }
}
