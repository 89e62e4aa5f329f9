//! Bound with the libraries that come with Loom, as their own search ranks them, and filled as the tools fill them.

use loom_fabric::{Column, Dialect, ForeignKey, Resource, ResourceKind, Schema, Table, render};
use loom_llm::ToolRole;
use loom_patterns::{Registry, Source};
use serde_json::{Value, json};

use crate::{HOSPITAL, LOGISTICS, MUSIC_SHOP, check, no_rows, plan};

fn library() -> Registry {
    let (registry, report) = Registry::with_built_in(loom_pattern_library::files().iter().copied());
    assert_eq!(report.errors, []);
    registry
}

/// What the search tool gives back.
fn search(library: &Registry, input: &Value) -> String {
    let limit = usize::try_from(input["limit"].as_u64().unwrap()).unwrap();
    let found = library.snapshot().search(input["question"].as_str().unwrap(), limit);
    let shown = found.iter().map(|found| {
        let pattern = &found.pattern;
        let parameters: Vec<Value> = pattern.parameters.iter().map(|one| json!({"name": one.name, "type": one.kind_text, "required": one.required, "description": one.description, "default": one.default})).collect();
        json!({"name": pattern.name, "title": pattern.title, "description": pattern.description, "domain": pattern.domain, "confidence": found.confidence, "executable": pattern.is_executable(), "parameters": parameters})
    });
    json!({"patterns": shown.collect::<Vec<_>>()}).to_string()
}

/// The schema behind the schema tool's JSON.
fn schema(json: &str) -> Schema {
    let json: Value = serde_json::from_str(json).unwrap();
    let split = |name: &Value| match name.as_str().unwrap().split_once('.') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, name.as_str().unwrap().to_owned()),
    };
    let texts = |value: &Value| serde_json::from_value::<Vec<String>>(value.clone()).unwrap();
    let table = |table: &Value| {
        let (namespace, name) = split(&table["name"]);
        let key = |key: &Value| {
            let (references_namespace, references_table) = split(&key["references_table"]);
            let (columns, references_columns) = (texts(&key["columns"]), texts(&key["references_columns"]));
            ForeignKey { columns, references_namespace, references_table, references_columns }
        };
        Table {
            resource: Resource { namespace, name, kind: ResourceKind::Table, row_estimate: None },
            columns: serde_json::from_value::<Vec<Column>>(table["columns"].clone()).unwrap(),
            primary_key: texts(&table["primary_key"]),
            foreign_keys: table["foreign_keys"].as_array().unwrap().iter().map(key).collect(),
        }
    };
    Schema { tables: json["tables"].as_array().unwrap().iter().map(table).collect() }
}

/// Tools over the libraries and `json`; a run is filled for SQLite but not sent.
fn tools(json: &'static str) -> impl Fn(ToolRole, &Value) -> Result<String, String> {
    let (library, schema) = (library(), schema(json));
    move |role, input| match role {
        ToolRole::SearchPatterns => Ok(search(&library, input)),
        ToolRole::Schema => Ok(json.to_owned()),
        _ => {
            let snapshot = library.snapshot();
            let pattern = snapshot.get(input["pattern"].as_str().unwrap()).unwrap();
            let filled =
                render(pattern, None, input["parameters"].as_object().unwrap(), Dialect::Sqlite, &schema);
            filled.map(|_| no_rows().to_string()).map_err(|error| error.to_string())
        }
    }
}

