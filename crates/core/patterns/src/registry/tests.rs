//! What a change does to the snapshot, and what it leaves alone.

use super::*;

fn change(file: &str, text: &str) -> Change {
    Change { layer: Layer::Folder, file: file.into(), text: FileText::Is(text.into()) }
}

fn titles(registry: &Registry) -> Vec<String> {
    registry.snapshot().iter().map(|pattern| format!("{}={}", pattern.name, pattern.title)).collect()
}

#[test]
fn only_what_changed_is_parsed_and_the_report_says_what_did() {
    let registry = Registry::default();
    let both = [change("a.yaml", "name: a\ntitle: one"), change("b.yaml", "name: b\ntitle: one")];
    let first = registry.apply(both.clone());
    assert_eq!((first.loaded, first.parsed, first.changed), (2, 2, vec!["a".to_owned(), "b".to_owned()]));

    let held = registry.snapshot();
    let [_, b] = both;
    let second = registry.apply([change("a.yaml", "name: a\ntitle: two"), b]);
    assert_eq!((second.loaded, second.parsed, second.changed), (2, 1, vec!["a".to_owned()]));
    assert_eq!(titles(&registry), ["a=two", "b=one"]);
    assert_eq!(held.get("a").unwrap().title, "one", "a snapshot in use does not change");
    assert_ne!(held.digest(), registry.snapshot().digest());

    let third =
        registry.apply([Change { layer: Layer::Folder, file: "b.yaml".into(), text: FileText::Gone }]);
    assert_eq!((third.loaded, third.removed), (1, vec!["b".to_owned()]));
    assert_eq!(registry.files(Layer::Folder), ["a.yaml".into()]);
}

#[test]
fn a_broken_file_keeps_its_old_version_until_it_is_mended() {
    let registry = Registry::default();
    registry.apply([change("a.yaml", "name: a\ntitle: good")]);
    let digest = registry.snapshot().digest();

    let report = registry.apply([change("a.yaml", "name: a\ntitel: bad"), change("b.yaml", "name: b")]);
    assert_eq!(titles(&registry), ["a=good", "b="]);
    let errors: Vec<_> = report.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["a.yaml:2:1: unknown key `titel`; did you mean `title`?"]);
    assert_eq!(registry.apply([]).errors, report.errors, "reported while it stays broken");

    registry.apply([Change { layer: Layer::Folder, file: "b.yaml".into(), text: FileText::Gone }]);
    assert_eq!(registry.snapshot().digest(), digest, "the broken text is not in use");
    let mended = registry.apply([change("a.yaml", "name: a\ntitle: better")]);
    assert_eq!((mended.errors.len(), titles(&registry)), (0, vec!["a=better".to_owned()]));
}

#[test]
fn a_folder_overrides_what_is_built_in_and_gives_it_back() {
    let (registry, report) = Registry::with_built_in([("x/a.yaml", "name: a\ntitle: built in")]);
    assert_eq!(report.errors, []);
    registry.apply([change("mine.yaml", "name: a\ntitle: mine")]);
    assert_eq!(titles(&registry), ["a=mine"]);
    let report =
        registry.apply([Change { layer: Layer::Folder, file: "mine.yaml".into(), text: FileText::Gone }]);
    assert_eq!((titles(&registry), report.changed), (vec!["a=built in".to_owned()], vec!["a".to_owned()]));
}

#[test]
fn two_files_with_one_name_are_reported_whatever_their_order() {
    for order in [["a.yaml", "b.yaml"], ["b.yaml", "a.yaml"]] {
        let registry = Registry::default();
        let report = registry.apply(order.map(|file| change(file, &format!("name: x\ntitle: {file}"))));
        assert_eq!(titles(&registry), ["x=a.yaml"]);
        let [error] = report.errors.as_slice() else { panic!("one error") };
        assert_eq!(&*error.file, "b.yaml");
        assert!(error.message.contains("already defined in a.yaml"), "{error}");
    }
}

#[test]
fn a_copy_does_not_take_the_place_of_the_file_in_use() {
    let registry = Registry::default();
    registry.apply([change("b.yaml", "name: x\ntitle: mine")]);
    let report = registry.apply([change("a.yaml", "name: x\ntitle: copy")]);
    assert_eq!(titles(&registry), ["x=mine"]);
    let errors: Vec<_> = report.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["a.yaml: pattern `x` is already defined in b.yaml; this one is not used"]);
    registry.apply([Change { layer: Layer::Folder, file: "b.yaml".into(), text: FileText::Gone }]);
    assert_eq!(titles(&registry), ["x=copy"]);
}

#[test]
fn a_search_needs_no_preparation() {
    let files = [change("a.yaml", "name: a\ntitle: Top customers"), change("b.yaml", "name: b\ntitle: Rows")];
    let [prepared, other] = [Registry::default(), Registry::default()].map(|registry| {
        registry.apply(files.clone());
        registry.snapshot()
    });
    prepared.prepare();
    let found = other.search("top customers", 5);
    assert_eq!(found.first().map(|found| found.pattern.name.as_str()), Some("a"));
    assert_eq!(found, prepared.search("top customers", 5));
}
