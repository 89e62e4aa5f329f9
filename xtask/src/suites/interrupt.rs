//! Lets a task clean up when it is told to stop.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::workspace::describe;

/// How often a running child and the signals are looked at.
const POLL: Duration = Duration::from_millis(20);

/// So many looks, that is ten seconds, does a child get to end in order.
const GRACE_POLLS: u32 = 500;

/// From its making on, a signal no longer ends this process: it is noticed here, and the caller unwinds.
pub(super) struct Interrupt {
    told: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts listening for Ctrl-C, a termination and a closed terminal.
    pub(super) fn listen() -> Result<Self> {
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&told))?;
        }
        Ok(Self { told })
    }

    /// Runs `command` to its end and says whether it succeeded; a signal ends it and all its children, and is an
    /// error.
    pub(super) fn run(&self, command: &mut Command) -> Result<bool> {
        let line = describe(command);
        println!("$ {line}");
        // A group of its own, so that its children can be told as well.
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let mut polls_left = GRACE_POLLS;
        loop {
            let ended = child.try_wait()?;
            let told = self.told.load(Ordering::Relaxed);
            match ended {
                Some(_) if told => bail!("interrupted"),
                Some(status) => return Ok(status.success()),
                None if told => {
                    if polls_left == GRACE_POLLS {
                        tell_to_end(&child)?;
                    }
                    polls_left -= 1;
                    if polls_left == 0 {
                        child.kill()?;
                        child.wait()?;
                    }
                }
                None => {}
            }
            sleep(POLL);
        }
    }
}

/// Asks the child's whole group to end.
fn tell_to_end(child: &Child) -> Result<()> {
    let group = format!("-{}", child.id());
    Command::new("kill").args(["-s", "TERM", "--", &group]).status().context("cannot start `kill`")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_the_child_and_not_this_process() {
        let interrupt = Interrupt::listen().unwrap();
        assert!(interrupt.run(&mut Command::new("true")).unwrap());
        assert!(!interrupt.run(&mut Command::new("false")).unwrap());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        let ended = interrupt.run(Command::new("sleep").arg("3600")).unwrap_err();
        assert_eq!(ended.to_string(), "interrupted");
    }
}
