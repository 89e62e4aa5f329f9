//! The parser's wall: only statements that read.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DescribeAlias, Query, Select, SetExpr, Statement, TableFactor, UtilityOption, Visit as _, Visitor,
};

/// Options of EXPLAIN that do not run the query.
const EXPLAIN_OPTIONS: [&str; 5] = ["verbose", "costs", "format", "summary", "settings"];

/// Checks the whole tree of `statement`; the error says what is not allowed.
pub(super) fn check(statement: &Statement) -> Result<(), String> {
    match statement.visit(&mut ReadOnly::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(reason) => Err(*reason),
    }
}

#[derive(Default)]
struct ReadOnly {
    depth: usize,
}

type Verdict = ControlFlow<Box<String>>;

fn refuse(reason: impl Into<String>) -> Verdict {
    ControlFlow::Break(Box::new(reason.into()))
}

impl Visitor for ReadOnly {
    type Break = Box<String>;

    fn pre_visit_statement(&mut self, statement: &Statement) -> Verdict {
        self.depth += 1;
        match statement {
            Statement::Query(_) => ControlFlow::Continue(()),
            Statement::Explain { describe_alias: DescribeAlias::Explain, analyze, options, .. }
                if self.depth == 1 =>
            {
                check_explain(*analyze, options.as_deref().unwrap_or_default())
            }
            other => {
                let text = other.to_string();
                let word = text.split_whitespace().next().unwrap_or("this");
                refuse(format!("only SELECT, VALUES, WITH and EXPLAIN are allowed, not {word}"))
            }
        }
    }

    fn post_visit_statement(&mut self, _: &Statement) -> Verdict {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> Verdict {
        if !query.locks.is_empty() {
            return refuse("FOR UPDATE and FOR SHARE lock rows and are not allowed");
        }
        let foreign = query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if foreign {
            return refuse("a clause of another database's SQL is not allowed");
        }
        check_body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Verdict {
        match select.into {
            Some(_) => refuse("SELECT INTO creates a table and is not allowed"),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Verdict {
        match factor {
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::Function { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => refuse("this form of FROM is not allowed"),
        }
    }
}

fn check_explain(analyze: bool, options: &[UtilityOption]) -> Verdict {
    let known = |option: &UtilityOption| {
        EXPLAIN_OPTIONS.iter().any(|known| option.name.value.eq_ignore_ascii_case(known))
    };
    if analyze || !options.iter().all(known) {
        return refuse("EXPLAIN may not run the query: no ANALYZE or option that needs it");
    }
    ControlFlow::Continue(())
}

/// Looks through set operations; queries and statements inside are visited by themselves.
fn check_body(body: &SetExpr) -> Verdict {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            refuse("a WITH that changes data is not allowed")
        }
        SetExpr::Table(_) => refuse("TABLE is not allowed, write SELECT * FROM"),
    }
}
