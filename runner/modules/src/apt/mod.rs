//! package and apt: Debian's packages, through apt-get and dpkg-query.

mod query;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::process::{Completed, Invocation, find_program, tool};

use query::{Installed, Request, installed, simulated};

struct AptArgs {
    packages: Vec<String>,
    state: State,
    deb: Option<PathBuf>,
    update_cache: bool,
    cache_valid_time: i64,
    install_recommends: Option<bool>,
    purge: bool,
    autoremove: bool,
    autoclean: bool,
    clean: bool,
    upgrade: Option<String>,
    only_upgrade: bool,
    default_release: Option<String>,
    dpkg_options: Vec<String>,
    allow_unauthenticated: bool,
    allow_downgrade: bool,
    allow_change_held_packages: bool,
    lock_timeout: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Present,
    Absent,
    Latest,
}

impl AptArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        args.flag("force_apt_get", false)?; // aptitude is never used
        let names = args.list("name").unwrap_or_default();
        let cache_valid_time = args.integer("cache_valid_time", 0)?;
        let own = Self {
            packages: names.into_iter().filter(|name| !name.is_empty()).collect(),
            state: match args.text("state").as_deref() {
                Some("absent" | "removed") => State::Absent,
                Some("latest") => State::Latest,
                _ => State::Present,
            },
            deb: args.path("deb"),
            update_cache: args.flag("update_cache", false)? || cache_valid_time > 0,
            cache_valid_time,
            install_recommends: args.optional_flag("install_recommends")?,
            purge: args.flag("purge", false)?,
            autoremove: args.flag("autoremove", false)?,
            autoclean: args.flag("autoclean", false)?,
            clean: args.flag("clean", false)?,
            upgrade: args.text("upgrade").map(|word| yes_or_no(&word).to_owned()).filter(|word| word != "no"),
            only_upgrade: args.flag("only_upgrade", false)?,
            default_release: args.text("default_release"),
            dpkg_options: args
                .list("dpkg_options")
                .unwrap_or_else(|| vec!["force-confdef".into(), "force-confold".into()]),
            allow_unauthenticated: args.flag("allow_unauthenticated", false)?,
            allow_downgrade: args.flag("allow_downgrade", false)?,
            allow_change_held_packages: args.flag("allow_change_held_packages", false)?,
            lock_timeout: args.integer("lock_timeout", 60)?,
        };
        own.check(args).map(|()| own)
    }

    fn check(&self, args: &Args) -> Result<(), Failure> {
        let named = !self.packages.is_empty();
        if [named, self.deb.is_some(), self.upgrade.is_some()].into_iter().filter(|given| *given).count() > 1 {
            return Err(Failure::new("parameters are mutually exclusive: deb|package|upgrade"));
        }
        if let Some(name) = self.packages.iter().find(|name| is_pattern(name)) {
            return Err(Failure::new(format!(
                "package name '{name}': give names, name=version or name/release; patterns are not honoured"
            )));
        }
        if let Some(name) = self.packages.iter().find(|name| name.starts_with('-')) {
            return Err(Failure::new(format!("'{name}' is no package name")));
        }
        let other = self.update_cache
            || self.autoremove
            || self.autoclean
            || self.clean
            || self.deb.is_some()
            || self.upgrade.is_some();
        // An empty list of names is nothing to do; no name at all is a mistake.
        if !named && !other && args.value("name").is_none() && args.asked().is_empty() {
            return Err(Failure::new(
                "one of the following is required: autoremove, deb, package, update_cache, upgrade",
            ));
        }
        Ok(())
    }

    /// The options that every changing call has.
    fn options(&self) -> Vec<String> {
        let mut options = vec!["-q".to_owned(), "-y".to_owned()];
        for option in &self.dpkg_options {
            options.extend(["-o".to_owned(), format!("Dpkg::Options::=--{}", option.trim_start_matches('-'))]);
        }
        options.extend(["-o".to_owned(), format!("DPkg::Lock::Timeout={}", self.lock_timeout)]);
        if let Some(recommends) = self.install_recommends {
            options.extend([
                "-o".to_owned(),
                format!("APT::Install-Recommends={}", if recommends { "yes" } else { "no" }),
            ]);
        }
        let flags = [
            (self.allow_unauthenticated, "--allow-unauthenticated"),
            (self.allow_downgrade, "--allow-downgrades"),
            (self.allow_change_held_packages, "--allow-change-held-packages"),
            (self.only_upgrade, "--only-upgrade"),
            (self.autoremove, "--auto-remove"),
        ];
        options.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag.to_owned()));
        if let Some(release) = &self.default_release {
            options.extend(["-t".to_owned(), release.clone()]);
        }
        options
    }
}

