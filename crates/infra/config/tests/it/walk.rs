//! Every key, set in every way, arrives.

use loom_config::{Config, KeyInfo, Loaded, Source, keys};

use crate::world::World;

/// The name that stands for `*`.
const OWN: &str = "lab";

/// The key's name and the values that must be there for it to mean something.
fn surroundings(key: &KeyInfo) -> (String, Vec<(String, String)>) {
    let name = key.name.replacen('*', OWN, 1);
    let mut others = Vec::new();
    if key.name.starts_with("providers.") && key.name != "providers.*.type" {
        let kind = if key.name.ends_with(".script") { "mock" } else { "openai" };
        others.push((format!("providers.{OWN}.type"), kind.to_owned()));
    }
    if key.name == "llm.model" {
        others.push(("llm.provider".to_owned(), "openai".to_owned()));
    }
    if ["budgets.server.per", "budgets.server.on_exceeded"].contains(&key.name) {
        others.push(("budgets.server.tokens".to_owned(), "5".to_owned()));
    }
    (name, others)
}

/// A file that sets these keys, each on its own path.
fn yaml(pairs: &[(String, String)], is_list: bool) -> String {
    let mut tree = std::collections::BTreeMap::<Vec<&str>, String>::new();
    for (key, value) in pairs {
        tree.insert(key.split('.').collect(), value.clone());
    }
    let mut out = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (path, value) in tree {
        let (last, sections) = path.split_last().unwrap();
        let shared = open.iter().zip(sections).take_while(|(left, right)| left == right).count();
        open.truncate(shared);
        for section in &sections[shared..] {
            out += &"  ".repeat(open.len());
            out += section;
            out += ":\n";
            open.push(section);
        }
        let value = if is_list { format!("[{value}]") } else { value };
        out += &"  ".repeat(open.len());
        out += &[last, ": ", value.as_str(), "\n"].concat();
    }
    out
}

fn assert_arrived(key: &KeyInfo, name: &str, loaded: &Loaded, without: &Config, way: &str) {
    let found = loaded.explain(name).unwrap();
    assert_ne!(found.source, Source::Default, "{name} by {way}");
    let expected = if key.secret { "[redacted]" } else { key.example };
    assert!(found.value.as_deref().unwrap().starts_with(expected), "{name} by {way}: {found}");
    assert_ne!(&loaded.config, without, "{name} by {way} changes nothing in the struct");
}

fn is_list(key: &KeyInfo) -> bool {
    key.shape.starts_with("list")
}

#[test]
fn every_key_in_a_file_arrives() {
    for key in keys() {
        let (name, others) = surroundings(&key);
        let without = World::new().file(yaml(&others, false)).load().config;
        let names = std::iter::once(name.as_str()).chain(key.aliases.iter().copied());
        for written in names {
            let mut pairs = others.clone();
            pairs.push((written.to_owned(), key.example.to_owned()));
            let loaded = World::new().file(yaml(&pairs, is_list(&key))).load();
            assert_arrived(&key, &name, &loaded, &without, "file");
        }
    }
}

#[test]
fn every_key_in_a_profile_of_the_file_arrives() {
    for key in keys() {
        let (name, others) = surroundings(&key);
        let without = World::new().file(yaml(&others, false)).load().config;
        let mut pairs = others;
        pairs.push((name.clone(), key.example.to_owned()));
        let profile = yaml(&pairs, is_list(&key)).replace('\n', "\n    ");
        let file = format!("profiles:\n  qa:\n    {}\n", profile.trim_end());
        assert_arrived(
            &key,
            &name,
            &World::new().file(&file).env("LOOM_ENV", "qa").load(),
            &without,
            "profile",
        );
        let other = World::new().file(&file).load();
        assert_eq!(other.config, World::new().load().config, "{name} in a profile that is not selected");
    }
}

#[test]
fn every_variable_arrives() {
    let mut seen = 0;
    for key in keys() {
        let (name, others) = surroundings(&key);
        let without = World::new().file(yaml(&others, false)).load().config;
        for variable in &key.variables {
            let loaded = World::new().file(yaml(&others, false)).env(variable, key.example).load();
            assert_arrived(&key, &name, &loaded, &without, variable);
            assert!(loaded.notices.is_empty(), "{variable}: {:?}", loaded.notices);
            seen += 1;
        }
        assert_eq!(key.variables.is_empty(), key.name.contains('*'), "{name}");
    }
    assert!(seen > 40);
}

#[test]
fn every_flag_arrives_except_those_of_secrets() {
    for key in keys() {
        let (name, others) = surroundings(&key);
        let world = World::new().file(yaml(&others, false));
        let without = world.load().config;
        let world = world.flag("--set", &name, key.example);
        if key.secret {
            assert!(world.errors().contains("a flag cannot carry a secret"), "{name}");
        } else {
            assert_arrived(&key, &name, &world.load(), &without, "flag");
        }
    }
}

#[test]
fn every_key_refuses_a_value_of_another_shape() {
    for key in keys() {
        let (name, others) = surroundings(&key);
        let mut pairs = others;
        pairs.push((name.clone(), "{a: b}".to_owned()));
        let errors = World::new().file(yaml(&pairs, false)).errors();
        assert!(errors.contains(&format!("`{name}`")), "{name}: {errors}");
        assert!(errors.contains("looms.yaml:"), "{name}: {errors}");
    }
}

#[test]
fn every_key_says_what_it_does() {
    for key in keys() {
        assert!(key.doc.len() > 15 && key.doc.ends_with('.'), "{}: {}", key.name, key.doc);
        assert!(!key.example.is_empty(), "{}", key.name);
        assert_ne!(key.default.as_deref(), Some(key.example), "{} has no example of its own", key.name);
    }
}
