//! The modules of the reference runner: what a task does to a host, with Ansible's names, arguments, idempotence
//! and return values. They know nothing of plans, conditions or templates; those are the engine's.

#[cfg(unix)]
mod apt;
pub mod args;
#[cfg(unix)]
mod attributes;
pub mod clock;
mod command;
mod context;
#[cfg(unix)]
mod copy;
pub mod digest;
#[cfg(unix)]
mod facts;
#[cfg(unix)]
mod file;
pub mod honours;
#[cfg(unix)]
mod lineinfile;
#[cfg(unix)]
mod mode;
mod outcome;
pub mod paths;
pub mod pattern;
pub mod process;
#[cfg(unix)]
mod replace;
#[cfg(unix)]
mod service;
#[cfg(unix)]
mod stat;
pub mod users;

pub use args::Args;
pub use command::split_words;
pub use context::Context;
pub use honours::short_name;
pub use outcome::{Failure, Fields, ModuleResult, Outcome};

/// Runs one module by its short name. Its arguments are read already: see [`Args::new`].
///
/// # Errors
/// What the module fails with.
pub fn run(module: &str, args: &Args, context: &Context) -> ModuleResult {
    match module {
        "command" => command::run(args, context, false),
        "shell" => command::run(args, context, true),
        #[cfg(unix)]
        "copy" => copy::run(args, context),
        #[cfg(unix)]
        "file" => file::run(args, context),
        #[cfg(unix)]
        "lineinfile" => lineinfile::run(args, context),
        #[cfg(unix)]
        "setup" | "gather_facts" => facts::run(args, context),
        #[cfg(unix)]
        "package" | "apt" => apt::run(args, context),
        #[cfg(unix)]
        "service" => service::run(args, context),
        #[cfg(unix)]
        "systemd" | "systemd_service" => service::run_systemd(args, context),
        #[cfg(unix)]
        "stat" => stat::run(args, context),
        other => Err(Failure::new(format!("module '{other}' is not supported on this operating system"))),
    }
}

/// Asks a module for every argument that it takes: the test that honours.json and the code agree. None for what the
/// engine does itself.
#[cfg(unix)]
#[must_use]
pub fn survey(module: &str) -> Option<std::collections::BTreeSet<String>> {
    // A module under survey must not get past its arguments, so only their readers are called.
    let args = Args::survey();
    match module {
        "command" => command::survey(&args, false),
        "shell" => command::survey(&args, true),
        "copy" => copy::survey(&args),
        "file" => file::survey(&args),
        "lineinfile" => lineinfile::survey(&args),
        "setup" | "gather_facts" => facts::survey(&args),
        "package" | "apt" => apt::survey(&args),
        "service" => service::survey(&args),
        "systemd" | "systemd_service" => service::survey_systemd(&args),
        "stat" => stat::survey(&args),
        _ => return None,
    }
    Some(args.asked())
}
