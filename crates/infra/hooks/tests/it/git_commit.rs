//! Commits of a workspace, made by the real git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use loom_hooks::{Author, GitCommit};
use loom_tools::{EffectClass, Hook as _, HookAnswer, HookCall, ToolError, ToolErrorKind};

use crate::{context, effect, input, spec};

/// Runs git as a person would, whatever that person has configured.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.args(["-c", "user.name=Someone", "-c", "user.email=someone@example.com"]);
    let output = command.args(arguments).output().expect("git is there");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder that is the root of a repository without commits.
fn repository() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let workspace = folder.path().join("work");
    fs::create_dir(&workspace).unwrap();
    git(&workspace, &["init", "--quiet", "--initial-branch=main"]);
    (folder, workspace)
}

fn hook(workspace: &Path) -> GitCommit {
    let author = Author { name: "Loom at work".into(), email: "loom@example.com".into() };
    let path = std::env::var_os("PATH").map(|path| path.into_string().unwrap());
    GitCommit::new(spec(EffectClass::Idempotent), workspace.to_owned(), author, path)
}

async fn run(workspace: &Path, number: u32) -> Result<HookAnswer, ToolError> {
    hook(workspace).run(input(number), context(number)).await
}

fn commits(workspace: &Path) -> usize {
    git(workspace, &["log", "--oneline", "--all"]).lines().count()
}

#[tokio::test]
async fn what_changed_is_committed_under_the_configured_author_with_the_effect_in_it() {
    let (_folder, workspace) = repository();
    fs::write(workspace.join("a.txt"), "one").unwrap();
    let mut told = input(1);
    let (tool, arguments) = (Arc::from("write_file"), serde_json::Value::Null);
    let class = EffectClass::Unsafe;
    told.calls.push(HookCall {
        id: loom_base::CallId::new("c"),
        tool,
        class,
        arguments,
        outcome: None,
        result: None,
    });
    let answer = hook(&workspace).run(told, context(1)).await.unwrap();
    assert_eq!(answer, HookAnswer::Continue {});
    let shown = git(&workspace, &["log", "--format=%an <%ae>|%cn <%ce>|%s|%(trailers:unfold)"]);
    let author = "Loom at work <loom@example.com>";
    let trailers = format!("Loom-Effect: {}\nLoom-Turn: {}\nLoom-Session: s-1", effect(1), effect(1).turn);
    assert_eq!(shown.trim_end(), format!("{author}|{author}|writer of books: write_file|{trailers}"));

    fs::remove_file(workspace.join("a.txt")).unwrap();
    fs::write(workspace.join("b.txt"), "two").unwrap();
    run(&workspace, 2).await.unwrap();
    assert_eq!(git(&workspace, &["ls-files"]), "b.txt\n");
    assert_eq!(commits(&workspace), 2);
}