/// A version may be a pattern, as for apt-get itself; a name may not.
fn is_pattern(package: &str) -> bool {
    let (name, version) = package.split_once('=').unwrap_or((package, ""));
    name.contains(['*', '?', ' ', '>', '<']) || version.contains(' ')
}

fn yes_or_no(word: &str) -> &str {
    match word {
        "True" | "true" => "yes",
        "False" | "false" => "no",
        other => other,
    }
}

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

fn apt_get(words: Vec<String>, context: &Context) -> Result<Completed, Failure> {
    let invocation = Invocation::new(std::iter::once("apt-get".to_owned()).chain(words));
    tool(&quiet(invocation), context)
}

/// Never asks, and speaks the language that is parsed here.
fn quiet(invocation: Invocation) -> Invocation {
    invocation.env("DEBIAN_FRONTEND", "noninteractive").env("DEBIAN_PRIORITY", "critical").env("LC_ALL", "C.UTF-8")
}

/// When the package lists were last fetched.
fn cache_time() -> Option<SystemTime> {
    let modified = |path: &str| Path::new(path).metadata().ok()?.modified().ok();
    modified("/var/lib/apt/periodic/update-success-stamp").max(modified("/var/lib/apt/lists"))
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

fn failed(what: &str, done: &Completed) -> Failure {
    let err = done.err();
    let words: Vec<&str> = err.lines().filter(|line| line.starts_with("E:") || line.starts_with("W: Failed")).collect();
    let detail = if words.is_empty() { err.trim().to_owned() } else { words.join("; ") };
    Failure::new(format!("{what}: {detail}")).with("rc", done.rc).with("stdout", done.out()).with("stderr", err)
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

    fn read(args: Value) -> Result<AptArgs, Failure> {
        AptArgs::read(&Args::new("apt", args.as_object().unwrap().clone())?)
    }

    #[test]
    fn arguments_become_options() {
        let own = read(json!({
            "name": "a,b", "install_recommends": false, "default_release": "bookworm-backports",
            "allow_downgrade": true, "dpkg_options": "force-confnew", "lock_timeout": 5, "autoremove": "yes",
        }))
        .unwrap();
        let wanted = "-q -y -o Dpkg::Options::=--force-confnew -o DPkg::Lock::Timeout=5 -o APT::Install-Recommends=no \
                      --allow-downgrades --auto-remove -t bookworm-backports";
        assert_eq!(own.options().join(" "), wanted);
        assert_eq!(own.packages, ["a", "b"]);
        assert!(read(json!({"cache_valid_time": 3600})).unwrap().update_cache);
        assert_eq!(read(json!({"upgrade": true})).unwrap().upgrade.as_deref(), Some("yes"));
        assert_eq!(read(json!({"name": "x", "upgrade": "no"})).unwrap().upgrade, None);
        assert!(read(json!({"name": []})).unwrap().packages.is_empty());
        assert_eq!(read(json!({"name": "a=1.*"})).unwrap().packages, ["a=1.*"]);
    }

    #[test]
    fn contradictions() {
        for args in [
            json!({}),
            json!({"name": "a", "upgrade": "dist"}),
            json!({"name": "a*"}),
            json!({"name": "-o"}),
            json!({"name": "a", "deb": "/x.deb"}),
            json!({"name": "a", "state": "gone"}),
        ] {
            assert!(read(args.clone()).is_err(), "{args}");
        }
    }

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
