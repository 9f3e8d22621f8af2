//! Units, through systemctl.

use std::path::Path;

use serde_json::{Value, json};

use super::sysvinit::ServiceArgs;
use super::{State, missing};
use crate::args::Args;
use crate::context::Context;
use crate::outcome::{Failure, Fields, ModuleResult, Outcome};
use crate::process::{Completed, Invocation, tool};

struct SystemdArgs {
    name: Option<String>,
    state: Option<State>,
    enabled: Option<bool>,
    masked: Option<bool>,
    daemon_reload: bool,
    daemon_reexec: bool,
    no_block: bool,
    force: bool,
    scope: String,
}

impl SystemdArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        Ok(Self {
            name: args.text("name").filter(|name| !name.is_empty()),
            state: State::read(args),
            enabled: args.optional_flag("enabled")?,
            masked: args.optional_flag("masked")?,
            daemon_reload: args.flag("daemon_reload", false)?,
            daemon_reexec: args.flag("daemon_reexec", false)?,
            no_block: args.flag("no_block", false)?,
            force: args.flag("force", false)?,
            scope: args.text("scope").unwrap_or_else(|| "system".to_owned()),
        })
    }

    fn systemctl(&self, words: &[&str], context: &Context) -> Result<Completed, Failure> {
        let mut argv = vec!["systemctl".to_owned(), format!("--{}", self.scope)];
        let flags = [(self.no_block, "--no-block"), (self.force, "--force")];
        argv.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag.to_owned()));
        argv.extend(words.iter().map(ToString::to_string));
        tool(&Invocation::new(argv).env("LC_ALL", "C.UTF-8").env("SYSTEMD_PAGER", ""), context)
    }

    /// Runs a verb that changes something.
    fn act(&self, verb: &str, unit: &str, context: &Context) -> Result<(), Failure> {
        if context.check {
            return Ok(());
        }
        let done = self.systemctl(&[verb, unit], context)?;
        if done.rc == 0 {
            return Ok(());
        }
        Err(Failure::new(format!("Unable to {verb} service {unit}: {}", done.err().trim()))
            .with("rc", done.rc)
            .with("stdout", done.out())
            .with("stderr", done.err()))
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    manage(&SystemdArgs::read(args)?, context)
}

pub(super) fn run_service(own: &ServiceArgs, context: &Context) -> ModuleResult {
    if own.arguments.is_some() || own.pattern.is_some() {
        return Err(Failure::new(
            "service: arguments and pattern are not for systemd, which runs this host's services",
        ));
    }
    let own = SystemdArgs {
        name: Some(own.name.clone()),
        state: own.state,
        enabled: own.enabled,
        masked: None,
        daemon_reload: false,
        daemon_reexec: false,
        no_block: false,
        force: false,
        scope: "system".to_owned(),
    };
    manage(&own, context)
}

fn manage(own: &SystemdArgs, context: &Context) -> ModuleResult {
    for (wanted, verb) in [(own.daemon_reload, "daemon-reload"), (own.daemon_reexec, "daemon-reexec")] {
        if wanted && !context.check {
            let done = own.systemctl(&[verb], context)?;
            if done.rc != 0 {
                return Err(Failure::new(format!("failure {} during {verb}: {}", done.rc, done.err().trim())));
            }
        }
    }
    let Some(unit) = &own.name else {
        if own.state.is_some() || own.enabled.is_some() || own.masked.is_some() {
            return Err(Failure::new("name is required with state, enabled and masked"));
        }
        return Ok(Outcome::new(false).with("name", Value::Null).with("status", json!({})));
    };
    let status = show(own, unit, context)?;
    let mut outcome = Outcome::new(false).with("name", unit.as_str());
    let mut changed = false;
    if let Some(masked) = own.masked {
        changed |= mask(own, unit, masked, &status, context)?;
    }
    if !exists(unit, &status) && (own.enabled.is_some() || own.state.is_some()) {
        return Err(missing(unit));
    }
    if let Some(enabled) = own.enabled {
        changed |= enable(own, unit, enabled, context)?;
        outcome.set("enabled", enabled);
    }
    if let Some(state) = own.state {
        changed |= bring(own, unit, state, &status, context)?;
        outcome.set("state", state.result());
    }
    outcome.set("changed", changed);
    outcome.set("status", status);
    Ok(outcome)
}

fn show(own: &SystemdArgs, unit: &str, context: &Context) -> Result<Fields, Failure> {
    let done = own.systemctl(&["show", unit], context)?;
    if done.rc != 0 {
        return Err(Failure::new(format!("Error loading unit file '{unit}': {}", done.err().trim())));
    }
    Ok(properties(&done.out()))
}

