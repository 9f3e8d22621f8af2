//! The places at which a mutant is wrong (`../mutants`, for `harness selftest` alone). An honest runner does nothing here.

use std::collections::BTreeMap;
use std::ops::Range;

use runner_modules::Fields;

use crate::mask::Mask;
use crate::payload::{Payload, Play, Task};
use crate::record::TaskRecord;
use crate::task::Ended;

/// The plan that is run instead of the one that was embedded.
pub(crate) fn plan(payload: Payload) -> Payload {
    payload
}

/// Before the first task.
pub(crate) fn begins(_: &BTreeMap<String, String>) {}

/// What hides secrets in all that is written.
pub(crate) fn mask(mask: Mask) -> Mask {
    mask
}

/// Before a task runs.
pub(crate) fn before() {}

/// What a task is said to have come to.
pub(crate) fn ended(_: &Task, _: &mut Ended) {}

/// What later tasks are told of it.
pub(crate) fn registered(fields: &Fields) -> Fields {
    fields.clone()
}

/// Handlers that are run as if they had been notified, by their place in the play.
pub(crate) fn unasked(_: &Play) -> Range<usize> {
    0..0
}

/// How often a handler that was notified runs.
pub(crate) fn handler_runs() -> usize {
    1
}

/// The record as it is written, and how often.
pub(crate) fn record(_: &mut TaskRecord<'_>) -> usize {
    1
}

/// Whether the run ends with a task that failed.
pub(crate) fn stops_at_failure() -> bool {
    true
}

/// When all is done.
pub(crate) fn exit_code(code: u8) -> u8 {
    code
}
