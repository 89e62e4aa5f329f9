//! How folders come and go.

use super::Stage;

#[test]
fn a_new_folder_is_watched_with_all_that_came_with_it() {
    let stage = Stage::empty();
    std::fs::create_dir_all(stage.path("watched/deep/deeper")).unwrap();
    stage.write("watched/deep/deeper/a.yaml", "x");
    stage.until_changed("watched/deep/deeper/a.yaml");
    stage.write("watched/deep/b.yaml", "x");
    stage.until_changed("watched/deep/b.yaml");
}

#[test]
fn a_folder_moved_in_and_out_takes_its_files_along() {
    let stage = Stage::empty();
    std::fs::create_dir(stage.path("outside")).unwrap();
    stage.write("outside/a.yaml", "x");
    stage.rename("outside", "watched/inside");
    stage.until_changed("watched/inside/a.yaml");
    stage.write("watched/inside/b.yaml", "x");
    stage.until_changed("watched/inside/b.yaml");
    stage.rename("watched/inside", "outside");
    stage.until_removed("watched/inside/b.yaml");
}

#[test]
fn a_folder_that_is_not_there_yet_is_seen_when_it_comes() {
    let stage = Stage::set(|_| {});
    assert!(stage.found.is_empty());
    std::fs::create_dir(stage.path("watched")).unwrap();
    stage.write("watched/a.yaml", "x");
    stage.until_changed("watched/a.yaml");
    stage.write("watched/b.yaml", "x");
    stage.until_changed("watched/b.yaml");
}

#[test]
fn a_deleted_folder_is_empty_and_is_watched_again_when_it_returns() {
    let stage = Stage::empty();
    for _ in 0..3 {
        stage.write("watched/a.yaml", "x");
        stage.until_changed("watched/a.yaml");
        std::fs::remove_dir_all(stage.path("watched")).unwrap();
        stage.until_removed("watched/a.yaml");
        std::fs::create_dir(stage.path("watched")).unwrap();
    }
}

#[test]
fn a_folder_replaced_by_another_is_the_other_from_then_on() {
    let stage = Stage::empty();
    stage.write("watched/old.yaml", "x");
    stage.until_changed("watched/old.yaml");
    std::fs::create_dir(stage.path("next")).unwrap();
    stage.write("next/new.yaml", "x");
    stage.rename("watched", "last");
    stage.rename("next", "watched");
    let mut seen = stage.until_changed("watched/new.yaml");
    if !seen.iter().any(|line| line == "removed watched/old.yaml") {
        seen = stage.until_removed("watched/old.yaml");
    }
    assert!(!seen.is_empty());
    stage.write("last/ignored.yaml", "x");
    stage.write("watched/newer.yaml", "x");
    let seen = stage.until_changed("watched/newer.yaml");
    assert!(!seen.iter().any(|line| line.contains("ignored")), "{seen:?}");
}

#[test]
fn overlapping_folders_are_watched_both() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("a/b")).unwrap();
    let (outbox, reports) = std::sync::mpsc::channel();
    let folders = [root.path().join("a/b"), root.path().join("a")];
    let (_watch, _) =
        loom_files::Watch::start(folders, &["yaml"], move |changes| outbox.send(changes).unwrap()).unwrap();
    for name in ["a/b/x.yaml", "a/y.yaml"] {
        std::fs::write(root.path().join(name), "x").unwrap();
        let changes = reports.recv_timeout(super::HANGS).unwrap();
        assert_eq!(changes.changed, [root.path().join(name)]);
    }
}
