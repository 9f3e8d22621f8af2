//! command and shell.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use crate::args::{Args, text_of};
use crate::clock::{ansible_delta, ansible_time};
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::paths::{absolute, expand};
use crate::process::{INTERRUPTED, Invocation, Stopped, run as run_command};

struct CommandArgs {
    text: Option<String>,
    argv: Option<Vec<String>>,
    chdir: Option<PathBuf>,
    creates: Option<String>,
    removes: Option<String>,
    executable: Option<String>,
    stdin: Option<String>,
    stdin_newline: bool,
    strip: bool,
    expand: bool,
}

impl CommandArgs {
    fn read(args: &Args, shell: bool) -> Result<Self, Failure> {
        let free = args.text("_raw_params").map(|text| text.trim().to_owned());
        let text = args.text("cmd");
        if free.is_some() && text.is_some() {
            return Err(Failure::new("only a free-form command or cmd can be given, not both"));
        }
        Ok(Self {
            text: free.or(text),
            argv: if shell { None } else { argv_of(args.value("argv"))? },
            chdir: args.path("chdir"),
            creates: args.path("creates").map(|path| path.to_string_lossy().into_owned()),
            removes: args.path("removes").map(|path| path.to_string_lossy().into_owned()),
            executable: if shell {
                args.path("executable").map(|path| path.to_string_lossy().into_owned())
            } else {
                None
            },
            stdin: args.text("stdin"),
            stdin_newline: args.flag("stdin_add_newline", true)?,
            strip: args.flag("strip_empty_ends", true)?,
            expand: if shell { false } else { args.flag("expand_argument_vars", true)? },
        })
    }
}

fn argv_of(value: Option<&Value>) -> Result<Option<Vec<String>>, Failure> {
    match value {
        None => Ok(None),
        Some(Value::Array(words)) => Ok(Some(words.iter().map(text_of).collect())),
        Some(other) => Err(Failure::new(format!("argument argv must be a list, got: {}", text_of(other)))),
    }
}

/// # Errors
/// What Ansible's command fails with: a status that is not zero, a command that does not start.
pub(crate) fn run(args: &Args, context: &Context, shell: bool) -> ModuleResult {
    let own = CommandArgs::read(args, shell)?;
    let text = own.text.clone().filter(|text| !text.trim().is_empty());
    let nothing = own.argv.as_ref().is_none_or(Vec::is_empty);
    if text.is_none() && nothing {
        return Err(Failure::new("no command given").with("rc", 256));
    }
    if text.is_some() && !nothing {
        return Err(Failure::new("only command or argv can be given, not both").with("rc", 256));
    }
    let (argv, shown) = command_line(&own, text, shell)?;
    let chdir = own.chdir.as_deref().map(absolute);
    if let Some(folder) = &chdir
        && let Err(error) = std::fs::read_dir(folder)
    {
        let words = format!("Unable to change directory before execution: {error}: '{}'", folder.display());
        return Err(Failure::new(words).with("stdout", "").with("stderr", "").with("cmd", shown));
    }
    if let Some(outcome) = already(&own, chdir.as_deref(), context, &shown) {
        return Ok(outcome);
    }
    if context.check {
        return Ok(only_checked(&own, shown));
    }
    let outcome = execute(&own, argv, shown, chdir.clone(), context)?;
    Ok(match &own.creates {
        Some(creates) => glob_in(creates, chdir.as_deref()).into_iter().fold(outcome, Outcome::artifact),
        None => outcome,
    })
}

fn command_line(own: &CommandArgs, text: Option<String>, shell: bool) -> Result<(Vec<String>, Value), Failure> {
    if shell {
        let text = text.unwrap_or_default();
        let program = own.executable.clone().unwrap_or_else(default_shell);
        return Ok((vec![program, "-c".to_owned(), text.clone()], text.into()));
    }
    let words = match text {
        Some(text) => split_words(&text).ok_or_else(|| Failure::new("No closing quotation").with("cmd", text))?,
        None => own.argv.clone().unwrap_or_default(),
    };
    let shown = Value::from(words.clone());
    let words = if own.expand { words.iter().map(|word| expand(word)).collect() } else { words };
    Ok((words, shown))
}

fn default_shell() -> String {
    "/bin/sh".to_owned()
}

