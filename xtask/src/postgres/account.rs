//! The account that runs PostgreSQL, which refuses to be run by root.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// The accounts that root hands the server to, best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Our own account, or the one that we step down to as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// Stay who we are.
    Own,
    /// Become this user and group.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// The account to use for files in `folder`, which we have just made: its owner is who we are.
    pub(super) fn for_owner_of(folder: &Path) -> Result<Self> {
        if std::fs::metadata(folder)?.uid() != 0 {
            return Ok(Self::Own);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        unprivileged(&passwd).context("neither a user `postgres` nor a user `nobody` to run PostgreSQL as")
    }

    /// Makes `folder` the account's own.
    pub(super) fn give(self, folder: &Path) -> Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => Ok(chown(folder, Some(uid), Some(gid))?),
        }
    }

    /// Makes `command` run as the account, with no groups of ours.
    pub(super) fn drop_to(self, command: &mut Command) {
        match self {
            Self::Own => {}
            Self::Other { uid, gid } => {
                command.uid(uid).gid(gid);
            }
        }
    }
}

/// The first unprivileged account in the text of a passwd file.
pub(super) fn unprivileged(passwd: &str) -> Option<Account> {
    UNPRIVILEGED.iter().find_map(|wanted| {
        let entry = passwd.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = entry.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Other { uid, gid })
    })
}
