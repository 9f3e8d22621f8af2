//! Process groups, pipes and forks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::signals::{forget_signals, interrupted};
use super::{Completed, Invocation, Stopped};
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::users::{User, supplementary};

/// How often a child is looked at whose output stays open although it may have ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long the output of a child that has ended must be quiet before we leave it to whoever holds it.
const QUIET: Duration = Duration::from_millis(100);
/// And how long at most a background process that goes on writing is listened to.
const GRACE: Duration = Duration::from_secs(1);
/// Between TERM and KILL.
const MERCY: Duration = Duration::from_secs(2);

pub(super) fn run(invocation: &Invocation, context: &Context) -> Result<Completed, Stopped> {
    let mut command = invocation.command(context);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if invocation.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
    if !context.grouped {
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(Stopped::Start)?;
    let pid = child.id().cast_signed();
    let outputs = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    let input = child.stdin.take().map(|pipe| (File::from(OwnedFd::from(pipe)), invocation.stdin.as_slice()));
    let (rc, [stdout, stderr]) = attend(pid, !context.grouped, outputs, input, None)?;
    Ok(Completed { rc, stdout, stderr })
}

/// Runs `work` in a forked child with a process group of its own: as another user, or under a time limit.
///
/// # Errors
/// [`Stopped::TimedOut`] and [`Stopped::Interrupted`]; the child's group is gone then.
pub fn in_child(
    user: Option<&User>,
    limit: Option<Duration>,
    work: impl FnOnce() -> ModuleResult,
) -> Result<ModuleResult, Stopped> {
    let (reader, writer) = io::pipe().map_err(Stopped::Start)?;
    // SAFETY: the runner has one thread, so the child may go on as if nothing had happened.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(Stopped::Start(io::Error::last_os_error())),
        0 => {
            drop(reader);
            forget_signals();
            // SAFETY: plain system call on ourselves.
            unsafe { libc::setpgid(0, 0) };
            let result = match user.map_or(Ok(()), switch_to) {
                Ok(()) => work(),
                Err(error) => Err(Failure::new(format!("cannot become {}: {error}", user_name(user)))),
            };
            let status = i32::from(File::from(OwnedFd::from(writer)).write_all(&encode(&result)).is_err());
            // SAFETY: ends the child without running the parent's destructors and buffers a second time.
            unsafe { libc::_exit(status) }
        }
        _ => {
            drop(writer);
            // SAFETY: both parent and child set the group, so neither depends on who runs first.
            unsafe { libc::setpgid(pid, pid) };
            let deadline = limit.map(|limit| Instant::now() + limit);
            let (rc, [answer]) = attend(pid, true, [Some(OwnedFd::from(reader))], None, deadline)?;
            Ok(decode(&answer).unwrap_or_else(|| Err(Failure::new(format!("the module's process died ({rc})")))))
        }
    }
}

fn user_name(user: Option<&User>) -> &str {
    user.map_or("", |user| user.name.as_str())
}

fn switch_to(user: &User) -> io::Result<()> {
    let groups: Vec<libc::gid_t> = supplementary(user);
    let check = |status: libc::c_int| if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: the pointer and length describe a live vector; the rest are plain system calls.
    // The order matters: after setuid the right to change groups is gone.
    unsafe {
        #[allow(clippy::useless_conversion)] // the count is an int on some targets
        let count = groups.len().try_into().unwrap_or_default();
        check(libc::setgroups(count, groups.as_ptr()))?;
        check(libc::setgid(user.gid))?;
        check(libc::setuid(user.uid))?;
        // What sudo -H and su do, and what commands look at; one thread, so the environment is ours.
        std::env::set_var("HOME", &user.home);
        std::env::set_var("USER", &user.name);
        std::env::set_var("LOGNAME", &user.name);
        std::env::set_var("SHELL", &user.shell);
    }
    if std::env::current_dir().is_err() {
        std::env::set_current_dir("/")?;
    }
    Ok(())
}

fn encode(result: &ModuleResult) -> Vec<u8> {
    let value = match result {
        Ok(outcome) => json!({"ok": outcome.fields, "artifacts": outcome.artifacts}),
        Err(failure) => json!({"failure": failure.message, "fields": failure.fields}),
    };
    value.to_string().into_bytes()
}

fn decode(bytes: &[u8]) -> Option<ModuleResult> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    let mut fields = |key: &str| match value[key].take() {
        Value::Object(fields) => Some(fields),
        _ => None,
    };
    if let Some(fields) = fields("ok") {
        let artifacts: Vec<PathBuf> = serde_json::from_value(value["artifacts"].take()).ok()?;
        return Some(Ok(Outcome { fields, artifacts }));
    }
    let fields = fields("fields")?;
    Some(Err(Failure { message: value["failure"].as_str()?.to_owned(), fields }))
}

