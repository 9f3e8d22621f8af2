//! package and apt: Debian's packages, through apt-get and dpkg-query.

mod args;
mod call;
mod query;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::process::{Completed, Invocation, find_program, tool};

use args::{AptArgs, State};
use call::{apt_get, cache_time, failed, quiet};
use query::{Installed, Request, installed, simulated};

/// # Errors
/// What apt-get refuses, with its words.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = AptArgs::read(args)?;
    if find_program("apt-get").is_none() {
        return Err(Failure::new(
            "package: apt-get is not on this host, and no other package manager is supported yet",
        ));
    }
    let updated = own.update_cache && update_cache(&own, context)?;
    let mut outcome = if let Some(deb) = &own.deb {
        install_file(&own, deb, context)?
    } else if let Some(how) = &own.upgrade {
        let verb = if matches!(how.as_str(), "full" | "dist") { "dist-upgrade" } else { "upgrade" };
        let more: &[&str] = if verb == "upgrade" { &["--with-new-pkgs"] } else { &[] };
        let outcome = change(&own, verb, more, &[], context)?;
        let said = outcome.fields.get("stdout").cloned().unwrap_or_default();
        outcome.with("msg", said) // as Ansible has it, of an upgrade alone
    } else if !own.packages.is_empty() {
        match own.state {
            State::Absent => remove(&own, context)?,
            State::Present | State::Latest => install(&own, context)?,
        }
    } else if own.autoremove {
        let purge: &[&str] = if own.purge { &["--purge"] } else { &[] };
        change(&own, "autoremove", purge, &[], context)?
    } else {
        Outcome::new(updated)
    };
    for (wanted, verb) in [(own.clean, "clean"), (own.autoclean, "autoclean")] {
        if wanted {
            tidy(verb, &mut outcome, context)?;
        }
    }
    outcome.set("cache_updated", updated);
    outcome.set("cache_update_time", cache_time().map_or(0, seconds));
    Ok(outcome)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn update_cache(own: &AptArgs, context: &Context) -> Result<bool, Failure> {
    let valid = Duration::from_secs(own.cache_valid_time.max(0).unsigned_abs());
    let age = cache_time().and_then(|time| time.elapsed().ok());
    if own.cache_valid_time > 0 && age.is_some_and(|age| age < valid) {
        return Ok(false);
    }
    if context.check {
        return Ok(true);
    }
    let words = ["-q", "-o", &format!("DPkg::Lock::Timeout={}", own.lock_timeout), "update"].map(str::to_owned);
    let done = apt_get(words.to_vec(), context)?;
    // apt-get update is happy with old lists: what it could not fetch is a warning there and an error here.
    let unfetched = done.err().lines().any(|line| line.starts_with("W: Failed to fetch") || line.starts_with("E:"));
    if done.rc != 0 || unfetched {
        return Err(failed("Failed to update apt cache", &done));
    }
    Ok(true)
}

fn install(own: &AptArgs, context: &Context) -> ModuleResult {
    let mut missing = Vec::new();
    for name in &own.packages {
        let request = Request::parse(name);
        let there = installed(&request, context)?;
        let satisfied = match (&there, &request.version) {
            (Installed::Version(now), Some(wanted)) => {
                glob::Pattern::new(wanted).is_ok_and(|wanted| wanted.matches(now))
            }
            (Installed::Version(_), None) => own.state == State::Present,
            _ => false,
        };
        let skipped = own.only_upgrade && !matches!(there, Installed::Version(_));
        if !satisfied && !skipped {
            missing.push(name.clone());
        }
    }
    let outcome =
        if missing.is_empty() { Outcome::new(false) } else { change(own, "install", &[], &missing, context)? };
    if !context.check {
        mark_manual(own, context)?;
    }
    Ok(outcome)
}

/// What is asked for is no longer taken for a mere dependency of something else, or an autoremove would take it away
/// (ansible/ansible#40531). apt-get itself does so with what it installs, not with what is there already.
fn mark_manual(own: &AptArgs, context: &Context) -> Result<(), Failure> {
    let states = std::fs::read_to_string("/var/lib/apt/extended_states").unwrap_or_default();
    let names = own.packages.iter().map(|name| Request::parse(name).name);
    let marked: Vec<String> = names.filter(|name| is_automatic(&states, name)).collect();
    if marked.is_empty() || find_program("apt-mark").is_none() {
        return Ok(());
    }
    let words = ["apt-mark", "manual"].map(str::to_owned).into_iter().chain(marked);
    let done = tool(&quiet(Invocation::new(words)), context)?;
    if done.rc == 0 { Ok(()) } else { Err(failed("'apt-mark manual' failed", &done)) }
}

