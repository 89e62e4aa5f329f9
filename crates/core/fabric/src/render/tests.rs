//! Templates filled in, refused, and attacked.

use super::*;
use crate::fixture::{shop, table};
use crate::{ForeignKey, TypeClass, names_its_row};
use proptest::prelude::*;
use serde_json::json;

fn pattern(text: &str) -> Pattern {
    loom_patterns::parse("test/p.yaml", text).unwrap().remove(0)
}

fn top() -> Pattern {
    pattern(
        "name: top\nparameters:\n- {name: measure, type: measure, required: true, description: to add up}\n\
         - {name: label, type: label, required: true}\n- {name: limit, type: number, default: 10}\n\
         templates:\n  sql: |\n    SELECT {{label}} AS label, SUM({{measure}}) AS total FROM {{from}}\n    \
         GROUP BY {{label.key}} LIMIT {{limit}}\n",
    )
}

fn run(pattern: &Pattern, given: Value) -> Result<Rendered, RenderError> {
    let Value::Object(given) = given else { panic!("an object") };
    render(pattern, None, &given, Dialect::Sqlite, &shop())
}

#[test]
fn the_title_of_a_person_is_a_job_that_several_have() {
    let columns = ["EmployeeId INTEGER", "LastName TEXT", "Title TEXT"];
    let employee = table("Employee", &columns, &[]);
    assert!(!names_its_row(&employee, "Title"));
    assert!(names_its_row(&employee, "LastName"));
    assert!(names_its_row(&table("Album", &["AlbumId INTEGER", "Title TEXT"], &[]), "Title"));
}

#[test]
fn names_are_quoted_values_bound_and_joins_found() {
    let label = json!(["Customer.FirstName", "Customer.LastName"]);
    let rendered = run(&top(), json!({"measure": "invoice.total", "label": label, "limit": 5})).unwrap();
    assert_eq!(
        rendered.sql,
        "SELECT NULLIF(TRIM(COALESCE(CAST(\"Customer\".\"FirstName\" AS TEXT), '') || ' ' || \
         COALESCE(CAST(\"Customer\".\"LastName\" AS TEXT), '')), '') AS label, SUM(\"Invoice\".\"Total\") AS total \
         FROM \"Invoice\" LEFT JOIN \"Customer\" ON \"Invoice\".\"CustomerId\" = \"Customer\".\"CustomerId\"\n\
         GROUP BY \"Customer\".\"CustomerId\" LIMIT ?1"
    );
    assert_eq!(rendered.parameters, [Cell::Integer(5)]);
}

#[test]
fn joins_go_as_far_as_needed_and_only_once() {
    let pattern = pattern(
        "name: p\nparameters:\n- {name: measure, type: measure}\n- {name: a, type: column}\n- {name: b, type: column}\n\
         templates: {sql: 'SELECT {{measure}}, {{a}}, {{b}} FROM {{from}}'}",
    );
    let rendered =
        run(&pattern, json!({"measure": "InvoiceLine.UnitPrice", "a": "Artist.Name", "b": "Album.Title"}));
    let (_, from) = rendered.as_ref().unwrap().sql.split_once("FROM ").unwrap();
    assert_eq!(
        from,
        "\"InvoiceLine\" LEFT JOIN \"Track\" ON \"InvoiceLine\".\"TrackId\" = \"Track\".\"TrackId\" \
         LEFT JOIN \"Album\" ON \"Track\".\"AlbumId\" = \"Album\".\"AlbumId\" \
         LEFT JOIN \"Artist\" ON \"Album\".\"ArtistId\" = \"Artist\".\"ArtistId\""
    );
}

#[test]
fn a_group_is_one_thing_or_one_value() {
    let key = |label: Value| {
        let sql = run(&top(), json!({"measure": "Invoice.Total", "label": label})).unwrap().sql;
        sql.split_once("GROUP BY ").unwrap().1.replace(" LIMIT ?1", "").replace('"', "")
    };
    assert_eq!(key(json!("Customer.LastName")), "Customer.CustomerId");
    assert_eq!(key(json!("Customer.Country")), "Customer.Country");
    assert_eq!(key(json!("Invoice.Country")), "Invoice.Country");
    assert_eq!(
        key(json!(["Customer.Country", "Customer.SupportRepId"])),
        "Customer.Country, Customer.SupportRepId"
    );
    for (owner, column, names) in [
        ("customers", "customer_name", true),
        ("categories", "category_name", true),
        ("categories", "Category", true),
        ("Products", "ProductCode", true),
        ("Products", "CategoryName", false),
        ("Customers", "CompanyName", true),
        ("Customers", "city", false),
    ] {
        assert_eq!(
            names_its_row(&table(owner, &["id INTEGER", column], &[]), column),
            names,
            "{owner}.{column}"
        );
    }
}

