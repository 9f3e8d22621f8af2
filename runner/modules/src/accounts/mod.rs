//! group and user: the host's own programs change the accounts, as with Ansible; busybox has others of its own.

mod busybox;
mod group;
mod home;
mod shadow;
mod shadow_tools;
mod ssh_key;
mod user;

use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, Outcome};
use crate::process::{Completed, Invocation, find_program, tool};

pub(crate) use group::run as run_group;
pub(crate) use user::run as run_user;

/// Whether busybox manages this host's accounts: it has `adduser`, and `useradd` is missing.
fn is_busybox() -> bool {
    find_program("useradd").is_none() && find_program("adduser").is_some()
}

/// One call of a program that changes accounts, with what must not be seen of it.
#[derive(Debug, Default)]
struct Call {
    words: Vec<String>,
    stdin: String,
}

impl Call {
    fn new(program: &str) -> Self {
        Self { words: vec![program.to_owned()], stdin: String::new() }
    }

    fn words<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.add(words);
        self
    }

    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.words.extend(words.map(str::to_owned));
    }

    /// An option with a value, where there is one.
    fn option(&mut self, flag: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add([flag, value]);
        }
    }

    fn flag(&mut self, flag: &str, wanted: bool) {
        if wanted {
            self.add([flag]);
        }
    }

    /// Whether it says more than the program's name.
    fn asks(&self) -> bool {
        self.words.len() > 1
    }

    fn run(&self, context: &Context) -> Result<Completed, Failure> {
        let program = find_program(&self.words[0])
            .ok_or_else(|| Failure::new(format!("Failed to find required executable \"{}\"", self.words[0])))?;
        let mut invocation = Invocation::new(&self.words).env("LC_ALL", "C.UTF-8");
        invocation.argv[0] = program.into();
        invocation.stdin = self.stdin.as_bytes().to_vec();
        tool(&invocation, context)
    }
}

/// What calls have said so far, and whether there were any.
#[derive(Debug, Default)]
struct Said {
    changed: bool,
    stdout: String,
    stderr: String,
    /// A password: whatever a program says of it is not told.
    hidden: Option<String>,
}

impl Said {
    /// Makes a call that changes something; in check mode it only counts.
    fn change(&mut self, name: &str, call: &Call, context: &Context) -> Result<(), Failure> {
        self.changed = true;
        if context.check {
            return Ok(());
        }
        let done = call.run(context)?;
        if done.rc != 0 {
            let words = [done.err(), done.out()].into_iter().find(|text| !text.trim().is_empty());
            let words = words.unwrap_or_else(|| format!("{} failed with status {}", call.words[0], done.rc));
            return Err(Failure::new(self.masked(words.trim_end())).with("name", name).with("rc", done.rc));
        }
        self.stdout.push_str(&self.masked(&done.out()));
        self.stderr.push_str(&self.masked(&done.err()));
        Ok(())
    }

    fn masked(&self, text: &str) -> String {
        match self.hidden.as_deref() {
            Some(hidden) if !hidden.is_empty() => text.replace(hidden, "********"),
            _ => text.to_owned(),
        }
    }

    fn tell(&self, outcome: &mut Outcome) {
        outcome.set("changed", self.changed);
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                outcome.set(name, text.as_str());
            }
        }
    }
}

fn number(args: &Args, name: &str) -> Result<Option<i64>, Failure> {
    args.value(name).is_some().then(|| args.integer(name, 0)).transpose()
}

/// An id as the system has them.
fn id(args: &Args, name: &str) -> Result<Option<u32>, Failure> {
    let Some(value) = number(args, name)? else { return Ok(None) };
    u32::try_from(value).map(Some).map_err(|_| Failure::new(format!("argument {name}: {value} is no id")))
}

/// A name that programs take for a name, and not for an option or a field of their files.
fn account_name(args: &Args) -> Result<String, Failure> {
    let name = args.text("name").unwrap_or_default();
    let surveyed = !args.asked().is_empty();
    if !surveyed && (name.is_empty() || name.starts_with('-') || name.contains([':', '\n', '/', ','])) {
        return Err(Failure::new(format!("'{name}' is no name for an account")));
    }
    Ok(name)
}

fn absent(args: &Args) -> bool {
    args.text("state").as_deref() == Some("absent")
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey_group(args: &Args) {
    let _ = group::GroupArgs::read(args);
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey_user(args: &Args) {
    let _ = user::UserArgs::read(args);
}

#[cfg(test)]
mod tests;
