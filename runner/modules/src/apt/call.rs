//! Calls of apt's programs, and what is told of one that failed.

use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use super::query::Request;
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

pub(super) fn explained(what: &str, done: &Completed, names: &[String]) -> Failure {
    let err = done.err();
    let missing = names.iter().map(|name| Request::parse(name).name).find(|name| {
        err.contains(&format!("Unable to locate package {name}"))
            || err.contains(&format!("Package '{name}' has no installation candidate"))
    });
    match missing {
        Some(name) => {
            let mut failure = failed(&format!("No package matching '{name}' is available"), done);
            failure.fields.insert("package".to_owned(), Value::from(name));
            failure
        }
        None => failed(what, done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_package_is_named() {
        let done =
            Completed { rc: 100, stderr: b"E: Unable to locate package nosuch\n".to_vec(), ..Completed::default() };
        let failure = explained("x", &done, &["nosuch=1".to_owned()]);
        assert!(failure.message.starts_with("No package matching 'nosuch' is available"), "{}", failure.message);
    }
}
