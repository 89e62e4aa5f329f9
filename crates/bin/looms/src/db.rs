//! `looms db` on a store that no server uses.

use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use loom_cli::{DbArgs, DbCommand, ExportFile, Exported, Format, Imported, Io, StoreAnswer, show_store};
use loom_embed::SystemClock;
use loom_embed::base::ErrorCode;
use loom_embed::config::Loaded;
use loom_embed::upkeep::{OfflineStore, Restored, restore};
use serde_json::json;

use crate::environment::Process;
use crate::failure::Failure;
use crate::serve::load;

/// Runs one of the commands.
pub(crate) async fn run(
    args: DbArgs,
    process: &Process,
    format: Format,
    io: &mut Io<'_>,
) -> Result<(), Failure> {
    let loaded = load(args.store.config.as_ref(), args.store.settings(), process)?;
    if let DbCommand::Restore { file } = &args.command {
        return put_back(loaded, file, format, io).await;
    }
    let store = match &args.command {
        // What is filled need not be there.
        DbCommand::Import { .. } => OfflineStore::open_or_make(loaded, Arc::new(SystemClock)).await?,
        _ => OfflineStore::open(loaded, Arc::new(SystemClock)).await?,
    };
    let answer = answer(&store, args.command).await;
    store.close().await;
    match answer? {
        Some(answer) => Ok(show_store(&answer, format, io)?),
        None => Ok(()),
    }
}

async fn answer(store: &OfflineStore, command: DbCommand) -> Result<Option<StoreAnswer>, Failure> {
    Ok(Some(match command {
        DbCommand::Status => StoreAnswer::Status(store.describe().await?),
        DbCommand::Verify => StoreAnswer::Verified(store.verify().await?),
        DbCommand::Backup { file } => StoreAnswer::BackedUp(store.back_up(&file).await?),
        DbCommand::Migrate => StoreAnswer::Migrated(store.migrate().await?),
        DbCommand::Export { file } => StoreAnswer::Exported(export(store, &file).await?),
        DbCommand::Import { file } => StoreAnswer::Imported(import(store, &file).await?),
        DbCommand::Vacuum => StoreAnswer::Vacuumed(store.vacuum().await?),
        DbCommand::Cleanup { older_than } => StoreAnswer::CleanedUp(store.clean_up(older_than).await?),
        // It needs the store closed, so it has been run already.
        DbCommand::Restore { .. } => return Ok(None),
    }))
}

async fn export(store: &OfflineStore, path: &Path) -> Result<Exported, Failure> {
    let mut file = ExportFile::create(path)?;
    let mut export = store.export().await?;
    while let Some(lines) = export.next().await? {
        file.add(&lines)?;
    }
    Ok(file.finish()?)
}

async fn import(store: &OfflineStore, path: &Path) -> Result<Imported, Failure> {
    let file = std::fs::File::open(path).map_err(|error| {
        Failure::new(ErrorCode::BackupNotFound, format!("{} cannot be read: {error}", path.display()))
    })?;
    let moved = store.import(&mut BufReader::new(file)).await?;
    let tables = moved.tables.into_iter().map(|count| (count.table.to_owned(), count.rows)).collect();
    Ok(Imported { tables, digest: moved.digest.to_string() })
}

async fn put_back(loaded: Loaded, file: &Path, format: Format, io: &mut Io<'_>) -> Result<(), Failure> {
    let Restored { database, replaced, bytes } = restore(loaded, file, Arc::new(SystemClock)).await?;
    match format {
        Format::Text => {
            writeln!(io.out, "{} is restored, {bytes} bytes", database.display())?;
            if let Some(replaced) = &replaced {
                writeln!(io.out, "what was there is kept as {}", replaced.display())?;
            }
        }
        Format::Json => {
            let document = json!({ "database": database, "replaced": replaced, "bytes": bytes.to_string() });
            writeln!(io.out, "{document:#}")?;
        }
    }
    Ok(())
}
