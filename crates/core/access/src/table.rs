//! The authorisation table: what each RPC does, to what.

use crate::{Action, ResourceKind};

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The RPC, as `package.Service/Method`: a gRPC path without its leading slash.
    pub rpc: &'static str,
    /// What it does.
    pub action: Action,
    /// To what kind of thing.
    pub kind: ResourceKind,
}

const fn row(rpc: &'static str, action: Action, kind: ResourceKind) -> Entry {
    Entry { rpc, action, kind }
}

const TABLE: &[Entry] = &[
    row("loom.v1.LoomService/Weave", Action::Run, ResourceKind::Agent),
    row("loom.v1.LoomService/StreamWeave", Action::Run, ResourceKind::Agent),
    row("loom.v1.LoomService/StreamChat", Action::Run, ResourceKind::Agent),
    row("loom.v1.LoomService/StreamTurn", Action::Read, ResourceKind::Turn),
    row("loom.v1.LoomService/CancelTurn", Action::Update, ResourceKind::Turn),
    row("loom.v1.LoomService/ListTurns", Action::Read, ResourceKind::Turn),
    row("loom.v1.LoomService/ListEffects", Action::Read, ResourceKind::Effect),
    row("loom.v1.LoomService/ResolveEffect", Action::Update, ResourceKind::Effect),
    row("loom.v1.LoomService/ListApprovals", Action::Read, ResourceKind::Approval),
    row("loom.v1.LoomService/AnswerApproval", Action::Update, ResourceKind::Approval),
    row("loom.v1.LoomService/AnswerClarificationQuestion", Action::Update, ResourceKind::Turn),
    row("loom.v1.LoomService/ListBudgets", Action::Read, ResourceKind::Budget),
    row("loom.v1.LoomService/CreateSession", Action::Create, ResourceKind::Session),
    row("loom.v1.LoomService/GetSession", Action::Read, ResourceKind::Session),
    row("loom.v1.LoomService/ListSessions", Action::Read, ResourceKind::Session),
    row("loom.v1.LoomService/DeleteSession", Action::Delete, ResourceKind::Session),
    row("loom.v1.LoomService/ReplaySession", Action::Read, ResourceKind::Session),
    row("loom.v1.LoomService/ForkSession", Action::Create, ResourceKind::Session),
    row("loom.v1.LoomService/GetConversationHistory", Action::Read, ResourceKind::Session),
    row("loom.v1.LoomService/CreateAgentFromConfig", Action::Create, ResourceKind::Agent),
    row("loom.v1.LoomService/CreateAgent", Action::Create, ResourceKind::Agent),
    row("loom.v1.LoomService/ListAgents", Action::Read, ResourceKind::Agent),
    row("loom.v1.LoomService/GetAgent", Action::Read, ResourceKind::Agent),
    row("loom.v1.LoomService/ReloadAgent", Action::Update, ResourceKind::Agent),
    row("loom.v1.LoomService/DeleteAgent", Action::Delete, ResourceKind::Agent),
    row("loom.v1.LoomService/ListPatterns", Action::Read, ResourceKind::Pattern),
    row("loom.v1.LoomService/GetPattern", Action::Read, ResourceKind::Pattern),
    row("loom.v1.LoomService/ReloadPatterns", Action::Update, ResourceKind::Pattern),
    row("loom.v1.LoomService/LoadPatterns", Action::Update, ResourceKind::Pattern),
    row("loom.v1.LoomService/CreatePattern", Action::Create, ResourceKind::Pattern),
    row("loom.v1.LoomService/StreamPatternUpdates", Action::Read, ResourceKind::Pattern),
    row("loom.v1.LoomService/ListTools", Action::Read, ResourceKind::Tool),
    row("loom.v1.LoomService/GetTrace", Action::Read, ResourceKind::Trace),
    row("loom.v1.LoomService/GetHealth", Action::Read, ResourceKind::Server),
    row("loom.v1.LoomService/GetServerConfig", Action::Read, ResourceKind::Server),
    row("loom.v1.LoomService/GetStorageStatus", Action::Read, ResourceKind::Storage),
    row("loom.v1.LoomService/DescribeStore", Action::Read, ResourceKind::Storage),
    row("loom.v1.LoomService/VerifyStore", Action::Read, ResourceKind::Storage),
    row("loom.v1.LoomService/BackUpStore", Action::Create, ResourceKind::Storage),
    row("loom.v1.LoomService/VacuumStore", Action::Update, ResourceKind::Storage),
    row("loom.v1.LoomService/MigrateStore", Action::Update, ResourceKind::Storage),
    row("loom.v1.LoomService/ExportStore", Action::Read, ResourceKind::Storage),
    row("loom.v1.LoomService/CleanUpStore", Action::Delete, ResourceKind::Storage),
];

/// The whole table. An RPC that is not in it is nobody's to call.
pub const fn table() -> &'static [Entry] {
    TABLE
}

/// The row of `path`, with or without its leading slash.
pub fn entry(path: &str) -> Option<&'static Entry> {
    let rpc = path.strip_prefix('/').unwrap_or(path);
    TABLE.iter().find(|entry| entry.rpc == rpc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_rpc_has_one_row() {
        let rpcs: BTreeSet<_> = table().iter().map(|entry| entry.rpc).collect();
        assert_eq!(rpcs.len(), table().len());
    }

    #[test]
    fn a_grpc_path_finds_its_row_and_an_unknown_one_does_not() {
        assert_eq!(entry("/loom.v1.LoomService/Weave").map(|entry| entry.action), Some(Action::Run));
        assert_eq!(entry("loom.v1.LoomService/Weave").map(|entry| entry.kind), Some(ResourceKind::Agent));
        assert_eq!(entry("loom.v1.LoomService/DropEverything"), None);
    }
}
