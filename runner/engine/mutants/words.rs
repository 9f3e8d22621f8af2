//! Mutants that say something else than what was.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runner_modules::Fields;
use serde_json::{Value as Json, json};

use super::{Mutant, is};
use crate::record::TaskRecord;
use crate::task::Ended;

const AN_HOUR: Duration = Duration::from_secs(3600);

pub(super) fn result(ended: &mut Ended) {
    let (changed, failed, skipped) = (ended.is("changed"), ended.is("failed"), ended.is("skipped"));
    let fields = &mut ended.fields;
    let mut set = |name: &str, value: Json| drop(fields.insert(name.to_owned(), value));
    if is(Mutant::SaysOkButChanged) && changed {
        set("changed", false.into());
    } else if is(Mutant::SaysChangedAlways) && !failed && !skipped {
        set("changed", true.into());
    } else if is(Mutant::SaysSkippedButRan) && changed {
        set("skipped", true.into());
        set("changed", false.into());
        set("skip_reason", "Conditional result was False".into());
    } else if is(Mutant::HidesFailure) && failed {
        set("failed", false.into());
        set("msg", "".into());
    } else if is(Mutant::SwallowsStderr) && fields.contains_key("stderr") {
        fields.insert("stderr".to_owned(), "".into());
        fields.insert("stderr_lines".to_owned(), json!([]));
    } else if is(Mutant::WrongRc) && fields.contains_key("rc") {
        fields.insert("rc".to_owned(), 0.into());
    } else if is(Mutant::CutsOutput)
        && let Some(Json::String(text)) = fields.get("stdout")
    {
        let first = text.lines().next().unwrap_or_default().to_owned();
        fields.insert("stdout_lines".to_owned(), json!([first]));
        fields.insert("stdout".to_owned(), first.into());
    }
}

pub(super) fn registered(fields: &Fields) -> Fields {
    static LAST: Mutex<Option<Fields>> = Mutex::new(None);
    if is(Mutant::RegistersNothing) {
        return Fields::new();
    }
    let mut last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = last.replace(fields.clone());
    if is(Mutant::RegistersLastResult) { before.unwrap_or_default() } else { fields.clone() }
}

pub(super) fn record(record: &mut TaskRecord<'_>) -> usize {
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    if is(Mutant::LongTimes) {
        record.duration += AN_HOUR;
    } else if is(Mutant::NoTimes) {
        record.duration = Duration::ZERO;
    } else if is(Mutant::ClockAhead) {
        record.start += AN_HOUR;
    } else if is(Mutant::ClaimsArtifacts) && !record.artifacts.is_empty() {
        record.artifacts = vec![format!("{}.d/never-made", record.artifacts[0])];
    }
    match number {
        2 if is(Mutant::LosesRecord) => 0,
        2 if is(Mutant::RepeatsRecord) => 2,
        _ => 1,
    }
}