#[test]
fn postgres_gets_its_namespaces_and_placeholders() {
    let mut schema = shop();
    for table in &mut schema.tables {
        table.resource.namespace = Some("sales".into());
        for key in &mut table.foreign_keys {
            key.references_namespace = Some("sales".into());
        }
    }
    let pattern = pattern(
        "name: p\nparameters:\n- {name: table, type: table, required: true}\n- {name: column, type: column, required: true}\n\
         - {name: value, type: text, required: true}\n\
         templates: {sql: 'SELECT {{table}}.* FROM {{from}} WHERE {{column}} = {{value}} OR {{value}} = {{column}}'}",
    );
    let given = json!({"table": "Invoice", "column": "sales.Customer.Country", "value": "x' OR 1=1 --"});
    let rendered = render(&pattern, None, given.as_object().unwrap(), Dialect::Postgres, &schema).unwrap();
    assert_eq!(
        rendered.sql,
        "SELECT \"sales\".\"Invoice\".* FROM \"sales\".\"Invoice\" LEFT JOIN \"sales\".\"Customer\" ON \
         \"sales\".\"Invoice\".\"CustomerId\" = \"sales\".\"Customer\".\"CustomerId\" \
         WHERE \"sales\".\"Customer\".\"Country\" = $1 OR $1 = \"sales\".\"Customer\".\"Country\""
    );
    assert_eq!(rendered.parameters, [Cell::Text("x' OR 1=1 --".into())]);
}

#[test]
fn two_ways_to_a_table_are_an_error_that_names_them() {
    let mut schema = shop();
    schema.tables.push(table("Address", &["AddressId INTEGER", "City"], &[]));
    schema.tables.push(table(
        "Delivery",
        &["DeliveryId INTEGER", "FromId INTEGER", "ToId INTEGER", "Cost NUMERIC"],
        &["FromId -> Address.AddressId", "ToId -> Address.AddressId"],
    ));
    let given = json!({"measure": "Delivery.Cost", "label": "Address.City"});
    let error = render(&top(), None, given.as_object().unwrap(), Dialect::Sqlite, &schema).unwrap_err();
    assert_eq!(
        error.to_string(),
        "several ways lead from `Delivery` to `Address`, and they mean different things; they are: \
         Delivery.FromId → Address, Delivery.ToId → Address"
    );
}

#[test]
fn keys_of_several_columns_and_keys_without_columns_join_too() {
    let mut schema = shop();
    let mut city = table("City", &["Country", "Name"], &[]);
    city.primary_key = vec!["Country".into(), "Name".into()];
    let mut house = table("House", &["HouseId INTEGER", "Country", "City", "Rooms INTEGER"], &[]);
    house.foreign_keys.push(ForeignKey {
        columns: vec!["Country".into(), "City".into()],
        references_namespace: None,
        references_table: "City".into(),
        references_columns: Vec::new(),
    });
    schema.tables.extend([city, house]);
    let given = json!({"measure": "House.Rooms", "label": "City.Name"});
    let sql = render(&top(), None, given.as_object().unwrap(), Dialect::Sqlite, &schema).unwrap().sql;
    let expected = "LEFT JOIN City ON House.Country = City.Country AND House.City = City.Name\n\
                    GROUP BY City.Country, City.Name LIMIT ?1";
    assert!(sql.replace('"', "").ends_with(expected), "{sql}");
}

