//! What is written, what is refused, and who wins.

use std::thread;

use loom_base::ErrorCode;
use loom_patterns::Source as _;

use super::*;

fn new(name: &str, text: &str) -> NewPattern {
    NewPattern { name: name.into(), library: String::new(), text: text.into(), existing: Existing::Keep }
}

fn replacing(name: &str, text: &str) -> NewPattern {
    NewPattern { existing: Existing::Replace, ..new(name, text) }
}

fn library(folder: &Path) -> PatternLibrary {
    let library = PatternLibrary::new(Some(folder.to_owned()));
    library.load();
    library
}

#[track_caller]
fn refused(library: &PatternLibrary, new: &NewPattern) -> (ErrorCode, String) {
    let error = library.write(new).unwrap_err();
    (error.code(), error.to_string())
}

#[test]
fn a_new_pattern_is_served_when_it_is_written_and_its_name_is_taken_then() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("patterns");
    let library = library(&folder);
    let made = library.write(&new("mine", "name: mine\ntitle: Where the treasure is\n")).unwrap();
    assert_eq!(made.pattern.title, "Where the treasure is");
    assert_eq!(made.path, folder.join("mine.yaml").display().to_string());
    assert_eq!(library.snapshot().search("treasure", 1)[0].pattern.name, "mine");
    let of_library = NewPattern { library: "shop".into(), ..new("", "name: other") };
    assert_eq!(library.write(&of_library).unwrap().pattern.domain, "shop");
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no draft is left: {names:?}");

    assert_eq!(refused(&library, &new("mine", "name: mine")).0, ErrorCode::PatternExists);
    library.write(&replacing("mine", "name: mine\ntitle: It moved\n")).unwrap();
    assert_eq!(library.snapshot().get("mine").unwrap().title, "It moved");
    let elsewhere = NewPattern { library: "pub".into(), ..replacing("other", "name: other") };
    assert_eq!(refused(&library, &elsewhere).0, ErrorCode::PatternExists);
    assert_eq!(library.write(&replacing("other", "name: other\ntitle: b")).unwrap().pattern.domain, "shop");
}

#[test]
fn a_built_in_pattern_is_replaced_only_when_that_is_said_and_one_among_others_never() {
    let home = tempfile::tempdir().unwrap();
    fs::write(
        home.path().join("both.yaml"),
        "kind: PatternLibrary\nmetadata: {name: both}\nspec: {entries: [{name: one}, {name: two}]}\n",
    )
    .unwrap();
    let library = library(home.path());
    let (code, message) = refused(&library, &new("top_by_total", "name: top_by_total"));
    assert!(code == ErrorCode::PatternExists && message.contains("sql-core/top_by_total.yaml"), "{message}");
    library.write(&replacing("top_by_total", "name: top_by_total\ntitle: Ours")).unwrap();
    assert_eq!(library.snapshot().get("top_by_total").unwrap().title, "Ours");
    let (code, message) = refused(&library, &replacing("one", "name: one"));
    assert!(code == ErrorCode::PatternExists && message.contains("both.yaml"), "{message}");
}

#[test]
fn what_is_not_one_valid_pattern_of_that_name_is_not_written() {
    let home = tempfile::tempdir().unwrap();
    let library = library(home.path());
    for (name, text, part) in [
        ("a", "name: b", "`b`"),
        ("a", "name: a\ntitel: x", "title"),
        ("a", "kind: PatternLibrary\nmetadata: {name: l}\nspec: {entries: [{name: a}]}", "library"),
        ("", "title: no name", "name"),
        ("a", &format!("name: a\ntitle: {}", "x".repeat(MAX_TEXT)), "bytes"),
    ] {
        let (code, message) = refused(&library, &new(name, text));
        assert_eq!(code, ErrorCode::InvalidPattern, "{message}");
        assert!(message.contains(part), "{message}");
    }
    for name in ["../a", "a/b", "con", ".hidden", "a\nb"] {
        assert_eq!(refused(&library, &new(name, &format!("name: '{name}'"))).0, ErrorCode::InvalidArgument);
        let of_library = NewPattern { library: name.to_owned(), ..new("a", "name: a") };
        assert_eq!(refused(&library, &of_library).0, ErrorCode::InvalidArgument);
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let none = PatternLibrary::new(None);
    assert_eq!(refused(&none, &new("a", "name: a")).0, ErrorCode::PatternsReadOnly);
}

#[cfg(unix)]
#[test]
fn a_library_that_is_a_link_out_of_the_folder_takes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (folder, secret) = (home.path().join("patterns"), home.path().join("secret"));
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(&secret).unwrap();
    std::os::unix::fs::symlink(&secret, folder.join("out")).unwrap();
    let library = library(&folder);
    let through = NewPattern { library: "out".into(), ..new("a", "name: a") };
    assert_eq!(refused(&library, &through).0, ErrorCode::PathRefused);
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 0);
}

#[test]
fn of_two_writers_one_wins_and_the_other_is_told() {
    let home = tempfile::tempdir().unwrap();
    // Two servers on one folder: neither has seen the other's file.
    let servers = [library(home.path()), library(home.path())];
    for round in 0..20 {
        let name = format!("raced_{round}");
        let outcomes = thread::scope(|scope| {
            let writers: Vec<_> = servers
                .iter()
                .enumerate()
                .map(|(number, server)| {
                    let text = format!("name: {name}\ntitle: written by {number}\n");
                    let request = new(&name, &text);
                    scope.spawn(move || server.write(&request))
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        let won: Vec<_> = outcomes.iter().flatten().collect();
        let lost: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert_eq!((won.len(), lost.len()), (1, 1), "{outcomes:?}");
        assert_eq!(lost[0].code(), ErrorCode::PatternExists);
        let text = fs::read_to_string(home.path().join(format!("{name}.yaml"))).unwrap();
        assert!(text.contains(&won[0].pattern.title), "{text}");
    }
}