/// Whether apt's list of states has the package, of whatever architecture, as one that came with another.
fn is_automatic(states: &str, name: &str) -> bool {
    let package = format!("Package: {}", name.split(':').next().unwrap_or(name));
    states.split("\n\n").any(|stanza| {
        stanza.lines().any(|line| line == package) && stanza.lines().any(|line| line == "Auto-Installed: 1")
    })
}

fn remove(own: &AptArgs, context: &Context) -> ModuleResult {
    let mut there = Vec::new();
    for name in &own.packages {
        let request = Request::parse(name);
        let found = match installed(&request, context)? {
            Installed::Version(_) => true,
            Installed::Configured => own.purge,
            Installed::No => false,
        };
        if found {
            there.push(request.name);
        }
    }
    if there.is_empty() {
        return Ok(Outcome::new(false));
    }
    let purge: &[&str] = if own.purge { &["--purge"] } else { &[] };
    change(own, "remove", purge, &there, context)
}

fn install_file(own: &AptArgs, deb: &Path, context: &Context) -> ModuleResult {
    if deb.to_string_lossy().contains("://") {
        return Err(Failure::new(format!("deb: {} is a URL; give a file of the host", deb.display())));
    }
    if !deb.is_file() {
        return Err(Failure::new(format!("deb: there is no file {}", deb.display())));
    }
    let words = ["dpkg-deb", "--show", "--showformat=${Package}:${Architecture}=${Version}"];
    let done =
        tool(&quiet(Invocation::new(words.map(Into::into).into_iter().chain([deb.as_os_str().to_owned()]))), context)?;
    if done.rc != 0 {
        return Err(failed(&format!("Unable to install package: {} is no Debian package", deb.display()), &done));
    }
    let request = Request::parse(done.out().trim());
    if let Installed::Version(now) = installed(&request, context)?
        && Some(&now) == request.version.as_ref()
    {
        return Ok(Outcome::new(false));
    }
    let whole = crate::paths::absolute(deb).to_string_lossy().into_owned();
    change(own, "install", &[], &[whole], context)
}

/// Asks apt-get what a call would do; does it where it would do something.
fn change(own: &AptArgs, verb: &str, more: &[&str], names: &[String], context: &Context) -> ModuleResult {
    let mut words = own.options();
    words.extend(more.iter().map(ToString::to_string));
    words.push(verb.to_owned());
    words.extend(names.iter().cloned());
    let what = format!("'apt-get {verb}{}' failed", names.iter().map(|name| format!(" {name}")).collect::<String>());
    let plan = apt_get([vec!["-s".to_owned()], words.clone()].concat(), context)?;
    if plan.rc != 0 {
        return Err(explained(&what, &plan, names));
    }
    let steps = simulated(&plan.out());
    let told = |outcome: Outcome, done: &Completed| {
        let outcome = outcome.with("stdout", done.out()).with("stderr", done.err());
        if context.diff { outcome.with("diff", json!({"prepared": steps.join("\n")})) } else { outcome }
    };
    if steps.is_empty() || context.check {
        return Ok(told(Outcome::new(!steps.is_empty()), &plan));
    }
    let done = apt_get(words, context)?;
    if done.rc != 0 {
        return Err(explained(&what, &done, names));
    }
    Ok(told(Outcome::new(true), &done))
}

fn explained(what: &str, done: &Completed, names: &[String]) -> Failure {
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

fn tidy(verb: &str, outcome: &mut Outcome, context: &Context) -> Result<(), Failure> {
    let archives = || -> usize {
        let entries = std::fs::read_dir("/var/cache/apt/archives").into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "deb")).count()
    };
    let before = archives();
    if !context.check {
        let done = apt_get(vec!["-q".to_owned(), "-y".to_owned(), verb.to_owned()], context)?;
        if done.rc != 0 {
            return Err(failed(&format!("'apt-get {verb}' failed"), &done));
        }
    }
    if archives() < before || (context.check && verb == "clean" && before > 0) {
        outcome.set("changed", true);
    }
    Ok(())
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = AptArgs::read(args);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_known_by_their_state() {
        let states = "Package: tree\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: vim\nAuto-Installed: 0\n\n";
        assert!(is_automatic(states, "tree") && is_automatic(states, "tree:amd64"));
        assert!(!is_automatic(states, "vim") && !is_automatic(states, "tre") && !is_automatic("", "tree"));
    }

    #[test]
    fn a_missing_package_is_named() {
        let done =
            Completed { rc: 100, stderr: b"E: Unable to locate package nosuch\n".to_vec(), ..Completed::default() };
        let failure = explained("x", &done, &["nosuch=1".to_owned()]);
        assert!(failure.message.starts_with("No package matching 'nosuch' is available"), "{}", failure.message);
    }
}
