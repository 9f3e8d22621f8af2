//! service, and systemd for what only systemd has.

mod systemd;
mod sysvinit;

use crate::args::Args;
use crate::context::Context;
use crate::facts::service_manager;
use crate::outcome::{Failure, ModuleResult};

pub(crate) use systemd::run as run_systemd;

/// What a service shall be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    Started,
    Stopped,
    Restarted,
    Reloaded,
}

impl State {
    fn read(args: &Args) -> Option<Self> {
        match args.text("state").as_deref() {
            Some("started") => Some(Self::Started),
            Some("stopped") => Some(Self::Stopped),
            Some("restarted") => Some(Self::Restarted),
            Some("reloaded") => Some(Self::Reloaded),
            _ => None,
        }
    }

    /// What has to be done, given whether the service runs.
    fn action(self, running: bool) -> Option<&'static str> {
        match (self, running) {
            (Self::Started, true) | (Self::Stopped, false) => None,
            (Self::Stopped, true) => Some("stop"),
            (Self::Restarted, true) => Some("restart"),
            (Self::Reloaded, true) => Some("reload"),
            (Self::Started | Self::Restarted | Self::Reloaded, false) => Some("start"),
        }
    }

    fn result(self) -> &'static str {
        if self == Self::Stopped { "stopped" } else { "started" }
    }
}

/// The generic module: whatever manages services here.
///
/// # Errors
/// An unknown service, an action that fails.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = sysvinit::ServiceArgs::read(args)?;
    match service_manager() {
        "systemd" => systemd::run_service(&own, context),
        "sysvinit" | "service" => sysvinit::run(&own, context),
        other => Err(Failure::new(format!("service: this host's service manager, {other}, is not supported yet"))),
    }
}

fn missing(name: &str) -> Failure {
    Failure::new(format!("Could not find the requested service {name}: host")).with("name", name)
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = sysvinit::ServiceArgs::read(args);
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey_systemd(args: &Args) {
    systemd::survey(args);
}
