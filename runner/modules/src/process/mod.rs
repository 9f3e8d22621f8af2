//! Commands, run to their end: exact status and output, no shell unless asked for, nothing left behind on a stop.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::outcome::Failure;

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use other as system;
#[cfg(unix)]
use unix as system;

#[cfg(unix)]
pub use signals::{interrupted, watch_signals};
pub use system::in_child;

#[cfg(not(unix))]
#[must_use]
pub fn interrupted() -> Option<i32> {
    None
}

#[cfg(not(unix))]
pub fn watch_signals() {}

/// One command.
#[derive(Debug, Default, Clone)]
pub struct Invocation {
    pub argv: Vec<OsString>,
    pub stdin: Vec<u8>,
    pub cwd: Option<PathBuf>,
    pub environment: Vec<(OsString, OsString)>,
}

impl Invocation {
    pub fn new<I: IntoIterator<Item = S>, S: Into<OsString>>(argv: I) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn command(&self, context: &Context) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]);
        command.envs(context.environment.iter().map(|(name, value)| (name, value)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }
}

/// How it ended. `rc` is negative for the number of a signal, as in Python.
#[derive(Debug, Clone, Default)]
pub struct Completed {
    pub rc: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Completed {
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Why there is no `Completed`.
#[derive(Debug)]
pub enum Stopped {
    /// It did not start.
    Start(io::Error),
    /// The runner was told to end; the command's process group is gone.
    Interrupted,
    /// Its time was over; the process group is gone.
    TimedOut,
}

pub const INTERRUPTED: &str = "Interrupted: the runner was told to end";

/// Runs a command to its end.
///
/// What it leaves in the background may keep its output open: only a short grace is given to that.
///
/// # Errors
/// See [`Stopped`].
pub fn run(invocation: &Invocation, context: &Context) -> Result<Completed, Stopped> {
    system::run(invocation, context)
}

/// Runs a command that is a tool of the module itself; not starting is a failure with words.
///
/// # Errors
/// When it does not start.
pub fn tool(invocation: &Invocation, context: &Context) -> Result<Completed, Failure> {
    run(invocation, context).map_err(|stopped| match stopped {
        Stopped::Start(error) => Failure::new(format!("cannot run {}: {error}", invocation.argv[0].to_string_lossy())),
        Stopped::Interrupted | Stopped::TimedOut => Failure::new(INTERRUPTED),
    })
}

/// Waits. False when the runner was told to end meanwhile.
#[must_use]
pub fn rest(seconds: f64) -> bool {
    let until = Instant::now() + Duration::from_secs_f64(seconds.max(0.0));
    loop {
        if interrupted().is_some() {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// The first of `names` that is an executable file on PATH or in the system folders.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/sbin", "/usr/sbin", "/usr/local/sbin", "/bin", "/usr/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &std::path::Path) -> bool {
    file.is_file()
}
