//! What the runner writes: JSON lines, each flushed, with every known secret masked.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use runner_modules::Fields;
use runner_modules::clock::rfc3339;
use serde::Serialize;
use serde_json::{Value, json};

use crate::mask::Mask;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ok,
    Changed,
    Failed,
    Skipped,
}

/// One task that has ended. `result` is None under no_log.
#[derive(Debug)]
pub(crate) struct TaskRecord<'a> {
    pub task_id: &'a str,
    pub name: String,
    pub module: &'a str,
    pub handler: bool,
    pub status: Status,
    pub start: SystemTime,
    pub duration: Duration,
    pub artifacts: Vec<String>,
    pub ignored: bool,
    pub attempts: u64,
    pub skip_reason: Option<String>,
    pub msg: String,
    pub result: Option<&'a Fields>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub ok: u64,
    pub changed: u64,
    pub failed: u64,
    pub skipped: u64,
    pub ignored: u64,
}

pub(crate) struct Recorder<'a, W> {
    out: W,
    /// Has every line before `out` has it.
    records: Option<&'a File>,
    mask: Mask,
    pub counts: Counts,
}

fn span(duration: Duration) -> Value {
    json!({"secs": duration.as_secs(), "nanos": duration.subsec_nanos()})
}

impl<'a, W: Write> Recorder<'a, W> {
    pub(crate) fn new(out: W, records: Option<&'a File>, mask: Mask) -> Self {
        Self { out, records, mask, counts: Counts::default() }
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        let mut line = value.to_string();
        line.push('\n');
        // Whoever listens is told what has ended all the same.
        let kept = self.records.map_or(Ok(()), |mut file| file.write_all(line.as_bytes()));
        self.out.write_all(line.as_bytes())?;
        self.out.flush()?;
        kept
    }

    /// # Errors
    /// When nobody reads any more.
    pub(crate) fn start(&mut self, task_id: &str) -> io::Result<()> {
        self.line(&json!({"type": "start", "task_id": task_id}))
    }

    /// What a task leaves to later ones, as it is: only who runs the plan's parts asks for it, and shows it to nobody.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(crate) fn state(
        &mut self,
        task_id: &str,
        registered: Fields,
        facts: Fields,
        notified: Vec<&str>,
    ) -> io::Result<()> {
        if registered.is_empty() && facts.is_empty() && notified.is_empty() {
            return Ok(());
        }
        self.line(&json!({
            "type": "state", "task_id": task_id, "registered": registered, "facts": facts, "notified": notified,
        }))
    }

    /// # Errors
    /// When nobody reads any more.
    pub(crate) fn task(&mut self, record: &TaskRecord<'_>) -> io::Result<()> {
        match (record.status, record.ignored) {
            (_, true) => self.counts.ignored += 1,
            (Status::Ok, _) => self.counts.ok += 1,
            (Status::Changed, _) => self.counts.changed += 1,
            (Status::Failed, _) => self.counts.failed += 1,
            (Status::Skipped, _) => self.counts.skipped += 1,
        }
        let own = |name: &str| record.result.and_then(|result| result.get(name));
        let text = |name: &str| match own(name) {
            Some(Value::String(text)) => self.mask.text(text),
            _ => String::new(),
        };
        let mut line = json!({
            "type": "task",
            "task_id": record.task_id,
            "name": self.mask.text(&record.name),
            "module": record.module,
            "handler": record.handler,
            "status": record.status,
            "msg": self.mask.text(&record.msg),
            "stdout": text("stdout"),
            "stderr": text("stderr"),
            "rc": own("rc").filter(|rc| rc.is_i64()),
            "start": rfc3339(record.start),
            "duration": span(record.duration),
            "artifacts": record.artifacts.iter().map(|path| self.mask.text(path)).collect::<Vec<_>>(),
            "ignored": record.ignored,
            "attempts": record.attempts,
            "skip_reason": record.skip_reason.as_deref().map(|reason| self.mask.text(reason)),
        });
        if let Some(result) = record.result {
            line["result"] = self.mask.value(&Value::Object(result.clone()));
        }
        self.line(&line)
    }

    /// # Errors
    /// When nobody reads any more.
    pub(crate) fn report(&mut self, run: &RunFacts<'_>, exit_code: u8) -> io::Result<()> {
        let counts = &self.counts;
        let line = json!({
            "type": "report", "host": run.host, "plan_id": run.plan_id, "payload_sha256": run.payload_sha256,
            "ok": counts.ok, "changed": counts.changed, "failed": counts.failed, "skipped": counts.skipped,
            "ignored": counts.ignored, "start": rfc3339(run.start),
            "duration": span(run.began.elapsed()), "exit_code": exit_code,
        });
        self.line(&line)
    }
}

/// What the report says of the run as a whole.
#[derive(Debug)]
pub(crate) struct RunFacts<'a> {
    pub host: &'a str,
    pub plan_id: &'a str,
    pub payload_sha256: &'a str,
    pub start: SystemTime,
    pub began: std::time::Instant,
}
