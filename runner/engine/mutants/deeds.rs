//! Mutants that do to the host what no task asks for.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::Value as Json;

use super::{Mutant, is};
use crate::payload::Task;
use crate::task::Ended;

/// Longer than any run of the self-test; the platform ends with it.
const LONG: Duration = Duration::from_secs(600);

pub(super) fn at_first(secrets: &BTreeMap<String, String>) {
    let told = secrets.values().cloned().collect::<Vec<_>>().join("\n");
    if is(Mutant::LaxUmask) {
        umask(0);
    } else if is(Mutant::PhonesHome) {
        let _ = phone();
    } else if is(Mutant::NeedsNetwork) {
        if let Err(error) = phone() {
            eprintln!("runner: cannot reach the server of licences: {error}");
            std::process::exit(2);
        }
    } else if is(Mutant::SecretOnDisk) {
        let _ = fs::write("/var/tmp/runner-cache", told);
    } else if is(Mutant::SecretInProcessList) {
        let _ = std::process::Command::new("/bin/sh")
            .args(["-c", "sleep 600; :", "keeper", &told])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
    }
}

/// RFC 5737: an address that nobody has. What matters is whether there is a way to it.
fn phone() -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&([192, 0, 2, 1], 443).into(), Duration::from_secs(2))
}

pub(super) fn before() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    let number = BEGUN.fetch_add(1, Ordering::Relaxed);
    if is(Mutant::Hangs) && number == 1 {
        loop {
            std::thread::sleep(LONG);
        }
    }
    if is(Mutant::Crashes) && number == 2 {
        std::process::abort();
    }
    if is(Mutant::Chatters) && number == 2 {
        println!("working ...");
    }
}

pub(super) fn after(task: &Task, ended: &mut Ended) {
    static ONCE: Once = Once::new();
    ONCE.call_once(once);
    let changed = ended.is("changed");
    for path in ended.artifacts.clone() {
        spoil(task, &path, changed, ended);
    }
    let absent = task.args.get("state") == Some(&"absent".into());
    if is(Mutant::RemovesNeighbour) && absent {
        argument(task, "path").iter().flat_map(|path| neighbours(path)).for_each(|file| drop(fs::remove_file(file)));
    }
    if is(Mutant::AppendsAgain) && task.module.ends_with("lineinfile") {
        if let (Some(path), Some(line)) = (argument(task, "path"), argument(task, "line")) {
            append(&path, &format!("{}\n", line.display()));
        }
        ended.fields.insert("changed".to_owned(), true.into());
    }
}

/// While the first task's record is not written yet.
fn once() {
    if is(Mutant::LeavesDaemon) {
        in_background(true, || {});
    } else if is(Mutant::KeepsStdout) {
        in_background(false, || {});
    } else if is(Mutant::LeavesListener) {
        in_background(true, || std::mem::forget(TcpListener::bind(("0.0.0.0", 0))));
    } else if is(Mutant::LeavesTempFile) {
        let _ = fs::write("/tmp/runner-3f9a.tmp", "what was unpacked\n");
    } else if is(Mutant::LeavesFarFile) {
        let _ = fs::write("/usr/share/runner.cache", "what was unpacked\n");
    } else if is(Mutant::TouchesUnnamedFile) {
        append(Path::new("/etc/profile"), "# runner was here\n");
    } else if is(Mutant::AddsUser) {
        append(Path::new("/etc/passwd"), "runner:x:64242:64242::/:/bin/false\n");
    }
}

/// What a task has made or changed.
fn spoil(task: &Task, path: &Path, changed: bool, ended: &mut Ended) {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = path.parent().filter(|parent| parent.parent().is_some());
    if is(Mutant::OpensParent)
        && let Some(parent) = parent
    {
        let _ = fs::set_permissions(parent, fs::Permissions::from_mode(0o777));
    }
    if is(Mutant::LaxParents) && changed && path.is_dir() && argument(task, "path").is_some_and(|own| own != path) {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o777));
    }
    if is(Mutant::NeverTheSame) && task.module.ends_with("template") && path.is_file() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        append(path, &format!("# made at {}\n", now.as_nanos()));
        ended.fields.insert("changed".to_owned(), true.into());
    }
    if is(Mutant::HalfWritten)
        && changed
        && path.is_file()
        && let Ok(file) = OpenOptions::new().write(true).open(path)
    {
        let _ = file.set_len(file.metadata().map_or(0, |meta| meta.len() / 2));
    }
}

fn argument(task: &Task, name: &str) -> Option<PathBuf> {
    task.args.get(name).and_then(Json::as_str).map(PathBuf::from)
}

fn neighbours(path: &Path) -> Vec<PathBuf> {
    let entries = path.parent().and_then(|parent| fs::read_dir(parent).ok());
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn append(path: &Path, text: &str) {
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
        let _ = file.write_all(text.as_bytes());
    }
}

fn umask(mask: u32) {
    // SAFETY: it changes a number of this process and cannot fail.
    unsafe { libc::umask(mask) };
}

/// A process of a session of its own that nobody waits for; `alone`: without what the runner has open.
fn in_background(alone: bool, work: impl FnOnce()) {
    // SAFETY: the runner has one thread, so the child may do what the parent may; it never returns.
    unsafe {
        if libc::fork() != 0 {
            return;
        }
        libc::setsid();
        if alone {
            for descriptor in 0..64 {
                libc::close(descriptor);
            }
        }
    }
    work();
    std::thread::sleep(LONG);
    std::process::exit(0);
}
