//! `looms db`: what is answered about a store, by a server or by the binary itself.

mod file;

use std::path::Path;

use loom_base::ErrorCode;
use loom_grpc::Client;
use loom_proto::v1::{
    BackUpStoreRequest, BackUpStoreResponse, CleanUpStoreRequest, CleanUpStoreResponse, DescribeStoreRequest,
    DescribeStoreResponse, MigrateStoreRequest, MigrateStoreResponse, VacuumStoreRequest,
    VacuumStoreResponse, VerifyStoreRequest, VerifyStoreResponse,
};

pub use file::{ExportFile, Exported};

use crate::render::store;
use serde_json::json;

use crate::{DbCommand, Error, Format, Io, json};

/// What is answered about a store.
#[derive(Clone, Debug)]
pub enum StoreAnswer {
    /// To `status`.
    Status(DescribeStoreResponse),
    /// To `verify`.
    Verified(VerifyStoreResponse),
    /// To `backup`.
    BackedUp(BackUpStoreResponse),
    /// To `migrate`.
    Migrated(MigrateStoreResponse),
    /// To `export`.
    Exported(Exported),
    /// To `import`.
    Imported(Imported),
    /// To `vacuum`.
    Vacuumed(VacuumStoreResponse),
    /// To `cleanup`.
    CleanedUp(CleanUpStoreResponse),
}

/// What was put into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The rows of each table.
    pub tables: Vec<(String, u64)>,
    /// The digest of all of it.
    pub digest: String,
}

/// Has the server do what `command` says.
pub(crate) async fn ask(client: &Client, command: DbCommand) -> Result<StoreAnswer, Error> {
    Ok(match command {
        DbCommand::Status => StoreAnswer::Status(client.describe_store(DescribeStoreRequest {}).await?),
        DbCommand::Verify => StoreAnswer::Verified(client.verify_store(VerifyStoreRequest {}).await?),
        DbCommand::Backup { file } => {
            let request = BackUpStoreRequest { name: name_of(&file)? };
            StoreAnswer::BackedUp(client.back_up_store(request).await?)
        }
        DbCommand::Restore { .. } => {
            let message = "a store is restored while no server uses it: stop the server, and leave out --online \
                           and --server";
            return Err(loom_grpc::Error::new(ErrorCode::InvalidArgument, message).into());
        }
        DbCommand::Migrate => StoreAnswer::Migrated(client.migrate_store(MigrateStoreRequest {}).await?),
        DbCommand::Export { file } => {
            let mut export = ExportFile::create(&file)?;
            client.export_store(|lines| export.add(lines)).await?;
            StoreAnswer::Exported(export.finish()?)
        }
        DbCommand::Import { .. } => {
            let message = "a store is filled while no server uses it: stop the server, and leave out --online and \
                           --server";
            return Err(loom_grpc::Error::new(ErrorCode::InvalidArgument, message).into());
        }
        DbCommand::Vacuum => StoreAnswer::Vacuumed(client.vacuum_store(VacuumStoreRequest {}).await?),
        DbCommand::Cleanup { older_than } => {
            let older_than_days = i32::try_from(older_than).unwrap_or(i32::MAX);
            StoreAnswer::CleanedUp(client.clean_up_store(CleanUpStoreRequest { older_than_days }).await?)
        }
    })
}

/// The name as the server takes it; whether it is one, the server says.
fn name_of(file: &Path) -> Result<String, Error> {
    let text = file.to_str().ok_or_else(|| {
        loom_grpc::Error::new(ErrorCode::InvalidArgument, "the name of the backup is not UTF-8")
    })?;
    Ok(text.to_owned())
}

/// Tells an answer about a store. One that says that something is wrong is a failure, after it is told.
pub fn show_store(answer: &StoreAnswer, format: Format, io: &mut Io<'_>) -> Result<(), Error> {
    match format {
        Format::Json => match answer {
            StoreAnswer::Status(answer) => json::print(io.out, answer, "DescribeStoreResponse")?,
            StoreAnswer::Verified(answer) => json::print(io.out, answer, "VerifyStoreResponse")?,
            StoreAnswer::BackedUp(answer) => json::print(io.out, answer, "BackUpStoreResponse")?,
            StoreAnswer::Migrated(answer) => json::print(io.out, answer, "MigrateStoreResponse")?,
            StoreAnswer::Exported(Exported { path, bytes, rows, digest }) => {
                let document = json!({
                    "path": path, "bytes": bytes.to_string(), "rows": rows.to_string(), "digest": digest,
                });
                writeln!(io.out, "{document:#}")?;
            }
            StoreAnswer::Imported(Imported { tables, digest }) => {
                let rows: serde_json::Map<_, _> =
                    tables.iter().map(|(table, rows)| (table.clone(), rows.to_string().into())).collect();
                writeln!(io.out, "{:#}", json!({ "rows": rows, "digest": digest }))?;
            }
            StoreAnswer::Vacuumed(answer) => json::print(io.out, answer, "VacuumStoreResponse")?,
            StoreAnswer::CleanedUp(answer) => json::print(io.out, answer, "CleanUpStoreResponse")?,
        },
        Format::Text => store::answer(answer, io.style, io.out)?,
    }
    match answer {
        StoreAnswer::Verified(answer) if answer.violation_count > 0 => {
            Err(Error::Violations { count: answer.violation_count })
        }
        _ => Ok(()),
    }
}
