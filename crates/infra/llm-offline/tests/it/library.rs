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
async fn what_is_counted_and_added_up_is_what_was_asked() {
    let cases = [
        (
            "Highest milliseconds per genre",
            "summary_by_group(label = Genre.Name, measure = Track.Milliseconds)",
        ),
        (
            "Total unit price by media type",
            "summary_by_group(label = MediaType.Name, measure = Track.UnitPrice)",
        ),
        (
            "How many invoice lines does each invoice have?",
            "count_by_group(label = Invoice.InvoiceId, table = InvoiceLine)",
        ),
        ("Which genre has the highest number of tracks?", "top_by_count(label = Genre.Name, table = Track)"),
        ("Which employees were hired last?", "recent_rows(table = Employee, time = Employee.HireDate)"),
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
async fn things_that_nothing_refers_to_are_bound_by_the_foreign_key() {
    let music = [
        (
            "Which customers have no invoices?",
            "missing_related_rows(key = Customer.CustomerId, label = [Customer.FirstName,Customer.LastName], \
             related_column = Invoice.CustomerId, related_table = Invoice, table = Customer)",
        ),
        (
            "List 5 artists without albums",
            "missing_related_rows(key = Artist.ArtistId, label = Artist.Name, limit = 5, \
             related_column = Album.ArtistId, related_table = Album, table = Artist)",
        ),
        (
            "Are there any employees without customers?",
            "missing_related_rows(key = Employee.EmployeeId, label = [Employee.FirstName,Employee.LastName], \
             related_column = Customer.SupportRepId, related_table = Customer, table = Employee)",
        ),
        (
            "tracks that were never in a playlist",
            "missing_related_rows(key = Track.TrackId, label = Track.Name, related_column = PlaylistTrack.TrackId, \
             related_table = PlaylistTrack, table = Track)",
        ),
        (
            "albums with dangling artists",
            "orphaned_rows(column = Album.ArtistId, referenced_column = Artist.ArtistId, \
             referenced_table = Artist, table = Album)",
        ),
    ];
    check(&tools(MUSIC_SHOP), &music).await;
    let logistics = [(
        "Which clients have no shipments?",
        "missing_related_rows(key = ops.clients.client_id, label = ops.clients.company_name, \
         related_column = ops.shipments.client_id, related_table = ops.shipments, table = ops.clients)",
    )];
    check(&tools(LOGISTICS), &logistics).await;
}

#[tokio::test]
async fn other_things_that_are_not_there_become_a_question_back() {
    let cases = [
        // The reference leads the other way: an album without an artist has none to refer to.
        (MUSIC_SHOP, "Which albums have no artist?", "no single foreign key leads from Artist to Album"),
        (MUSIC_SHOP, "Which albums have no artist?", "Tables that refer to Album are: Track."),
        (LOGISTICS, "Which warehouses have no shipments?", "from ops.shipments to ops.warehouses"),
        (MUSIC_SHOP, "Which customers with no fruit have invoices?", "fruit"),
        (MUSIC_SHOP, "Which customers have no paid invoices?", "paid"),
        (MUSIC_SHOP, "Which customers have no invoices of 2013?", "2013"),
        (MUSIC_SHOP, "Which customers have no invoices and no company?", "what to do with: invoices"),
        (MUSIC_SHOP, "How many artists have no albums?", "what to do with: no."),
        (MUSIC_SHOP, "Which artists have no concerts?", "what to do with: concerts"),
    ];
    for (schema, question, expected) in cases {
        let text = plan(&tools(schema), question).await;
        assert!(text.contains(expected) && text.contains("not a language model"), "{question}: {text}");
    }
}

#[tokio::test]
async fn a_missing_measure_is_sought_in_the_table_that_the_question_names() {
    let text = plan(&tools(MUSIC_SHOP), "What is the average track length by media type?").await;
    assert!(text.contains("a numeric column (`measure`)"), "{text}");
    assert!(text.contains("Nothing in the schema is called: length."), "{text}");
    let offered = "For `measure` the nearest names are: Track.UnitPrice, Track.Milliseconds, Track.Bytes.";
    assert!(text.contains(offered), "{text}");
}

#[tokio::test]
async fn nothing_is_grouped_by_a_sum_of_money_that_is_not_named() {
    let cases = [(
        "Top 5 genres by quantity",
        "top_by_total(label = Genre.Name, limit = 5, measure = InvoiceLine.Quantity)",
    )];
    check(&tools(MUSIC_SHOP), &cases).await;
    let text = plan(&tools(MUSIC_SHOP), "Top 5 genres by quantity sold").await;
    assert!(text.contains("what to do with: sold"), "{text}");
}

#[tokio::test]
async fn what_the_library_cannot_answer_becomes_a_question_back() {
    let cases = [
        ("What is the longest track?", "a numeric column (`measure`)"),
        ("Which artist has the longest tracks?", "a numeric column (`measure`)"),
        ("Oldest invoices", "I found nothing that does what you ask"),
        ("How many customers and employees are there?", "what to do with: employees"),
        ("Customers who are also employees", "what to do with: also"),
        ("How many customers have a fax?", "I found nothing that does what you ask"),
        ("How many tracks have a composer?", "I found nothing that does what you ask"),
        ("Customers with the most expensive invoices", "expensive"),
        ("Which month had the most invoices?", "what to do with: most"),
        ("Which customer has the most tracks?", "Tables that can be joined to Track are"),
        ("Which playlist is the largest?", "I cannot answer this yet"),
        ("Who is the best customer?", "For `measure` the nearest names are: Invoice.Total"),
        ("Top 10 artists by sales", "Invoice cannot be joined to Artist"),
        ("How much money did we make in 2012?", "2012"),
        ("invoices by month for Germany", "Germany"),
        ("Which artists have more than 10 albums?", "more, than"),
        ("Bottom 3 genres by number of tracks", "Bottom"),
        ("Which invoice was the largest?", "a numeric column"),
        ("delete all customers", "delete"),
        ("employees hired per quarter", "what to do with: quarter"),
        ("What tables are there?", "None of your words"),
        ("hello", "Please ask one question"),
    ];
    let tool = tools(MUSIC_SHOP);
    for (question, expected) in cases {
        let text = plan(&tool, question).await;
        assert!(text.contains(expected) && text.contains("not a language model"), "{question}: {text}");
    }
}
