//! The allowed edges between layers, and the crates that own a dependency from elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use super::graph::{Crate, Dependency, Kind};

/// The adapters that other adapters are built on.
const SHARED_INFRA: [&str; 3] = ["loom-http-client", "loom-circuit-breaker", "loom-store-sql"];

/// Where a crate stands. The variants are in the order of the house, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Migrations,
    PatternLibrary,
    Core,
    Infra,
    Domain,
    Server,
    Client,
    Embed,
    Bin,
    Testkit,
    Xtask,
    BenchServer,
    Interleavings,
}

impl Layer {
    fn of(folder: &str) -> Option<Self> {
        let parts: Vec<&str> = folder.split('/').collect();
        match parts.as_slice() {
            ["migrations"] => Some(Self::Migrations),
            ["patterns"] => Some(Self::PatternLibrary),
            ["xtask"] => Some(Self::Xtask),
            ["xtask", "bench-server"] => Some(Self::BenchServer),
            ["interleavings", _] => Some(Self::Interleavings),
            ["crates", "embed"] => Some(Self::Embed),
            ["crates", "testkit"] => Some(Self::Testkit),
            ["crates", "core", _] => Some(Self::Core),
            ["crates", "infra", _] => Some(Self::Infra),
            ["crates", "domain", _] => Some(Self::Domain),
            ["crates", "server", _] => Some(Self::Server),
            ["crates", "client", _] => Some(Self::Client),
            ["crates", "bin", _] => Some(Self::Bin),
            _ => None,
        }
    }
}

/// What is wrong and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Broken {
    rule: &'static str,
    cure: &'static str,
}

/// One edge, or one crate, that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    subject: String,
    broken: Broken,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  rule: {}\n  cure: {}", self.subject, self.broken.rule, self.broken.cure)
    }
}

/// Everything in `crates` that breaks a rule.
pub(super) fn violations(crates: &[Crate]) -> Vec<Violation> {
    let by_name: BTreeMap<&str, &Crate> = crates.iter().map(|one| (one.name.as_str(), one)).collect();
    let mut found = Vec::new();
    for from in crates {
        if let Some(broken) = misplaced(from) {
            found.push(Violation { subject: format!("{} ({})", from.name, from.folder), broken });
        }
        for dependency in &from.dependencies {
            let broken = match by_name.get(dependency.name.as_str()) {
                Some(to) => forbidden(from, to, dependency.kind),
                None => foreign(from, dependency),
            };
            let Some(broken) = broken else { continue };
            let note = if dependency.kind == Kind::Dev { " (dev)" } else { "" };
            found.push(Violation { subject: format!("{} -> {}{note}", from.name, dependency.name), broken });
        }
    }
    found
}

/// A crate must stand in a layer and be named after its folder.
fn misplaced(one: &Crate) -> Option<Broken> {
    let Some(layer) = Layer::of(&one.folder) else {
        return Some(Broken {
            rule: "every crate stands in the folder of a layer",
            cure: "move it under crates/{core,infra,domain,server,client,bin}, one level deep",
        });
    };
    let last = one.folder.rsplit('/').next().unwrap_or_default();
    let named_right = match layer {
        Layer::Bin | Layer::Xtask | Layer::BenchServer => one.name == last,
        Layer::PatternLibrary => one.name == "loom-pattern-library",
        Layer::Interleavings => one.name.strip_prefix("loom-interleavings-") == Some(last),
        _ => one.name.strip_prefix("loom-") == Some(last),
    };
    (!named_right).then_some(Broken {
        rule: "a package is named loom-<folder>, a binary after its folder",
        cure: "rename the package or the folder",
    })
}

/// Why `from` may not depend on `to`, if it may not.
fn forbidden(from: &Crate, to: &Crate, kind: Kind) -> Option<Broken> {
    let (upper, lower) = (Layer::of(&from.folder)?, Layer::of(&to.folder)?);
    (!is_allowed(from, upper, to, lower, kind)).then(|| rule_broken_by(upper, lower))
}

/// The table of edges.
fn is_allowed(from: &Crate, upper: Layer, to: &Crate, lower: Layer, kind: Kind) -> bool {
    let dev = kind == Kind::Dev;
    match (upper, lower) {
        (_, Layer::Xtask | Layer::BenchServer | Layer::Interleavings) => false,
        (Layer::BenchServer, _) => matches!(lower, Layer::Core | Layer::Embed),
        (Layer::Testkit, _) => true,
        (_, Layer::Testkit) => dev && upper != Layer::Core,
        (_, Layer::Migrations) => from.name.starts_with("loom-store-"),
        (_, Layer::PatternLibrary) => upper == Layer::Embed || (upper == Layer::Infra && dev),
        (Layer::Migrations | Layer::PatternLibrary, _) => dev && lower == Layer::Core,
        (Layer::Infra, Layer::Infra) => SHARED_INFRA.contains(&to.name.as_str()),
        (Layer::Xtask | Layer::Core | Layer::Infra | Layer::Interleavings, _) => lower == Layer::Core,
        (Layer::Domain, _) => matches!(lower, Layer::Core | Layer::Domain),
        (Layer::Server, _) => matches!(lower, Layer::Core | Layer::Domain | Layer::Server),
        (Layer::Client, Layer::Server) => to.name == "loom-proto",
        (Layer::Client, _) => matches!(lower, Layer::Core | Layer::Client),
        (Layer::Embed, _) => !matches!(lower, Layer::Embed | Layer::Bin),
        (Layer::Bin, Layer::Server) => from.name == "loom-mcp" && to.folder == "crates/server/mcp",
        (Layer::Bin, _) => matches!(lower, Layer::Embed | Layer::Client),
    }
}