fn already(own: &CommandArgs, chdir: Option<&Path>, context: &Context, shown: &Value) -> Option<Outcome> {
    let would = if context.check { "Would" } else { "Did" };
    let (path, exists) = match (&own.creates, &own.removes) {
        (Some(creates), _) if !glob_in(creates, chdir).is_empty() => (creates, "exists"),
        (_, Some(removes)) if glob_in(removes, chdir).is_empty() => (removes, "does not exist"),
        _ => return None,
    };
    let stdout = format!("skipped, since {path} {exists}");
    Some(
        Outcome::new(false)
            .with("stdout", stdout)
            .with("stderr", "")
            .with("rc", 0)
            .with("cmd", shown.clone())
            .with("start", Value::Null)
            .with("end", Value::Null)
            .with("delta", Value::Null)
            .with("msg", format!("{would} not run command since '{path}' {exists}")),
    )
}

fn only_checked(own: &CommandArgs, shown: Value) -> Outcome {
    // Ansible: with creates or removes the check has told something, without it the task was skipped.
    let told = own.creates.is_some() || own.removes.is_some();
    let mut outcome = Outcome::new(told)
        .with("stdout", "")
        .with("stderr", "")
        .with("rc", 0)
        .with("cmd", shown)
        .with("start", Value::Null)
        .with("end", Value::Null)
        .with("delta", Value::Null)
        .with("msg", "Command would have run if not in check mode");
    if !told {
        outcome.set("skipped", true);
    }
    outcome
}

fn execute(
    own: &CommandArgs,
    argv: Vec<String>,
    shown: Value,
    chdir: Option<PathBuf>,
    context: &Context,
) -> ModuleResult {
    let mut invocation = Invocation::new(argv);
    invocation.cwd = chdir;
    if let Some(stdin) = &own.stdin {
        invocation.stdin = stdin.clone().into_bytes();
        if own.stdin_newline {
            invocation.stdin.push(b'\n');
        }
    }
    let began = SystemTime::now();
    let completed = match run_command(&invocation, context) {
        Ok(completed) => completed,
        Err(Stopped::Start(error)) => {
            let rc = error.raw_os_error().unwrap_or(2);
            let name = invocation.argv[0].to_string_lossy();
            return Err(Failure::new(format!("[Errno {rc}] {error}: '{name}'"))
                .with("rc", rc)
                .with("stdout", "")
                .with("stderr", "")
                .with("cmd", shown));
        }
        Err(Stopped::Interrupted | Stopped::TimedOut) => {
            return Err(Failure::new(INTERRUPTED).with("cmd", shown));
        }
    };
    let ended = SystemTime::now();
    let strip = |text: String| if own.strip { text.trim_end_matches(['\r', '\n']).to_owned() } else { text };
    let mut outcome = Outcome::new(true)
        .with("stdout", strip(completed.out()))
        .with("stderr", strip(completed.err()))
        .with("rc", completed.rc)
        .with("cmd", shown)
        .with("start", ansible_time(began))
        .with("end", ansible_time(ended))
        .with("delta", ansible_delta(ended.duration_since(began).unwrap_or_default()))
        .with("msg", "");
    if completed.rc != 0 {
        outcome.set("failed", true);
        outcome.set("msg", "non-zero return code");
    }
    Ok(outcome)
}

fn glob_in(pattern: &str, chdir: Option<&Path>) -> Vec<PathBuf> {
    let whole = match chdir {
        Some(folder) if !Path::new(pattern).is_absolute() => {
            format!("{}/{pattern}", glob::Pattern::escape(&folder.to_string_lossy()))
        }
        _ => pattern.to_owned(),
    };
    if Path::new(&whole).symlink_metadata().is_ok() {
        return vec![absolute(Path::new(&whole))];
    }
    let found: Vec<PathBuf> = glob::glob(&whole).map(|paths| paths.flatten().collect()).unwrap_or_default();
    found.iter().map(|path| absolute(path)).collect()
}

/// Words as a POSIX shell reads them, without expansion: Python's `shlex.split`. None when a quote is not closed.
#[must_use]
pub fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let into = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        other => into.push(other),
                    }
                }
            }
            '"' => {
                let into = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => match letters.next()? {
                            escaped @ ('"' | '\\') => into.push(escaped),
                            other => into.extend(['\\', other]),
                        },
                        other => into.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

/// Reads every argument: see `crate::survey`.
#[cfg(unix)]
pub(crate) fn survey(args: &Args, shell: bool) {
    let _ = CommandArgs::read(args, shell);
}

#[cfg(test)]
mod tests;
