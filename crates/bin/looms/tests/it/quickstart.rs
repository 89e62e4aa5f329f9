//! `looms quickstart`: an answer at once, from any database.

use crate::home::{Home, Said};
use crate::shop::make_database;

async fn ask(home: &Home, db: &str, questions: &[&str]) -> Said {
    let mut command = home.command(["quickstart", "--db", db, "--no-chat"]);
    for question in questions {
        command.args(["--ask", question]);
    }
    Said::of(&command.output().await.unwrap())
}

#[tokio::test]
async fn it_answers_from_its_own_shop() {
    let home = Home::bare();
    let said = home.run(["quickstart"]).await.worked();
    for part in ["top_by_total", "confidence", "SELECT", "5 rows", "tokens in", "invoke_agent", "What next"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(home.path(".loom/quickstart/shop.db").exists());
    home.run(["quickstart", "--ask", "Which categories have the most products?"]).await.worked();
}

#[tokio::test]
async fn it_answers_from_a_database_it_has_never_seen() {
    let home = Home::bare();
    make_database(&home.path("takings.db")).await;
    let questions = [
        "Which store has the highest total revenue?",
        "Show the monthly revenue",
        "How many stores are there?",
    ];
    let said = ask(&home, "takings.db", &questions).await.worked();
    let tables: Vec<_> = said.lines().filter(|line| line.starts_with("| ")).collect();
    let at = |text: &str| {
        tables.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {said}"))
    };
    assert!(at("Station") < at("Harbour") && at("Harbour") < at("Market"), "{said}");
    assert!(tables[at("Station")].contains("99.75") && tables[at("Harbour")].contains("30.75"), "{said}");
    assert!(tables[at("2026-01")].contains("15.5") && tables[at("2026-02")].contains("120"), "{said}");
    assert!(tables.iter().any(|line| line.contains("| 3") || line.contains(" 3 |")), "{said}");
}

#[tokio::test]
async fn it_asks_back_when_the_data_cannot_answer() {
    let home = Home::bare();
    make_database(&home.path("takings.db")).await;
    let said = ask(&home, "takings.db", &["What is the meaning of life?"]).await.worked();
    assert!(!said.contains("SELECT"), "{said}");
    assert!(said.contains('?') && said.contains("taking"), "{said}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_an_error_and_no_password_is_shown() {
    let home = Home::bare();
    let error = ask(&home, "nowhere.db", &["anything"]).await.failed(1);
    assert!(error.contains("nowhere.db") && error.contains("LOOM_BACKEND_UNAVAILABLE"), "{error}");
    assert!(!home.path("nowhere.db").exists());
    let said = ask(&home, "postgres://me:s3cr3t-word@127.0.0.1:1/x", &["anything"]).await;
    assert!(!said.out.contains("s3cr3t-word"), "{}", said.out);
    let error = said.failed(1);
    assert!(error.contains("LOOM_BACKEND_UNAVAILABLE") && !error.contains("s3cr3t-word"), "{error}");
    home.write("text.db", "This is a text and no database, however long it may be.");
    ask(&home, "text.db", &["anything"]).await.failed(1);
    let error = home.run(["quickstart", "--provider", "7up", "--no-chat"]).await.failed(5);
    assert!(error.contains("7up"), "{error}");
}