#[test]
fn errors_say_what_would_be_right() {
    let cases = [
        (json!({"label": "Artist.Name"}), "missing parameter `measure` (measure): to add up"),
        (
            json!({"measure": "Invoice.Totl", "label": "Artist.Name"}),
            "parameter `measure`: table `Invoice` has no column `Totl`; it has: Total",
        ),
        (
            json!({"measure": "Invoce.Total", "label": "Artist.Name"}),
            "parameter `measure`: there is no table `Invoce`; there are: Invoice",
        ),
        (
            json!({"measure": "Total", "label": "Artist.Name"}),
            "parameter `measure`: write `Total` as Table.Column; columns of that name: Invoice.Total",
        ),
        (
            json!({"measure": "Artist.Name", "label": "Artist.Name"}),
            "parameter `measure` must be a numeric column, but `Artist.Name` is TEXT; it could be: ArtistId",
        ),
        (
            json!({"measure": "Invoice.Total", "label": ["Artist.Name", "Album.Title"]}),
            "parameter `label`: the columns of a label must be of one table, not of `Artist` and `Album`",
        ),
        (
            json!({"measure": "Invoice.Total", "label": "Track.Name"}),
            "no foreign keys lead from `Invoice` to `Track`; choose columns of one table, or of a table that `Invoice` \
             refers to: Customer, Employee",
        ),
        (
            json!({"measure": "Invoice.Total", "label": "Artist.Name", "limt": 3}),
            "there is no parameter `limt`; there are: measure, label, limit",
        ),
        (
            json!({"measure": "Invoice.Total", "label": "Invoice.Country", "limit": "many"}),
            "parameter `limit` must be a number, not \"many\"",
        ),
        (
            json!({"measure": 5, "label": "Invoice.Country"}),
            "parameter `measure` must be a column's name, not 5",
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(run(&top(), given.clone()).unwrap_err().to_string(), expected, "{given}");
    }
}

#[test]
fn a_column_is_of_the_table_that_the_template_reads_it_from() {
    let orphans = pattern(
        "name: p\nparameters:\n- {name: table, type: table}\n- {name: column, type: column}\n- {name: label, type: label}\n\
         - {name: referenced_table, type: table}\n- {name: referenced_column, type: column}\n\
         templates:\n  sql: SELECT {{label}}, {{column}} FROM {{table}} WHERE NOT EXISTS (SELECT 1 FROM {{referenced_table}} \
         WHERE {{referenced_column}} = 1)\n  sql_joined: SELECT {{column}} FROM {{from}}\n",
    );
    let good = json!({"table": "Track", "column": "AlbumId", "label": "Track.Name", "referenced_table": "Album",
        "referenced_column": "Album.AlbumId"});
    assert!(run(&orphans, good.clone()).is_ok());
    for (parameter, other, expected) in [
        (
            "referenced_column",
            "Artist.Name",
            "parameter `referenced_column` must be a column of `Album`, not `Artist.Name`",
        ),
        (
            "referenced_column",
            "Track.Name",
            "parameter `referenced_column` must be a column of `Album`, not `Track.Name`",
        ),
        ("column", "Album.Title", "parameter `column` must be a column of `Track`, not `Album.Title`"),
        (
            "label",
            "Artist.Name",
            "parameter `label` must be a column of `Track` or `Album`, not `Artist.Name`",
        ),
    ] {
        let mut given = good.clone();
        given[parameter] = json!(other);
        assert_eq!(run(&orphans, given).unwrap_err().to_string(), expected);
    }
    let joined = json!({"table": "Track", "column": "Artist.Name", "referenced_table": "Album"});
    let joined = render(&orphans, Some("sql_joined"), joined.as_object().unwrap(), Dialect::Sqlite, &shop());
    assert!(joined.is_ok(), "{joined:?}");
}

#[test]
fn a_time_column_may_be_a_text_in_sqlite_only() {
    let pattern = pattern(
        "name: p\nparameters: [{name: t, type: time}]\ntemplates: {sql: 'SELECT MIN({{t}}) FROM {{from}}'}",
    );
    let with = |column: &str, dialect| {
        let given = json!({ "t": column });
        render(&pattern, None, given.as_object().unwrap(), dialect, &shop())
    };
    assert!(with("Invoice.InvoiceDate", Dialect::Postgres).is_ok());
    assert!(with("Invoice.Country", Dialect::Sqlite).is_ok());
    assert!(matches!(with("Invoice.Country", Dialect::Postgres), Err(RenderError::WrongColumn { .. })));
    assert!(matches!(with("Invoice.Total", Dialect::Sqlite), Err(RenderError::WrongColumn { .. })));
}

#[test]
fn a_column_without_a_type_may_be_a_measure() {
    let mut schema = shop();
    let mut view = table("Income", &["Year INTEGER", "Amount "], &[]);
    view.columns[1].class = TypeClass::Other;
    schema.tables.push(view);
    let given = json!({"measure": "Income.Amount", "label": "Income.Year"});
    assert!(render(&top(), None, given.as_object().unwrap(), Dialect::Sqlite, &schema).is_ok());
}

#[test]
fn numbers_are_whole_where_they_can_be() {
    let pattern = pattern("name: p\nparameters: [{name: n, type: number}]\ntemplates: {sql: 'SELECT {{n}}'}");
    let bound = |value: Value| run(&pattern, json!({ "n": value })).map(|rendered| rendered.parameters);
    assert_eq!(bound(json!(5)).unwrap(), [Cell::Integer(5)]);
    assert_eq!(bound(json!(5.0)).unwrap(), [Cell::Integer(5)]);
    assert_eq!(bound(json!(" 7 ")).unwrap(), [Cell::Integer(7)]);
    assert_eq!(bound(json!(2.5)).unwrap(), [Cell::Float(2.5)]);
    for bad in [json!("1; DROP"), json!("NaN"), json!("inf"), json!([1]), json!(true)] {
        assert!(bound(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn the_template_is_the_one_for_the_engine() {
    let pattern = pattern(
        "name: p\nparameters: [{name: n, type: number, default: 1}, {name: m, type: number, default: 2}]\n\
         templates: {sqlite: 'SELECT 1', sql: 'SELECT 2', sql_more: 'SELECT {{n}}', note: 'see {{n}}'}",
    );
    let with = |template: Option<&str>, dialect, given: Value| {
        render(&pattern, template, given.as_object().unwrap(), dialect, &shop()).map(|rendered| rendered.sql)
    };
    assert_eq!(with(None, Dialect::Sqlite, json!({})).unwrap(), "SELECT 1");
    assert_eq!(with(None, Dialect::Postgres, json!({})).unwrap(), "SELECT 2");
    assert_eq!(with(Some("sql_more"), Dialect::Postgres, json!({})).unwrap(), "SELECT $1");
    let refused = |template, given| with(template, Dialect::Postgres, given).unwrap_err().to_string();
    assert_eq!(
        refused(Some("sqlite"), json!({})),
        "pattern `p` has no `sqlite` template that runs on postgres; it has: sql, sql_more"
    );
    assert_eq!(
        refused(Some("note"), json!({})),
        "template `note` cannot be run: its key is not `sql`, `sqlite` or `postgres`, alone or followed by `_` and a name"
    );
    assert_eq!(
        refused(None, json!({"n": 3})),
        "parameter `n` has no effect in template `sql`; leave it out or choose another template"
    );
}

/// What is left of SQL when the insides of quoted identifiers are taken out.
fn skeleton(sql: &str) -> String {
    let mut skeleton = String::new();
    let mut characters = sql.chars().peekable();
    while let Some(character) = characters.next() {
        skeleton.push(character);
        if character != '"' {
            continue;
        }
        while let Some(inside) = characters.next() {
            if inside == '"' && characters.next_if_eq(&'"').is_none() {
                break;
            }
        }
    }
    skeleton
}

proptest! {
    #[test]
    fn no_name_in_a_schema_can_break_out_of_its_quotes(
        names in prop::collection::btree_set("[A-Za-z\"';.\\-/* é]{1,12}", 4),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let render_with = |names: [&str; 4]| {
            let [orders, people, label, measure] = names;
            let schema = Schema { tables: vec![
                table(orders, &["id INTEGER", "person INTEGER", &format!("{measure} NUMERIC")],
                    &[&format!("person -> {people}.id")]),
                table(people, &["id INTEGER", &format!("{label} TEXT")], &[]),
            ] };
            let given = json!({"measure": format!("{orders}.{measure}"), "label": format!("{people}.{label}")});
            render(&top(), None, given.as_object().unwrap(), Dialect::Postgres, &schema)
        };
        let hostile = render_with([&names[0], &names[1], &names[2], &names[3]]);
        let benign = render_with(["orders", "people", "city", "amount"]).unwrap();
        match hostile {
            Ok(hostile) => {
                prop_assert_eq!(skeleton(&hostile.sql), skeleton(&benign.sql), "{}", hostile.sql);
                prop_assert_eq!(hostile.parameters, benign.parameters);
            }
            // With dots, a name may read as a column of another table; then it is refused, which is as good.
            Err(error) => prop_assert!(names.iter().any(|name| name.contains('.')), "{}", error),
        }
    }

    #[test]
    fn no_value_reaches_the_text(value in any::<String>(), number in any::<i64>()) {
        let pattern = pattern(
            "name: p\nparameters: [{name: v, type: text}, {name: n, type: number}]\n\
             templates: {sql: 'SELECT {{v}} LIMIT {{n}}'}",
        );
        let rendered = run(&pattern, json!({"v": value, "n": number})).unwrap();
        prop_assert_eq!(rendered.sql, "SELECT ?1 LIMIT ?2");
        prop_assert_eq!(rendered.parameters, vec![Cell::Text(value), Cell::Integer(number)]);
    }

    #[test]
    fn only_names_of_the_schema_are_taken(name in any::<String>()) {
        let pattern =
            pattern("name: p\nparameters: [{name: t, type: table}]\ntemplates: {sql: 'SELECT 1 FROM {{t}}'}");
        if let Ok(rendered) = run(&pattern, json!({"t": name})) {
            let known = shop().tables.iter().any(|t| rendered.sql == format!("SELECT 1 FROM \"{}\"", t.resource.name));
            prop_assert!(known, "{}", rendered.sql);
        }
    }
}
