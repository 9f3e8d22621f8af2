//! The modules of the reference runner: what a task does to a host, with Ansible's names, arguments, idempotence
//! and return values. They know nothing of plans, conditions or templates; those are the engine's.

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
mod file;
pub mod honours;
mod mode;
mod outcome;
pub mod paths;
pub mod pattern;
pub mod process;
#[cfg(unix)]
mod replace;
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
        "stat" => stat::run(args, context),
        other => Err(Failure::new(format!("module '{other}' is not supported on this operating system"))),
    }
}