/// The rule that an edge breaks which the table does not allow.
fn rule_broken_by(upper: Layer, lower: Layer) -> Broken {
    let (rule, cure) = match (upper, lower) {
        (_, Layer::Xtask | Layer::BenchServer | Layer::Interleavings) => {
            ("nothing depends on xtask or interleavings", "move what is shared into crates/core")
        }
        (Layer::BenchServer, _) => ("the bench server uses embed and core", "go through embed"),
        (_, Layer::Testkit) => {
            ("testkit is a dev-dependency, and never one of core", "put it under [dev-dependencies]")
        }
        (_, Layer::Migrations) => ("only the stores use the migrations", "go through a store"),
        (_, Layer::PatternLibrary) => {
            ("embed embeds the pattern library; infra may test with it", "take `patterns::Source` instead")
        }
        (Layer::Migrations | Layer::PatternLibrary | Layer::Testkit, _) => {
            ("migrations and patterns are leaves; their tests may use core", "keep them data only")
        }
        (Layer::Xtask, _) => ("xtask uses core only", "read the crate's files instead of linking it"),
        (Layer::Interleavings, _) => (
            "interleavings use core, as the crates do whose sources they compile",
            "test that in the crate itself",
        ),
        (Layer::Core, _) => {
            ("core depends on core only", "declare a trait in core and let the crate above implement it")
        }
        (Layer::Infra, _) => (
            "infra depends on core, http-client, circuit-breaker and store-sql only",
            "share through a trait in core; infra and domain meet in embed",
        ),
        (Layer::Domain, _) => (
            "domain depends on core and domain only",
            "take a core trait (a resolver) and let embed hand in the adapter",
        ),
        (Layer::Server, _) => {
            ("server depends on core, domain and server only", "take a core trait that embed implements")
        }
        (Layer::Client, _) => {
            ("client depends on core, client and server/proto only", "ask the server for it over the wire")
        }
        (Layer::Embed, _) => ("embed stands below the binaries", "turn the edge round"),
        (Layer::Bin, _) => (
            "a binary depends on embed and client only",
            "let embed re-export or do it: a binary parses arguments and manages its process",
        ),
    };
    Broken { rule, cure }
}

/// Why `from` may not use a dependency from elsewhere, if it may not.
fn foreign(from: &Crate, dependency: &Dependency) -> Option<Broken> {
    let layer = Layer::of(&from.folder)?;
    let name = dependency.name.as_str();
    let family =
        |owner: &str| name == owner || name.strip_prefix(owner).is_some_and(|rest| rest.starts_with('-'));
    if layer == Layer::Testkit {
        return None;
    }
    if family("sqlx") {
        let owns = from.name.starts_with("loom-store-")
            || from.name == "loom-interleavings-store-sql"
            || layer == Layer::Migrations
            || from.name == "loom-fabric-sql";
        return unless(
            owns,
            "sqlx belongs to the stores, the migrations and fabric-sql",
            "go through a store trait",
        );
    }
    if family("tonic") {
        let owns = matches!(layer, Layer::Server | Layer::Client | Layer::Embed)
            || from.name == "loom-fabric-grpc"
            || (layer == Layer::Xtask && name == "tonic-prost-build");
        return unless(
            owns,
            "tonic belongs to server, client, embed and fabric-grpc",
            "use loom-api or loom-grpc",
        );
    }
    if family("axum") {
        let owns = matches!(layer, Layer::Server | Layer::Embed);
        return unless(owns, "axum belongs to server and embed", "add the route in loom-api");
    }
    if family("reqwest") {
        let owns = from.name == "loom-http-client";
        return unless(owns, "reqwest belongs to http-client", "send requests through loom-http-client");
    }
    if name.starts_with("opentelemetry") || name == "tracing-opentelemetry" {
        let owns = from.name == "loom-tracer";
        return unless(owns, "opentelemetry belongs to tracer", "use the tracing facade");
    }
    if family("anyhow") {
        let owns =
            matches!(layer, Layer::Bin | Layer::Xtask | Layer::BenchServer) || dependency.kind == Kind::Dev;
        return unless(owns, "anyhow belongs to binaries, xtask and tests", "give the crate an error type");
    }
    None
}

fn unless(owns: bool, rule: &'static str, cure: &'static str) -> Option<Broken> {
    (!owns).then_some(Broken { rule, cure })
}