/// `Name=value` lines. A value that opens a brace goes on over several lines until one that ends with it.
fn properties(text: &str) -> Fields {
    let mut fields = Fields::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        if let Some((name, mut value)) = open.take() {
            value.push('\n');
            value.push_str(line);
            if line.trim_end().ends_with('}') {
                fields.insert(name, value.into());
            } else {
                open = Some((name, value));
            }
        } else if let Some((name, value)) = line.split_once('=') {
            if name.starts_with("Exec") && value.starts_with('{') && !value.trim_end().ends_with('}') {
                open = Some((name.to_owned(), value.to_owned()));
            } else {
                fields.insert(name.to_owned(), value.into());
            }
        }
    }
    if let Some((name, value)) = open {
        fields.insert(name, value.into());
    }
    fields
}

fn property<'a>(status: &'a Fields, name: &str) -> &'a str {
    status.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn exists(unit: &str, status: &Fields) -> bool {
    let script = Path::new("/etc/init.d").join(unit.strip_suffix(".service").unwrap_or(unit));
    !matches!(property(status, "LoadState"), "not-found" | "") || script.exists()
}

fn mask(own: &SystemdArgs, unit: &str, masked: bool, status: &Fields, context: &Context) -> Result<bool, Failure> {
    let now = property(status, "LoadState") == "masked" || is_enabled(own, unit, context)?.1 == "masked";
    if now == masked {
        return Ok(false);
    }
    own.act(if masked { "mask" } else { "unmask" }, unit, context)?;
    Ok(true)
}

/// What `systemctl is-enabled` says: whether it counts as enabled, and its word.
fn is_enabled(own: &SystemdArgs, unit: &str, context: &Context) -> Result<(bool, String), Failure> {
    let done = own.systemctl(&["is-enabled", unit], context)?;
    let word = done.out().trim().to_owned();
    // As Ansible: these two answer 0 and are enabled in no way of their own.
    Ok((done.rc == 0 && word != "indirect" && word != "alias", word))
}

fn enable(own: &SystemdArgs, unit: &str, enabled: bool, context: &Context) -> Result<bool, Failure> {
    if is_enabled(own, unit, context)?.0 == enabled {
        return Ok(false);
    }
    own.act(if enabled { "enable" } else { "disable" }, unit, context)?;
    Ok(true)
}

fn bring(own: &SystemdArgs, unit: &str, state: State, status: &Fields, context: &Context) -> Result<bool, Failure> {
    let active = property(status, "ActiveState");
    if active.is_empty() {
        return Err(Failure::new(format!("Service {unit} is in unknown state")).with("status", status.clone()));
    }
    let running = matches!(active, "active" | "activating") || (state == State::Stopped && active == "deactivating");
    let Some(action) = state.action(running) else { return Ok(false) };
    own.act(action, unit, context)?;
    Ok(true)
}

/// Reads every argument: see `crate::survey`.
pub(super) fn survey(args: &Args) {
    let _ = SystemdArgs::read(args);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_over_several_lines() {
        let text = "Id=x.service\nExecStart={ path=/bin/sh ; argv[]=/bin/sh -c a=1\nb ; status=0/0 }\nActiveState=active\nEmpty=\n";
        let fields = properties(text);
        assert_eq!(property(&fields, "ActiveState"), "active");
        assert_eq!(property(&fields, "Empty"), "");
        assert!(property(&fields, "ExecStart").ends_with("status=0/0 }"));
        assert!(!exists("no such unit", &properties("LoadState=not-found\n")));
        assert!(exists("x", &properties("LoadState=loaded\n")));
    }

    #[test]
    fn actions() {
        assert_eq!(State::Started.action(true), None);
        assert_eq!(State::Started.action(false), Some("start"));
        assert_eq!(State::Stopped.action(false), None);
        assert_eq!(State::Restarted.action(false), Some("start"));
        assert_eq!(State::Reloaded.action(true), Some("reload"));
    }

    #[test]
    fn a_name_is_needed_for_more_than_a_reload() {
        let read = |args: Value| SystemdArgs::read(&Args::new("systemd", args.as_object().unwrap().clone())?);
        assert!(read(json!({"daemon_reload": true})).unwrap().name.is_none());
        assert!(read(json!({"state": "started"})).is_err());
        let context = Context { check: true, ..Context::default() };
        let own = read(json!({"daemon_reload": true, "enabled": true})).unwrap();
        assert!(manage(&own, &context).is_err());
    }
}
