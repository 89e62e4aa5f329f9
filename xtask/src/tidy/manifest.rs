//! What a member's `Cargo.toml` must hold.

/// The crate that needs lints of its own: its code is generated.
const OWN_LINTS: &str = "crates/server/proto/Cargo.toml";

/// Everything wrong in the manifest `name` that holds `text`.
pub(super) fn violations(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut section = "";
    let mut has_lints = false;
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            if section.contains("dependencies.") {
                found.push(format!(
                    "{name}:{}: write the dependency on one line, `name.workspace = true`",
                    index + 1
                ));
            }
            has_lints |= section == "lints" || section.starts_with("lints.");
            continue;
        }
        let declares = section.ends_with("dependencies") && line.contains('=') && !line.starts_with('#');
        // What stands in for another under its name cannot be in the table, which has the other.
        let stands_in = name.starts_with("interleavings/") && line.contains("package = \"shuttle-tokio\"");
        if declares && !stands_in && !line.contains("workspace = true") {
            let what = line.split(['=', ' ', '.']).next().unwrap_or(line);
            found.push(format!("{name}:{}: {what} is not taken from the workspace's table", index + 1));
        }
    }
    let inherits = text.replace(' ', "").contains("[lints]\nworkspace=true");
    let brings_own = name == OWN_LINTS && has_lints;
    if !inherits && !brings_own {
        found.push(format!("{name}: does not inherit the workspace's lints"));
    }
    found
}