/// Feeds a child, collects what it writes, and reaps it.
fn attend<const N: usize>(
    pid: i32,
    group: bool,
    outputs: [Option<OwnedFd>; N],
    mut input: Option<(File, &[u8])>,
    deadline: Option<Instant>,
) -> Result<(i32, [Vec<u8>; N]), Stopped> {
    let mut files = outputs.map(|fd| fd.map(File::from));
    let mut collected: [Vec<u8>; N] = std::array::from_fn(|_| Vec::new());
    if let Some((file, _)) = &input {
        set_nonblocking(file).map_err(Stopped::Start)?;
    }
    let mut ended: Option<(i32, Instant)> = None;
    loop {
        let stop = if interrupted().is_some() {
            Some(Stopped::Interrupted)
        } else if deadline.is_some_and(|deadline| Instant::now() >= deadline) && ended.is_none() {
            Some(Stopped::TimedOut)
        } else {
            None
        };
        if let Some(stop) = stop {
            end_group(pid, group, ended.is_some());
            return Err(stop);
        }
        let open = files.iter().any(Option::is_some);
        let wait = if ended.is_some() { QUIET } else { LOOK };
        let ready = wait_for(&mut files, &mut collected, &mut input, wait);
        if ended.is_none() {
            if !open && input.is_none() {
                pause(Duration::from_millis(1));
            }
            ended = reap(pid, false).map(|rc| (rc, Instant::now()));
        }
        if let Some((rc, since)) = ended
            && (!files.iter().any(Option::is_some) || (!ready && since.elapsed() >= QUIET) || since.elapsed() >= GRACE)
        {
            return Ok((rc, collected));
        }
    }
}

fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Waits for at most `wait` and moves what is there to be moved. True when something was.
fn wait_for<const N: usize>(
    files: &mut [Option<File>; N],
    collected: &mut [Vec<u8>; N],
    input: &mut Option<(File, &[u8])>,
    wait: Duration,
) -> bool {
    let entry = |file: Option<&File>, events| libc::pollfd {
        fd: file.map_or(-1, AsRawFd::as_raw_fd), // poll skips negative descriptors
        events,
        revents: 0,
    };
    let mut entries: Vec<libc::pollfd> = files.iter().map(|file| entry(file.as_ref(), libc::POLLIN)).collect();
    entries.push(entry(input.as_ref().map(|(file, _)| file), libc::POLLOUT));
    if entries.iter().all(|entry| entry.fd < 0) {
        return false;
    }
    let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer and length describe a live vector.
    let count = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, millis) };
    if count <= 0 {
        return false;
    }
    for (index, entry) in entries[..N].iter().enumerate() {
        if entry.revents == 0 {
            continue;
        }
        let mut buffer = [0; 64 * 1024];
        let count = files[index].as_mut().map_or(Ok(0), |file| file.read(&mut buffer));
        match count {
            Ok(0) => files[index] = None,
            Ok(count) => collected[index].extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => files[index] = None,
        }
    }
    if entries[N].revents != 0 {
        let finished = match input {
            None => true,
            Some((file, rest)) => match file.write(rest) {
                Ok(count) => {
                    *rest = &rest[count..];
                    rest.is_empty()
                }
                Err(error) => !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock),
            },
        };
        if finished {
            *input = None; // a command need not read its input: a broken pipe is its choice
        }
    }
    true
}

fn set_nonblocking(file: &File) -> io::Result<()> {
    // SAFETY: plain system calls on a descriptor that lives through them.
    unsafe {
        let flags = libc::fcntl(file.as_raw_fd(), libc::F_GETFL);
        if flags < 0 || libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The child's status once it has ended; waits for it when told to.
fn reap(pid: i32, wait: bool) -> Option<i32> {
    let mut status = 0;
    loop {
        // SAFETY: the pointer is valid; the pid is a child of ours that was not reaped yet.
        let got = unsafe { libc::waitpid(pid, &raw mut status, if wait { 0 } else { libc::WNOHANG }) };
        if got == pid {
            return Some(if libc::WIFSIGNALED(status) { -libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) });
        }
        if got == 0 {
            return None;
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Some(-1); // not ours to wait for any more
        }
    }
}

/// TERM to the child's whole process group; two seconds later KILL to what is left of it.
fn end_group(pid: i32, group: bool, mut reaped: bool) {
    let target = if group { -pid } else { pid };
    // SAFETY: plain system calls; the group's number stays taken while one of its members lives.
    let signal = |number| unsafe { libc::kill(target, number) == 0 };
    signal(libc::SIGTERM);
    signal(libc::SIGCONT); // a stopped process would not see it
    let until = Instant::now() + MERCY;
    while Instant::now() < until {
        reaped = reaped || reap(pid, false).is_some();
        if reaped && !(group && group_lives(pid)) {
            return;
        }
        pause(Duration::from_millis(10));
    }
    signal(libc::SIGKILL);
    if !reaped {
        reap(pid, true);
    }
}

/// Whether a process of the group runs. Where /proc tells, zombies do not count: a container's init may never reap
/// them.
fn group_lives(group: i32) -> bool {
    // SAFETY: a plain system call; signal 0 only asks.
    if unsafe { libc::kill(-group, 0) } != 0 {
        return false;
    }
    let Ok(entries) = std::fs::read_dir("/proc") else { return true };
    let mut seen = false;
    for entry in entries.flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        seen = true;
        // "pid (any name) state ppid pgrp ..."
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let state = fields.next();
        if state != Some("Z") && fields.nth(1) == Some(group.to_string().as_str()) {
            return true;
        }
    }
    !seen
}
