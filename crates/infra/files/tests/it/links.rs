//! Links, inside the folder and out of it.

use std::os::unix::fs::symlink;

use super::Stage;

#[test]
fn a_link_that_leaves_the_folder_is_not_followed() {
    let stage = Stage::set(|root| {
        std::fs::create_dir_all(root.join("watched")).unwrap();
        std::fs::create_dir_all(root.join("outside")).unwrap();
        std::fs::write(root.join("outside/secret.yaml"), "x").unwrap();
        symlink("../outside/secret.yaml", root.join("watched/a.yaml")).unwrap();
        symlink("../outside", root.join("watched/deep")).unwrap();
    });
    assert!(stage.found.is_empty(), "{:?}", stage.found);
    symlink("../outside/secret.yaml", stage.path("watched/b.yaml")).unwrap();
    stage.write("outside/secret.yaml", "y");
    stage.write("watched/c.yaml", "x");
    assert_eq!(stage.until_changed("watched/c.yaml"), ["changed watched/c.yaml"]);
}

#[test]
fn a_link_inside_the_folder_follows_its_target() {
    let stage = Stage::empty();
    stage.write("watched/target.txt", "x");
    symlink("target.txt", stage.path("watched/a.yaml")).unwrap();
    stage.until_changed("watched/a.yaml");
    stage.write("watched/target.txt", "longer");
    stage.until_changed("watched/a.yaml");
}

#[test]
fn a_folder_that_is_swapped_by_one_link_as_kubernetes_does_is_reported() {
    let stage = Stage::set(|root| {
        std::fs::create_dir_all(root.join("watched/..one")).unwrap();
        std::fs::write(root.join("watched/..one/a.yaml"), "x").unwrap();
        symlink("..one", root.join("watched/..data")).unwrap();
        symlink("..data/a.yaml", root.join("watched/a.yaml")).unwrap();
    });
    assert_eq!(stage.found.iter().collect::<Vec<_>>(), ["watched/a.yaml"]);
    std::fs::create_dir(stage.path("watched/..two")).unwrap();
    stage.write("watched/..two/a.yaml", "y");
    symlink("..two", stage.path("watched/..data_tmp")).unwrap();
    stage.rename("watched/..data_tmp", "watched/..data");
    assert_eq!(stage.until_changed("watched/a.yaml"), ["changed watched/a.yaml"]);
}

#[test]
fn the_watched_folder_may_itself_be_a_link() {
    let stage = Stage::set(|root| {
        std::fs::create_dir(root.join("real")).unwrap();
        symlink("real", root.join("watched")).unwrap();
        std::fs::write(root.join("real/a.yaml"), "x").unwrap();
    });
    assert_eq!(stage.found.iter().collect::<Vec<_>>(), ["watched/a.yaml"]);
    stage.write("real/b.yaml", "x");
    stage.until_changed("watched/b.yaml");
}
