//! Calls of apt's programs, and what is told of one that failed.

use std::path::Path;
use std::time::SystemTime;

use crate::context::Context;
use crate::outcome::Failure;
use crate::process::{Completed, Invocation, tool};

pub(super) fn apt_get(words: Vec<String>, context: &Context) -> Result<Completed, Failure> {
    let invocation = Invocation::new(std::iter::once("apt-get".to_owned()).chain(words));
    tool(&quiet(invocation), context)
}

/// Never asks, and speaks the language that is parsed here.
pub(super) fn quiet(invocation: Invocation) -> Invocation {
    invocation.env("DEBIAN_FRONTEND", "noninteractive").env("DEBIAN_PRIORITY", "critical").env("LC_ALL", "C.UTF-8")
}

/// When the package lists were last fetched.
pub(super) fn cache_time() -> Option<SystemTime> {
    let modified = |path: &str| Path::new(path).metadata().ok()?.modified().ok();
    modified("/var/lib/apt/periodic/update-success-stamp").max(modified("/var/lib/apt/lists"))
}

pub(super) fn failed(what: &str, done: &Completed) -> Failure {
    let err = done.err();
    let words: Vec<&str> = err.lines().filter(|line| line.starts_with("E:") || line.starts_with("W: Failed")).collect();
    let detail = if words.is_empty() { err.trim().to_owned() } else { words.join("; ") };
    Failure::new(format!("{what}: {detail}")).with("rc", done.rc).with("stdout", done.out()).with("stderr", err)
}
