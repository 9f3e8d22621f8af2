//! The modules of the reference runner: what a task does to a host, with Ansible's names, arguments, idempotence
//! and return values. They know nothing of plans, conditions or templates; those are the engine's.

#[cfg(unix)]
mod accounts;
#[cfg(unix)]
mod addresses;
#[cfg(unix)]
mod apt;
#[cfg(unix)]
mod archive;
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
mod fetch;
#[cfg(unix)]
mod file;
#[cfg(unix)]
mod get_url;
#[cfg(unix)]
mod git;
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
#[cfg(unix)]
mod unarchive;
pub mod users;
#[cfg(unix)]
mod wait_for;

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
        #[cfg(unix)]
        "group" => accounts::run_group(args, context),
        #[cfg(unix)]
        "user" => accounts::run_user(args, context),
        #[cfg(unix)]
        "archive" => archive::run(args, context),
        #[cfg(unix)]
        "get_url" => get_url::run(args, context),
        #[cfg(unix)]
        "git" => git::run(args, context),
        #[cfg(unix)]
        "unarchive" => unarchive::run(args, context),
        #[cfg(unix)]
        "wait_for" => wait_for::run(args, context),
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
        "group" => accounts::survey_group(&args),
        "user" => accounts::survey_user(&args),
        "archive" => archive::survey(&args),
        "get_url" => get_url::survey(&args),
        "git" => git::survey(&args),
        "unarchive" => unarchive::survey(&args),
        "wait_for" => wait_for::survey(&args),
        _ => return None,
    }
    Some(args.asked())
}
