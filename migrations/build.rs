//! Rebuilds the crate when a migration is added: the macro that embeds them does not notice by itself.

fn main() {
    for folder in ["sqlite", "postgres", "spans"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
