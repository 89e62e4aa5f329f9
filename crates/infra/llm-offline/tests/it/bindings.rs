//! Bound with a handful of patterns made for the purpose.

use crate::{HOSPITAL, LOGISTICS, MUSIC_SHOP, check, found, no_rows, plan};

#[tokio::test]
async fn music_shop_questions_are_bound() {
    let cases = [
        (
            "Who are the top 5 customers by total spend?",
            "top_by_measure(label = [Customer.FirstName,Customer.LastName], limit = 5, measure = Invoice.Total)",
        ),
        ("How many customers are there?", "count_rows(table = Customer)"),
        ("Which artists have the most albums?", "top_by_count(label = Artist.Name, table = Album)"),
        ("Top 3 genres by number of tracks", "top_by_count(label = Genre.Name, limit = 3, table = Track)"),
        (
            "What is the average invoice total by billing country?",
            "average_by(group = Invoice.BillingCountry, measure = Invoice.Total)",
        ),
        ("Monthly invoice totals", "monthly_total(measure = Invoice.Total, time = Invoice.InvoiceDate)"),
        ("How many invoices per country?", "count_by(label = Invoice.BillingCountry, table = Invoice)"),
        ("Which albums have the most tracks?", "top_by_count(label = Album.Title, table = Track)"),
        ("What is the average invoice total?", "average(measure = Invoice.Total)"),
        ("How many invoices per month?", "monthly_count(table = Invoice, time = Invoice.InvoiceDate)"),
        (
            "top five tracks by milliseconds",
            "top_by_measure(label = Track.Name, limit = 5, measure = Track.Milliseconds)",
        ),
        (
            "How many customers have no company?",
            "missing_values(column = Customer.Company, table = Customer)",
        ),
        ("How many media types are there?", "count_rows(table = MediaType)"),
        ("how many mediatypes are there", "count_rows(table = MediaType)"),
        ("Number of tracks per playlist", "count_by(label = Playlist.Name, table = PlaylistTrack)"),
        ("Average Track.UnitPrice by Genre", "average_by(group = Genre.Name, measure = Track.UnitPrice)"),
    ];
    check(&found(MUSIC_SHOP, no_rows()), &cases).await;
}

#[tokio::test]
async fn hospital_questions_are_bound() {
    let cases = [
        ("How many patients are there?", "count_rows(table = patients)"),
        ("How many admissions per ward?", "count_by(label = wards.ward_name, table = admissions)"),
        (
            "Which doctors have the most admissions?",
            "top_by_count(label = [doctors.given_name,doctors.family_name], table = admissions)",
        ),
        (
            "What is the average salary by specialty?",
            "average_by(group = doctors.specialty, measure = doctors.salary)",
        ),
        (
            "Top 3 patients by treatment cost",
            "top_by_measure(label = [patients.given_name,patients.family_name], limit = 3, measure = treatments.cost)",
        ),
        (
            "Monthly cost of treatments",
            "monthly_total(measure = treatments.cost, time = treatments.performed_on)",
        ),
        ("How many patients by gender?", "count_by(label = patients.gender, table = patients)"),
        ("What is the total cost of treatments?", "total(measure = treatments.cost)"),
    ];
    check(&found(HOSPITAL, no_rows()), &cases).await;
}

#[tokio::test]
async fn logistics_questions_are_bound() {
    let cases = [
        (
            "Top ten clients by freight charges",
            "top_by_measure(label = ops.clients.company_name, limit = 10, measure = ops.shipments.freight_charge)",
        ),
        ("How many shipments per carrier?", "count_by(label = ops.carriers.name, table = ops.shipments)"),
        ("How many shipments by status", "count_by(label = ops.shipments.status, table = ops.shipments)"),
        (
            "average capacity by city",
            "average_by(group = ops.warehouses.city, measure = ops.warehouses.capacity_m3)",
        ),
        (
            "share of declared value by client",
            "share_of_total(label = ops.clients.company_name, measure = ops.parcels.declared_value)",
        ),
        ("Average carrier rating", "average(measure = ops.carriers.rating)"),
    ];
    check(&found(LOGISTICS, no_rows()), &cases).await;
}

#[tokio::test]
async fn what_cannot_be_bound_becomes_a_question_back() {
    let cases = [
        (MUSIC_SHOP, "Top 5 genres by revenue", "Invoice cannot be joined to Genre"),
        (MUSIC_SHOP, "How many customers are from Germany?", "Germany"),
        (MUSIC_SHOP, "how many customers in brazil", "brazil"),
        (MUSIC_SHOP, "total of invoices in 2013", "2013"),
        (MUSIC_SHOP, "Customers with more than 5 invoices", "more, than"),
        (MUSIC_SHOP, "What is the weather tomorrow?", "None of your words"),
        (MUSIC_SHOP, "What is the median invoice total?", "median"),
        (MUSIC_SHOP, "How many missing emails are there?", "Customer.Email or Employee.Email"),
        (LOGISTICS, "How many shipments per warehouse?", "ops.shipments cannot be joined to ops.warehouses"),
        (HOSPITAL, "total revenue of the hotel", "None of your words"),
    ];
    for (schema, question, expected) in cases {
        let text = plan(&found(schema, no_rows()), question).await;
        assert!(text.contains(expected), "{question}: {text}");
        assert!(text.contains("not a language model"), "{question}: {text}");
    }
}

#[tokio::test]
async fn joined_words_are_found_in_names() {
    const JOINED: &str = r#"{"dialect": "sqlite", "tables": [
        {"name": "Track", "columns": [
            {"name": "TrackId", "class": "integer"}, {"name": "TrackLength", "class": "integer"},
            {"name": "sizeinbytes", "class": "integer"}], "primary_key": ["TrackId"]},
        {"name": "album", "columns": [{"name": "playtime", "class": "integer"}], "primary_key": []}]}"#;
    let cases = [
        ("average tracklength", "average(measure = Track.TrackLength)"),
        ("average track length", "average(measure = Track.TrackLength)"),
        ("average play time of albums", "average(measure = album.playtime)"),
        ("What is the total track_length?", "total(measure = Track.TrackLength)"),
    ];
    check(&found(JOINED, no_rows()), &cases).await;
}
