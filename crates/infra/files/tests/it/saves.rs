//! How programs save files.

use std::fs::OpenOptions;
use std::io::Write as _;

use super::Stage;

#[test]
fn the_first_scan_finds_what_is_wanted_and_nothing_else() {
    let stage = Stage::set(|root| {
        std::fs::create_dir_all(root.join("watched/deep/.hidden")).unwrap();
        for name in
            ["a.yaml", "deep/b.yml", "c.txt", ".d.yaml", "deep/.hidden/e.yaml", "f.yaml~", "g.yaml.swp"]
        {
            std::fs::write(root.join("watched").join(name), "x").unwrap();
        }
    });
    let found: Vec<&str> = stage.found.iter().map(String::as_str).collect();
    assert_eq!(found, ["watched/a.yaml", "watched/deep/b.yml"]);
}

#[test]
fn a_file_written_in_place_is_reported_each_time_and_others_are_not() {
    let stage = Stage::empty();
    stage.write("watched/other.yaml", "x");
    stage.until_changed("watched/other.yaml");
    for text in ["one", "two", "six"] {
        stage.write("watched/a.yaml", text);
        assert_eq!(stage.until_changed("watched/a.yaml"), ["changed watched/a.yaml"]);
    }
}

#[test]
fn a_save_by_rename_is_one_change_of_the_file() {
    let stage = Stage::empty();
    stage.write("watched/a.yaml", "old");
    stage.until_changed("watched/a.yaml");
    for _ in 0..3 {
        stage.write("watched/.a.yaml.tmp", "new");
        stage.rename("watched/.a.yaml.tmp", "watched/a.yaml");
        assert_eq!(stage.until_changed("watched/a.yaml"), ["changed watched/a.yaml"]);
    }
}

#[test]
fn a_save_that_first_moves_the_old_file_away_is_a_change() {
    let stage = Stage::empty();
    stage.write("watched/a.yaml", "old");
    stage.until_changed("watched/a.yaml");
    stage.rename("watched/a.yaml", "watched/a.yaml~");
    stage.write("watched/a.yaml", "new");
    std::fs::remove_file(stage.path("watched/a.yaml~")).unwrap();
    let seen = stage.until_changed("watched/a.yaml");
    assert!(!seen.iter().any(|line| line.contains('~')), "{seen:?}");
}

#[test]
fn a_removed_and_a_renamed_file_are_gone_under_their_old_names() {
    let stage = Stage::empty();
    stage.write("watched/a.yaml", "x");
    stage.write("watched/b.yaml", "x");
    stage.until_changed("watched/b.yaml");
    std::fs::remove_file(stage.path("watched/a.yaml")).unwrap();
    stage.until_removed("watched/a.yaml");
    stage.rename("watched/b.yaml", "watched/c.yaml");
    assert_eq!(stage.until_removed("watched/b.yaml"), ["changed watched/c.yaml", "removed watched/b.yaml"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_is_not_reported_while_it_is_being_written() {
    let stage = Stage::empty();
    stage.write("watched/known.yaml", "old");
    stage.until_changed("watched/known.yaml");
    let mut new = std::fs::File::create(stage.path("watched/new.yaml")).unwrap();
    let mut known = OpenOptions::new().append(true).open(stage.path("watched/known.yaml")).unwrap();
    new.write_all(b"half").unwrap();
    known.write_all(b" half").unwrap();
    stage.write("watched/other.yaml", "x");
    assert_eq!(stage.until_changed("watched/other.yaml"), ["changed watched/other.yaml"]);
    drop(new);
    assert_eq!(stage.until_changed("watched/new.yaml"), ["changed watched/new.yaml"]);
    drop(known);
    assert_eq!(stage.until_changed("watched/known.yaml"), ["changed watched/known.yaml"]);
}

#[test]
fn a_second_name_for_a_file_is_reported() {
    let stage = Stage::empty();
    stage.write("source", "x");
    std::fs::hard_link(stage.path("source"), stage.path("watched/a.yaml")).unwrap();
    stage.until_changed("watched/a.yaml");
}

#[test]
fn a_dropped_watch_reports_no_more() {
    let stage = Stage::empty();
    let Stage { root, reports, watch, .. } = stage;
    drop(watch);
    std::fs::write(root.path().join("watched/a.yaml"), "x").unwrap();
    assert!(reports.recv().is_err(), "the callback is gone with the watch");
}
