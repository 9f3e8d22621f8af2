//! Scripts in /etc/init.d.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{State, missing};
use crate::args::Args;
use crate::command::split_words;
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::process::{Completed, Invocation, find_program, tool};

#[derive(Debug)]
pub(super) struct ServiceArgs {
    pub(super) name: String,
    pub(super) state: Option<State>,
    pub(super) enabled: Option<bool>,
    pub(super) arguments: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) sleep: Option<i64>,
}

impl ServiceArgs {
    pub(super) fn read(args: &Args) -> Result<Self, Failure> {
        let own = Self {
            name: args.text("name").unwrap_or_default(),
            state: State::read(args),
            enabled: args.optional_flag("enabled")?,
            arguments: args.text("arguments").filter(|words| !words.trim().is_empty()),
            pattern: args.text("pattern"),
            sleep: args.value("sleep").is_some().then(|| args.integer("sleep", 0)).transpose()?,
        };
        if own.state.is_none() && own.enabled.is_none() && args.asked().is_empty() {
            return Err(Failure::new("one of the following is required: state, enabled"));
        }
        Ok(own)
    }

    fn script(&self) -> PathBuf {
        Path::new("/etc/init.d").join(self.name.strip_suffix(".service").unwrap_or(&self.name))
    }

    fn words(&self, action: &str) -> Result<Vec<String>, Failure> {
        let script = self.script();
        let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // service(8) gives scripts the clean surroundings that they have at boot
        let mut words = match find_program("service") {
            Some(service) => vec![service.to_string_lossy().into_owned(), name],
            None => vec![script.to_string_lossy().into_owned()],
        };
        words.push(action.to_owned());
        if let Some(arguments) = &self.arguments {
            let more = split_words(arguments).ok_or_else(|| Failure::new("arguments: no closing quotation"))?;
            words.extend(more);
        }
        Ok(words)
    }

    fn call(&self, action: &str, context: &Context) -> Result<Completed, Failure> {
        tool(&Invocation::new(self.words(action)?), context)
    }

    fn act(&self, action: &str, context: &Context) -> Result<(), Failure> {
        if context.check {
            return Ok(());
        }
        let done = self.call(action, context)?;
        if done.rc == 0 {
            return Ok(());
        }
        let words = [done.err(), done.out()].into_iter().find(|text| !text.trim().is_empty()).unwrap_or_default();
        Err(Failure::new(format!("Unable to {action} service {}: {}", self.name, words.trim()))
            .with("rc", done.rc)
            .with("stdout", done.out())
            .with("stderr", done.err()))
    }
}

pub(super) fn run(own: &ServiceArgs, context: &Context) -> ModuleResult {
    if !own.script().is_file() {
        return Err(missing(&own.name));
    }
    let mut outcome = Outcome::new(false).with("name", own.name.as_str());
    let mut changed = false;
    if let Some(enabled) = own.enabled {
        changed |= enable(own, enabled, context)?;
        outcome.set("enabled", enabled);
    }
    if let Some(state) = own.state {
        let running = is_running(own, context)?;
        if let Some(action) = state.action(running) {
            changed = true;
            match own.sleep.filter(|_| action == "restart") {
                Some(seconds) => {
                    own.act("stop", context)?;
                    if !context.check {
                        std::thread::sleep(Duration::from_secs(seconds.max(0).unsigned_abs()));
                    }
                    own.act("start", context)?;
                }
                None => own.act(action, context)?,
            }
        }
        outcome.set("state", state.result());
    }
    outcome.set("changed", changed);
    Ok(outcome)
}

fn is_running(own: &ServiceArgs, context: &Context) -> Result<bool, Failure> {
    if let Some(pattern) = &own.pattern {
        let done = tool(&Invocation::new(["ps", "-ewwo", "pid=,args="]), context)?;
        let me = std::process::id().to_string();
        return Ok(done.out().lines().any(|line| line.contains(pattern) && !line.trim_start().starts_with(&me)));
    }
    let done = own.call("status", context)?;
    Ok(judge(done.rc, &done.out()))
}

/// The LSB's statuses: 0 runs, 3 and 1, 2 do not; a script that has no status says it in words or not at all.
fn judge(rc: i32, output: &str) -> bool {
    let text = output.to_lowercase();
    match rc {
        0 => !["not running", "is stopped", "is not active", "unused"].iter().any(|words| text.contains(words)),
        1..=3 => false,
        _ => text.contains("is running") && !text.contains("not running"),
    }
}

fn links(own: &ServiceArgs, levels: &str) -> bool {
    let script = own.script();
    let name = script.file_name().unwrap_or_default().to_string_lossy();
    let pattern = format!("/etc/rc{levels}.d/S[0-9][0-9]{}", glob::Pattern::escape(&name));
    glob::glob(&pattern).is_ok_and(|mut found| found.next().is_some())
}

fn enable(own: &ServiceArgs, enabled: bool, context: &Context) -> Result<bool, Failure> {
    if links(own, "[S2345]") == enabled {
        return Ok(false);
    }
    if context.check {
        return Ok(true);
    }
    let name = own.script().file_name().unwrap_or_default().to_string_lossy().into_owned();
    if find_program("update-rc.d").is_none() {
        return Err(Failure::new(format!("cannot enable service {name}: update-rc.d is not on this host")));
    }
    let verbs: &[&str] = if enabled { &["defaults", "enable"] } else { &["disable"] };
    for verb in verbs {
        let done = tool(&Invocation::new(["update-rc.d", &name, verb]), context)?;
        if done.rc != 0 {
            return Err(
                Failure::new(format!("update-rc.d {name} {verb} failed: {}", done.err().trim())).with("rc", done.rc)
            );
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statuses() {
        assert!(judge(0, "sshd is running.") && judge(0, "") && judge(150, "x is running"));
        assert!(!judge(3, "") && !judge(0, "x is not running") && !judge(1, "is running") && !judge(4, ""));
    }

    #[test]
    fn words() {
        let fields = json!({"name": "no-such.service", "state": "started", "args": "-a 'b c'"});
        let own = ServiceArgs::read(&Args::new("service", fields.as_object().unwrap().clone()).unwrap()).unwrap();
        let words = own.words("start").unwrap();
        assert_eq!(words[words.len() - 3..], ["start", "-a", "b c"]);
        assert!(run(&own, &Context::default()).unwrap_err().message.contains("Could not find the requested service"));
        let nothing = Args::new("service", json!({"name": "x"}).as_object().unwrap().clone()).unwrap();
        assert!(ServiceArgs::read(&nothing).is_err());
    }
}
