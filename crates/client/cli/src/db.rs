//! `looms db`: what is answered about a store, by a server or by the binary itself.

use std::path::Path;

use loom_base::ErrorCode;
use loom_grpc::Client;
use loom_proto::v1::{
    BackUpStoreRequest, BackUpStoreResponse, CleanUpStoreRequest, CleanUpStoreResponse, DescribeStoreRequest,
    DescribeStoreResponse, VacuumStoreRequest, VacuumStoreResponse, VerifyStoreRequest, VerifyStoreResponse,
};

use crate::render::store;
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
    /// To `vacuum`.
    Vacuumed(VacuumStoreResponse),
    /// To `cleanup`.
    CleanedUp(CleanUpStoreResponse),
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
