//! Calls of git: nothing is asked of anybody, and no password of an address is told.

use std::path::Path;

use super::GitArgs;
use crate::context::Context;
use crate::outcome::Failure;
use crate::process::{Completed, Invocation, find_program, tool};

pub(super) struct Git<'a> {
    program: String,
    ssh: String,
    context: &'a Context,
    pub dest: Option<&'a Path>,
    /// The password in the repository's address.
    secret: Option<String>,
}

impl<'a> Git<'a> {
    pub(super) fn new(own: &'a GitArgs, context: &'a Context) -> Result<Self, Failure> {
        let program = match &own.executable {
            Some(program) => program.to_string_lossy().into_owned(),
            None => find_program("git")
                .map(|program| program.to_string_lossy().into_owned())
                .ok_or_else(|| Failure::new("Failed to find required executable \"git\": install it first"))?,
        };
        let login = own.repo.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        let secret = login.and_then(|(login, _)| login.split_once(':')).map(|(_, password)| password.to_owned());
        Ok(Self { program, ssh: ssh_command(own, context), context, dest: own.dest.as_deref(), secret })
    }

    fn run(&self, words: &[&str], inside: bool) -> Result<Completed, Failure> {
        let mut invocation = Invocation::new(std::iter::once(self.program.as_str()).chain(words.iter().copied()))
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSH_COMMAND", &self.ssh);
        if inside {
            invocation.cwd = self.dest.map(Path::to_path_buf);
        }
        tool(&invocation, self.context)
    }

    fn must(&self, words: &[&str], inside: bool) -> Result<String, Failure> {
        let done = self.run(words, inside)?;
        if done.rc == 0 {
            return Ok(self.masked(done.out().trim_end()));
        }
        let (out, err) = (self.masked(&done.out()), self.masked(&done.err()));
        let last = if err.trim().is_empty() { out.trim() } else { err.trim() };
        let failure = Failure::new(format!("git {} failed: {last}", words[0]));
        Err(failure.with("rc", done.rc).with("stdout", out.as_str()).with("stderr", err.as_str()))
    }

    fn masked(&self, text: &str) -> String {
        match self.secret.as_deref() {
            Some(secret) if !secret.is_empty() => text.replace(secret, "********"),
            _ => text.to_owned(),
        }
    }

    /// Its output in the working copy, without the end of the last line.
    pub(super) fn text(&self, words: &[&str]) -> Result<String, Failure> {
        self.must(words, true)
    }

    /// The same, where there need be no working copy yet.
    pub(super) fn outside(&self, words: &[&str]) -> Result<String, Failure> {
        self.must(words, false)
    }

    pub(super) fn succeeds(&self, words: &[&str]) -> Result<bool, Failure> {
        Ok(self.run(words, true)?.rc == 0)
    }
}

fn ssh_command(own: &GitArgs, context: &Context) -> String {
    let given =
        context.environment.iter().rev().find(|(name, _)| name == "GIT_SSH_COMMAND").map(|(_, value)| value.clone());
    let given = given.or_else(|| std::env::var_os("GIT_SSH_COMMAND"));
    let mut command = given.map_or_else(|| "ssh".to_owned(), |given| given.to_string_lossy().into_owned());
    let mut add = |words: &str| command.push_str(&format!(" {words}"));
    add("-o BatchMode=yes");
    if let Some(options) = &own.ssh_opts {
        add(options);
    }
    if own.accept_hostkey {
        add("-o StrictHostKeyChecking=no");
    }
    if own.accept_newhostkey {
        add("-o StrictHostKeyChecking=accept-new");
    }
    if let Some(key) = &own.key_file {
        add(&format!("-i '{}' -o IdentitiesOnly=yes", key.to_string_lossy().replace('\'', r"'\''")));
    }
    command
}