#[tokio::test]
async fn an_effect_is_committed_once_and_no_change_makes_no_commit() {
    let (_folder, workspace) = repository();
    run(&workspace, 1).await.unwrap();
    fs::write(workspace.join("a.txt"), "one").unwrap();
    run(&workspace, 12).await.unwrap();
    run(&workspace, 13).await.unwrap();
    assert_eq!(commits(&workspace), 1);
    // After a crash between the commit and its record, with a change that came meanwhile.
    fs::write(workspace.join("a.txt"), "two").unwrap();
    run(&workspace, 12).await.unwrap();
    assert_eq!(commits(&workspace), 1);
    // Another effect, whose number begins the first one's.
    run(&workspace, 1).await.unwrap();
    assert_eq!(commits(&workspace), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_that_the_repository_names_is_run() {
    use std::os::unix::fs::PermissionsExt as _;

    let (folder, workspace) = repository();
    let mark = folder.path().join("it-ran");
    let script = folder.path().join("script");
    fs::write(&script, format!("#!/bin/sh\ntouch {}\nexit 1\n", mark.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for name in
        ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "pre-auto-gc", "post-index-change"]
    {
        fs::copy(&script, workspace.join(".git/hooks").join(name)).unwrap();
    }
    let script = script.to_str().unwrap();
    for setting in ["core.fsmonitor", "core.editor", "gpg.program", "diff.external", "core.pager"] {
        git(&workspace, &["config", setting, script]);
    }
    for setting in ["commit.gpgSign", "log.showSignature"] {
        git(&workspace, &["config", setting, "true"]);
    }
    fs::write(workspace.join("a.txt"), "one").unwrap();
    run(&workspace, 1).await.unwrap();
    fs::write(workspace.join("a.txt"), "two").unwrap();
    run(&workspace, 2).await.unwrap();
    assert!(!mark.exists());
    // These would run when files are looked at or committed, so such a repository is refused.
    fs::write(workspace.join(".gitattributes"), "* filter=evil\n").unwrap();
    for setting in ["filter.evil.clean", "hook.evil.command"] {
        git(&workspace, &["config", setting, script]);
        let refused = run(&workspace, 3).await.unwrap_err();
        assert!(refused.message.contains(&format!("{setting:?}")), "{refused}");
        git(&workspace, &["config", "--unset", setting]);
    }
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_repository_that_is_not_the_workspace_itself_is_left_alone() {
    let (folder, outer) = repository();
    let inner = outer.join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("a.txt"), "one").unwrap();
    let refused = run(&inner, 1).await.unwrap_err();
    assert!(refused.message.contains("is not the root of a git repository of its own"), "{refused}");
    // One that somebody pointed at the other.
    fs::write(inner.join(".git"), format!("gitdir: {}\n", outer.join(".git").display())).unwrap();
    assert!(run(&inner, 1).await.is_err());
    fs::remove_file(inner.join(".git")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outer.join(".git"), inner.join(".git")).unwrap();
        assert!(run(&inner, 1).await.is_err());
        fs::remove_file(inner.join(".git")).unwrap();
    }
    assert!(run(&folder.path().join("nowhere"), 1).await.is_err());
    // One whose files are elsewhere.
    let (_other, moved) = repository();
    git(&moved, &["config", "core.worktree", outer.to_str().unwrap()]);
    let refused = run(&moved, 1).await.unwrap_err();
    assert!(refused.message.contains("whose files are elsewhere"), "{refused}");
    assert_eq!(git(&outer, &["rev-list", "--all", "--count"]), "0\n");
}

#[tokio::test]
async fn a_merge_under_way_is_not_concluded() {
    let (_folder, workspace) = repository();
    fs::write(workspace.join("a.txt"), "one").unwrap();
    run(&workspace, 1).await.unwrap();
    fs::write(workspace.join(".git/MERGE_HEAD"), git(&workspace, &["rev-parse", "HEAD"])).unwrap();
    fs::write(workspace.join("a.txt"), "two").unwrap();
    assert!(run(&workspace, 2).await.unwrap_err().message.contains("a merge is under way"));
    assert_eq!(commits(&workspace), 1);
}

#[tokio::test]
async fn without_git_it_fails() {
    let (_folder, workspace) = repository();
    fs::write(workspace.join("a.txt"), "one").unwrap();
    let author = Author { name: "L".into(), email: "l@m".into() };
    let nowhere = Some(workspace.to_str().unwrap().to_owned());
    let without = GitCommit::new(spec(EffectClass::Idempotent), workspace.clone(), author, nowhere);
    let error = without.run(input(1), context(1)).await.unwrap_err();
    assert!(error.message.contains("git cannot be run"), "{error}");
}

#[tokio::test]
async fn a_commit_that_is_stopped_is_interrupted_and_the_next_one_works() {
    let (_folder, workspace) = repository();
    fs::write(workspace.join("a.txt"), "one").unwrap();
    let stopped = context(1);
    stopped.cancel.cancel();
    let error = hook(&workspace).run(input(1), stopped).await.unwrap_err();
    assert_eq!(error.kind, ToolErrorKind::Interrupted);
    run(&workspace, 1).await.unwrap();
    assert_eq!(commits(&workspace), 1);
}