#[tokio::test]
async fn music_shop_questions_are_bound() {
    let cases = [
        (
            "Who are the top 5 customers by total spend?",
            "top_by_total(label = [Customer.FirstName,Customer.LastName], limit = 5, measure = Invoice.Total)",
        ),
        ("How many customers are there?", "count_rows(table = Customer)"),
        ("Which artists have the most albums?", "top_by_count(label = Artist.Name, table = Album)"),
        ("Top 3 genres by number of tracks", "top_by_count(label = Genre.Name, limit = 3, table = Track)"),
        (
            "What is the average invoice total by billing country?",
            "summary_by_group(label = Invoice.BillingCountry, measure = Invoice.Total)",
        ),
        ("Monthly invoice totals", "trend_by_month(measure = Invoice.Total, time = Invoice.InvoiceDate)"),
        ("How many invoices per country?", "count_by_group(label = Invoice.BillingCountry, table = Invoice)"),
        ("Which albums have the most tracks?", "top_by_count(label = Album.Title, table = Track)"),
        ("What is the average invoice total?", "measure_summary(measure = Invoice.Total)"),
        ("What is the median invoice total?", "median(measure = Invoice.Total)"),
        (
            "Show the running total of invoice totals by month",
            "running_total(measure = Invoice.Total, time = Invoice.InvoiceDate)",
        ),
        (
            "Share of total sales by billing country",
            "share_of_total(label = Invoice.BillingCountry, measure = Invoice.Total)",
        ),
        (
            "Top 3 tracks by milliseconds",
            "highest_values(label = Track.Name, limit = 3, measure = Track.Milliseconds)",
        ),
        (
            "What is the most expensive track?",
            "highest_values(label = Track.Name, measure = Track.UnitPrice)",
        ),
        ("Number of tracks per playlist", "count_by_group(label = Playlist.Name, table = PlaylistTrack)"),
        (
            "Which employees support the most customers?",
            "top_by_count(label = [Employee.FirstName,Employee.LastName], table = Customer)",
        ),
        (
            "How many employees are there per title?",
            "count_by_group(label = Employee.Title, table = Employee)",
        ),
        ("how many customers are there in total", "count_rows(table = Customer)"),
        ("When was the last invoice?", "recent_rows(table = Invoice, time = Invoice.InvoiceDate)"),
        ("List the different countries of customers", "distribution(column = Customer.Country)"),
        ("How many invoices per month?", "rows_by_month(table = Invoice, time = Invoice.InvoiceDate)"),
        (
            "Show the 3 most recent invoices",
            "recent_rows(limit = 3, table = Invoice, time = Invoice.InvoiceDate)",
        ),
        ("Yearly invoice totals", "trend_by_year(measure = Invoice.Total, time = Invoice.InvoiceDate)"),
        ("Are there missing values in Customer.Company?", "null_profile(column = Customer.Company)"),
        ("Duplicate values of Customer.Email", "duplicates(column = Customer.Email)"),
        (
            "Which 5 customers spend the least?",
            "bottom_by_total(label = [Customer.FirstName,Customer.LastName], limit = 5, measure = Invoice.Total)",
        ),
        (
            "Top 5 customers by average invoice total",
            "top_by_average(label = [Customer.FirstName,Customer.LastName], limit = 5, measure = Invoice.Total)",
        ),
        (
            "Total spend by country",
            "summary_by_group(label = Invoice.BillingCountry, measure = Invoice.Total)",
        ),
        ("Distribution of customers' countries", "distribution(column = Customer.Country)"),
        (
            "Top 3 customers in each country by total spend",
            "rank_within_group(count = 3, group = Customer.Country, label = [Customer.FirstName,Customer.LastName], measure = Invoice.Total)",
        ),
    ];
    check(&tools(MUSIC_SHOP), &cases).await;
}

#[tokio::test]
async fn hospital_questions_are_bound() {
    let cases = [
        ("How many admissions per ward?", "count_by_group(label = wards.ward_name, table = admissions)"),
        (
            "What is the average salary by specialty?",
            "summary_by_group(label = doctors.specialty, measure = doctors.salary)",
        ),
        (
            "Top 3 patients by treatment cost",
            "top_by_total(label = [patients.given_name,patients.family_name], limit = 3, measure = treatments.cost)",
        ),
        (
            "How has the cost of treatments grown month over month?",
            "period_change(measure = treatments.cost, time = treatments.performed_on)",
        ),
        ("How many patients are there?", "count_rows(table = patients)"),
    ];
    check(&tools(HOSPITAL), &cases).await;
}

#[tokio::test]
async fn logistics_questions_are_bound() {
    let cases = [
        (
            "Top ten clients by freight charges",
            "top_by_total(label = ops.clients.company_name, limit = 10, measure = ops.shipments.freight_charge)",
        ),
        (
            "How many shipments by status?",
            "count_by_group(label = ops.shipments.status, table = ops.shipments)",
        ),
        (
            "Which carrier has the most shipments?",
            "top_by_count(label = ops.carriers.name, table = ops.shipments)",
        ),
        (
            "shipments booked per month",
            "rows_by_month(table = ops.shipments, time = ops.shipments.booked_at)",
        ),
    ];
    check(&tools(LOGISTICS), &cases).await;
}

#[tokio::test]
async fn what_the_library_cannot_answer_becomes_a_question_back() {
    let cases = [
        ("What is the longest track?", "a numeric column (`measure`)"),
        ("Who is the best customer?", "The nearest names are: Invoice.Total"),
        ("Top 10 artists by sales", "Invoice cannot be joined to Artist"),
        ("How much money did we make in 2012?", "2012"),
        ("invoices by month for Germany", "Germany"),
        ("Which artists have more than 10 albums?", "more, than"),
        ("Bottom 3 genres by number of tracks", "Bottom"),
        ("Which invoice was the largest?", "a numeric column"),
        ("delete all customers", "delete"),
        ("employees hired per quarter", "I cannot answer this yet"),
        ("What tables are there?", "None of your words"),
        ("hello", "Please ask one question"),
    ];
    let tool = tools(MUSIC_SHOP);
    for (question, expected) in cases {
        let text = plan(&tool, question).await;
        assert!(text.contains(expected) && text.contains("not a language model"), "{question}: {text}");
    }
}
