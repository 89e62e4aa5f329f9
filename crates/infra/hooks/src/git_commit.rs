//! Commits what changed in an agent's workspace.

use std::path::PathBuf;

use async_trait::async_trait;
use loom_base::ErrorCode;
use loom_tools::{Hook, HookAnswer, HookInput, HookSpec, ToolContext, ToolError};

use crate::git::{Git, failed};

/// Who signs the commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
}

/// A hook that commits whatever changed in one folder.
///
/// The folder must be the root of a git repository whose data is in its own `.git` folder: a repository above it, a linked
/// one or one whose settings name programs to run is refused. No hook of the repository runs. A commit names its effect in
/// a trailer (`Loom-Effect`), and an effect whose commit is there is not committed again: it is idempotent.
pub struct GitCommit {
    spec: HookSpec,
    workspace: PathBuf,
    author: Author,
    path: Option<String>,
}

/// The trailer that names the run of the hook.
const EFFECT_TRAILER: &str = "Loom-Effect";
/// Commits that are looked at for one of the same effect: more than anybody makes while a server restarts.
const LOOKED_AT: &str = "--max-count=200";
/// Settings of a repository by which git would start a program when it looks at files or commits begin so.
const START_PROGRAMS: [&str; 2] = ["filter.", "hook."];

impl GitCommit {
    /// The hook that `spec` declares. `path` is the search path, where `git` is found.
    pub fn new(spec: HookSpec, workspace: PathBuf, author: Author, path: Option<String>) -> Self {
        Self { spec, workspace, author, path }
    }

    async fn commit(&self, input: &HookInput) -> Result<HookAnswer, ToolError> {
        let (root, git) = self.repository().await?;
        let changed = git.must(&[], &["status", "--porcelain", "--ignore-submodules=all"]).await?;
        let effect = format!("{EFFECT_TRAILER}: {}", input.effect);
        if changed.is_empty() || is_committed(&git, &effect).await? {
            return Ok(HookAnswer::Continue {});
        }
        if root.join(".git/MERGE_HEAD").exists() {
            return Err(failed(format!("a merge is under way in {}; end it first", root.display())));
        }
        git.must(&[], &["add", "--all", "--", "."]).await?;
        let author = [
            ("GIT_AUTHOR_NAME", self.author.name.as_str()),
            ("GIT_AUTHOR_EMAIL", self.author.email.as_str()),
            ("GIT_COMMITTER_NAME", self.author.name.as_str()),
            ("GIT_COMMITTER_EMAIL", self.author.email.as_str()),
        ];
        let subject = format!("{}: {}", one_line(&input.agent_name), tools_of(input));
        let trailers = format!("{effect}\nLoom-Turn: {}\nLoom-Session: {}", input.turn, input.session);
        let message =
            ["commit", "--quiet", "--no-verify", "--allow-empty-message", "-m", &subject, "-m", &trailers];
        match git.must(&author, &message).await {
            Ok(_) => Ok(HookAnswer::Continue {}),
            // Whatever changed was not for git to keep: a nested repository, for instance.
            Err(_)
                if git
                    .run(&[], ["diff", "--cached", "--quiet", "--no-ext-diff", "--no-textconv"])
                    .await?
                    .succeeded =>
            {
                Ok(HookAnswer::Continue {})
            }
            Err(error) => Err(error),
        }
    }

    /// The workspace, when it is a repository that may be committed to.
    async fn repository(&self) -> Result<(PathBuf, Git), ToolError> {
        let workspace = &self.workspace;
        let refused = |what: &str| Err(failed(format!("the workspace {} {what}", workspace.display())));
        let Ok(root) = tokio::fs::canonicalize(workspace).await else { return refused("is not there") };
        // What is no folder leads elsewhere, to the data of another repository.
        if !tokio::fs::symlink_metadata(root.join(".git")).await.is_ok_and(|found| found.is_dir()) {
            return refused("is not the root of a git repository of its own; make it one with `git init`");
        }
        let git = Git::new(&root, self.path.as_deref());
        let top = git.must(&[], &["rev-parse", "--show-toplevel"]).await?;
        if tokio::fs::canonicalize(top.trim_end_matches('\n')).await.ok().as_ref() != Some(&root) {
            return refused("has a repository whose files are elsewhere");
        }
        let settings = git.must(&[], &["config", "--list", "--includes", "--name-only", "-z"]).await?;
        let starts = |name: &&str| {
            let name = name.to_ascii_lowercase();
            START_PROGRAMS.iter().any(|beginning| name.starts_with(beginning))
        };
        match settings.split('\0').find(starts) {
            Some(name) => refused(&format!("has the setting {name:?}, by which git would start a program")),
            None => Ok((root, git)),
        }
    }
}

#[async_trait]
impl Hook for GitCommit {
    fn spec(&self) -> &HookSpec {
        &self.spec
    }

    async fn run(&self, input: HookInput, context: ToolContext) -> Result<HookAnswer, ToolError> {
        tokio::select! {
            answer = self.commit(&input) => answer,
            () = context.cancel.cancelled() => {
                Err(ToolError::interrupted(ErrorCode::Cancelled, "the commit was stopped"))
            }
        }
    }
}

/// Whether a commit names the effect: it was made, and nobody knew yet.
async fn is_committed(git: &Git, effect: &str) -> Result<bool, ToolError> {
    if !git.run(&[], ["rev-parse", "--verify", "--quiet", "HEAD"]).await?.succeeded {
        // Nothing was ever committed.
        return Ok(false);
    }
    let pattern = format!("--grep=^{effect}$");
    let found = git.must(&[], &["log", LOOKED_AT, "--format=%H", &pattern]).await?;
    Ok(!found.is_empty())
}

/// What was called, for the first line of the commit.
fn tools_of(input: &HookInput) -> String {
    let mut tools: Vec<_> = input.calls.iter().map(|call| one_line(&call.tool)).collect();
    tools.dedup();
    if tools.is_empty() { input.point.as_str().to_owned() } else { tools.join(", ") }
}

/// `text` on one line, and not a long one.
fn one_line(text: &str) -> String {
    const MOST: usize = 60;
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MOST).collect()
}
