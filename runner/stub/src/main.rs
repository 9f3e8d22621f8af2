//! The stub: a runner without a plan. A compiler appends the plan (docs/runner-contract.md).

mod cli;
mod frame;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cli::{Command, Invocation};
use runner_engine::{Options, Part, Payload, TagFilter, embed, run};
use serde_json::json;

/// It could not start: nothing was touched.
const NOT_STARTED: u8 = 2;

fn main() -> ExitCode {
    match start() {
        Ok(status) => ExitCode::from(status),
        Err(words) => {
            let _ = writeln!(io::stderr(), "runner: {words}");
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn start() -> Result<u8, String> {
    let invocation = match cli::parse()? {
        Command::Help => return say(cli::HELP),
        Command::Version => return say(&format!("runner {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Honours => return say(runner_modules::honours::HONOURS_JSON),
        Command::Run(invocation) => invocation,
    };
    let embedded = embed::read(&executable()?)?;
    let payload = Payload::parse(&embedded.bytes)?;
    if invocation.verify {
        let line = json!({
            "type": "verify", "schema": payload.schema, "payload_sha256": embedded.sha256,
            "plan_id": payload.plan_id, "run_on": payload.run_on,
        });
        return say(&format!("{line}\n"));
    }
    let host = choose_host(&invocation, &payload)?;
    let secrets = frame::read(io::stdin(), &payload.secrets)?;
    let part = if invocation.part { Some(Part::parse(&frame::part(io::stdin())?, &payload)?) } else { None };
    let records = invocation.records.as_deref().map(new_file).transpose()?;
    runner_modules::process::watch_signals();
    let options = Options {
        host,
        tags: TagFilter { only: invocation.tags, skip: invocation.skip_tags },
        check: invocation.check,
        diff: invocation.diff,
        state: invocation.state || invocation.part,
        records,
        part,
    };
    match run(&payload, &embedded.sha256, secrets, &options, io::stdout().lock()) {
        Ok(status) => Ok(status),
        // Nobody reads any more: the run ended with the task before, and there is nobody to tell.
        Err(error) => {
            let _ = writeln!(io::stderr(), "runner: stopped, for its output cannot be written: {error}");
            Ok(1)
        }
    }
}

fn say(text: &str) -> Result<u8, String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(0),
        Err(error) => Err(format!("cannot write: {error}")),
    }
}

/// It may hold secrets: nobody else's to read, and nothing that somebody has laid there.
fn new_file(path: &Path) -> Result<File, String> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| format!("cannot make {}: {error}", path.display()))
}

/// The file that this process runs from. On Linux by the kernel's link, which holds when the name is gone.
fn executable() -> Result<PathBuf, String> {
    let own = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && own.exists() {
        return Ok(own);
    }
    std::env::current_exe().map_err(|error| format!("cannot find my own executable: {error}"))
}

fn choose_host(invocation: &Invocation, payload: &Payload) -> Result<String, String> {
    let listed = payload.run_on.join(", ");
    match (&invocation.host, payload.run_on.as_slice()) {
        (Some(host), hosts) if hosts.contains(host) => Ok(host.clone()),
        (Some(host), _) => Err(format!("host '{host}' is not one that this binary is for ({listed})")),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(format!("this binary is for several hosts, name one with --host: {listed}")),
    }
}
