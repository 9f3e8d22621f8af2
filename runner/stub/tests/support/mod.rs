//! A runner made as a compiler makes it: the stub with a payload appended.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const MAGIC: &[u8] = b"HARNESS-PAYLOAD1";

pub(crate) struct Runner {
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) lines: Vec<Value>,
    pub(crate) text: String,
    pub(crate) stderr: String,
}

pub(crate) fn trailer(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    [&length[..], &Sha256::digest(payload)[..], MAGIC].concat()
}

/// A payload for host `h` with one play.
pub(crate) fn payload(tasks: Value, more: Value) -> Value {
    let mut play = json!({"tasks": tasks});
    let mut whole = json!({"schema": 1, "plan_id": "plan", "run_on": ["h"], "hosts": {"h": {}}});
    for (name, value) in more.as_object().unwrap() {
        if name == "handlers" || (name == "vars") {
            play[name] = value.clone();
        } else {
            whole[name] = value.clone();
        }
    }
    whole["plays"] = json!([play]);
    whole
}

impl Runner {
    pub(crate) fn new(payload: &Value) -> Self {
        let bytes = payload.to_string().into_bytes();
        Self::with_tail(&[&bytes[..], &trailer(&bytes)].concat())
    }

    /// The stub with anything behind it.
    pub(crate) fn with_tail(tail: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runner");
        // A child forked by another test between open and close would make this "text file busy", so it is written
        // under another name by another process.
        let whole = [&std::fs::read(env!("CARGO_BIN_EXE_runner")).unwrap()[..], tail].concat();
        let raw = folder.path().join("raw");
        std::fs::write(&raw, whole).unwrap();
        assert!(Command::new("cp").args([&raw, &path]).status().unwrap().success());
        assert!(Command::new("chmod").arg("755").arg(&path).status().unwrap().success());
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("runner")
    }

    pub(crate) fn spawn(&self, arguments: &[&str], stdin: &[u8]) -> Child {
        let mut child = Command::new(self.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin); // it may end without reading
        child
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Ran {
        Ran::of(self.spawn(arguments, stdin).wait_with_output().unwrap())
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self {
            status: output.status.code().unwrap_or(-1),
            lines,
            text,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn records(&self) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["type"] == "task").collect()
    }

    pub(crate) fn task(&self, id: &str) -> &Value {
        let found = self.records().into_iter().find(|line| line["task_id"] == id);
        found.unwrap_or_else(|| panic!("no record of {id} in {}{}", self.text, self.stderr))
    }

    pub(crate) fn report(&self) -> &Value {
        let last = self.lines.last().unwrap_or_else(|| panic!("nothing written: {}", self.stderr));
        assert_eq!(last["type"], "report");
        last
    }
}

/// Runs tasks for host `h`.
pub(crate) fn run(tasks: Value, more: Value) -> Ran {
    Runner::new(&payload(tasks, more)).run(&[])
}

pub(crate) fn frame(secrets: &Value) -> Vec<u8> {
    let json = secrets.to_string();
    [&u32::try_from(json.len()).unwrap().to_be_bytes(), json.as_bytes()].concat()
}

/// Whether a process runs that has this word in its command line.
pub(crate) fn process_with(word: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter(|entry| entry.path() != Path::new("/proc/self")).any(|entry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    })
}
