//! Where there is no fork: commands run, but nothing can become another user and no group can be killed.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use super::{Completed, Invocation, Stopped};
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult};
use crate::users::User;

pub(super) fn run(invocation: &Invocation, context: &Context) -> Result<Completed, Stopped> {
    let mut child = invocation
        .command(context)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Stopped::Start)?;
    let input = invocation.stdin.clone();
    let writer = child.stdin.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let _ = pipe.write_all(&input); // a command need not read its input
        })
    });
    let output = child.wait_with_output().map_err(Stopped::Start)?;
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    Ok(Completed { rc: output.status.code().unwrap_or(1), stdout: output.stdout, stderr: output.stderr })
}

/// # Errors
/// Always: see the module's words.
pub fn in_child(
    _user: Option<&User>,
    _limit: Option<Duration>,
    _work: impl FnOnce() -> ModuleResult,
) -> Result<ModuleResult, Stopped> {
    Ok(Err(Failure::new("become and timeout are not supported on this operating system")))
}
