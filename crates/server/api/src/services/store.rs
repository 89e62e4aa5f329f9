//! Looking after the store.

use std::path::{Component, Path, PathBuf};

use loom_base::ErrorCode;
use loom_proto::v1::{
    BackUpStoreRequest, BackUpStoreResponse, CleanUpStoreRequest, CleanUpStoreResponse,
    DescribeStoreResponse, ExportStoreResponse, MigrateStoreResponse, VacuumStoreResponse,
    VerifyStoreResponse,
};
use loom_runtime::days_before;

use super::convert::{invalid, positive};
use super::{ExportStream, LoomApi};
use crate::{Failure, store};

/// The longest name of a backup, in bytes: file systems take no more than 255, and a suffix is added meanwhile.
const MAX_NAME_BYTES: usize = 200;

impl LoomApi {
    pub(super) async fn store_describe(&self) -> Result<DescribeStoreResponse, Failure> {
        Ok(store::describe(&self.runtime.upkeep()).await?)
    }

    pub(super) async fn store_verify(&self) -> Result<VerifyStoreResponse, Failure> {
        Ok(store::verify(&self.runtime.upkeep()).await?)
    }

    pub(super) async fn store_back_up(
        &self,
        request: &BackUpStoreRequest,
    ) -> Result<BackUpStoreResponse, Failure> {
        let folder = self.backup_dir.as_ref().ok_or_else(|| {
            let message = "this server has no folder for backups: set `backup_dir` in its configuration";
            Failure::new(ErrorCode::PermissionDenied, message)
        })?;
        let file = backup_file(folder, &request.name)?;
        make_private(folder).map_err(|error| {
            let message = format!("the folder {} cannot be made: {error}", folder.display());
            Failure::new(ErrorCode::StoreUnavailable, message)
        })?;
        Ok(store::back_up(&self.runtime.upkeep(), &file).await?)
    }

    pub(super) async fn store_migrate(&self) -> Result<MigrateStoreResponse, Failure> {
        Ok(store::migrate(&self.runtime.upkeep()).await?)
    }

    /// Begins before the answer does, so that a store that does not answer is told by the status.
    pub(super) async fn store_export(&self) -> Result<ExportStream, Failure> {
        let mut export = self.runtime.upkeep().export().await?;
        Ok(Box::pin(async_stream::try_stream! {
            while let Some(lines) = export.next().await.map_err(Failure::from)? {
                yield ExportStoreResponse { lines };
            }
        }))
    }

    pub(super) async fn store_vacuum(&self) -> Result<VacuumStoreResponse, Failure> {
        Ok(store::vacuum(&self.runtime.upkeep()).await?)
    }

    pub(super) async fn store_clean_up(
        &self,
        request: &CleanUpStoreRequest,
    ) -> Result<CleanUpStoreResponse, Failure> {
        let days = positive("older_than_days", request.older_than_days)?
            .ok_or_else(|| invalid("older_than_days", "say after how many days: at least 1"))?;
        let removed = self.runtime.clean_up(days_before(self.clock.now(), days)).await?;
        Ok(store::cleaned_up(removed))
    }
}

/// The file of that name in the folder. A name that could mean another place is refused.
fn backup_file(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let refused = |why: &str| Err(invalid("name", format!("the name of a backup {why}")));
    if name.is_empty() {
        return refused("is missing; for example monday.db");
    }
    if name.len() > MAX_NAME_BYTES {
        return refused(&format!("has {} bytes; at most {MAX_NAME_BYTES} are accepted", name.len()));
    }
    let mut parts = Path::new(name).components();
    let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if !is_plain || name.contains(['/', '\\', ':']) || name.chars().any(char::is_control) {
        return refused("is a file name in the server's `backup_dir`, and no path");
    }
    if name.starts_with('.') {
        return refused("does not start with a dot");
    }
    Ok(folder.join(name))
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_the_folder() {
        let folder = Path::new("/backups");
        assert_eq!(backup_file(folder, "a b-1.db").ok(), Some(folder.join("a b-1.db")));
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for name in ["", ".", "..", "../x", "a/b", "/etc/x", "a\\b", "c:x", "a/", "./a", ".a", "a\0b", &long]
        {
            assert!(backup_file(folder, name).is_err(), "{name:?}");
        }
    }
}
