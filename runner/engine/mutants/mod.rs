//! A runner that is wrong on purpose, in one named way: `harness selftest` alone builds it, to prove that such a runner
//! cannot pass. The functions are those of `honest.rs`, which stands here otherwise.
//!
//! What each mutant is, and which check catches it, is told in `docs/selftest.md`.

mod deeds;
mod plan;
mod words;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use runner_modules::Fields;
use serde::Deserialize;

use crate::mask::Mask;
use crate::payload::{Payload, Play, Task};
use crate::record::TaskRecord;
use crate::task::Ended;

/// One way to be wrong. The payload names it; one build serves all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    // It runs another plan than the one it was given: plan.rs.
    IgnoresConditions,
    SkipsConditional,
    InvertsConditions,
    MistakesHost,
    IgnoresTaskVars,
    NeverNotifies,
    SwapsOrder,
    LoopsOnce,
    LoopsOneShort,
    IgnoresCreates,
    NeverRetries,
    IgnoresTimeout,
    StaysRoot,
    IgnoresEnvironment,
    IgnoresFailedWhen,
    WrongMode,
    IgnoresMode,
    IgnoresOwner,
    WrongByte,
    CarriageReturns,
    CutsLastNewline,
    WrongLinkTarget,
    KeepsBraces,
    OnlyPretends,
    StopsEarly,
    ForgetsLastPlay,
    // It says something else than what was: words.rs.
    SaysChangedDoesNothing,
    SaysOkButChanged,
    SaysChangedAlways,
    SaysSkippedButRan,
    HidesFailure,
    SwallowsStderr,
    WrongRc,
    CutsOutput,
    RegistersNothing,
    RegistersLastResult,
    LosesRecord,
    RepeatsRecord,
    ClaimsArtifacts,
    MasksNothing,
    LongTimes,
    NoTimes,
    ClockAhead,
    // It does what no task asks for, or not what it should: deeds.rs.
    HandlesTwice,
    HandlesUnasked,
    GoesOnAfterFailure,
    ExitsZero,
    Hangs,
    Crashes,
    Chatters,
    LeavesDaemon,
    LeavesListener,
    KeepsStdout,
    LeavesTempFile,
    LeavesFarFile,
    TouchesUnnamedFile,
    AddsUser,
    OpensParent,
    LaxParents,
    RemovesNeighbour,
    NeverTheSame,
    AppendsAgain,
    HalfWritten,
    LaxUmask,
    NeedsNetwork,
    PhonesHome,
    SecretOnDisk,
    SecretInProcessList,
}

static CHOSEN: OnceLock<Mutant> = OnceLock::new();

fn is(mutant: Mutant) -> bool {
    CHOSEN.get() == Some(&mutant)
}

pub(crate) fn plan(mut payload: Payload) -> Payload {
    if let Some(mutant) = payload.mutant {
        let _ = CHOSEN.set(mutant);
        plan::rewrite(mutant, &mut payload);
    }
    payload
}

pub(crate) fn begins(secrets: &BTreeMap<String, String>) {
    deeds::at_first(secrets);
}

pub(crate) fn mask(mask: Mask) -> Mask {
    if is(Mutant::MasksNothing) { Mask::default() } else { mask }
}

pub(crate) fn before() {
    deeds::before();
}

pub(crate) fn ended(task: &Task, ended: &mut Ended) {
    deeds::after(task, ended);
    words::result(ended);
}

pub(crate) fn registered(fields: &Fields) -> Fields {
    words::registered(fields)
}

pub(crate) fn unasked(play: &Play) -> Range<usize> {
    0..if is(Mutant::HandlesUnasked) { play.handlers.len() } else { 0 }
}

pub(crate) fn handler_runs() -> usize {
    if is(Mutant::HandlesTwice) { 2 } else { 1 }
}

pub(crate) fn record(record: &mut TaskRecord<'_>) -> usize {
    words::record(record)
}

pub(crate) fn stops_at_failure() -> bool {
    !is(Mutant::GoesOnAfterFailure)
}

pub(crate) fn exit_code(code: u8) -> u8 {
    if is(Mutant::ExitsZero) { 0 } else { code }
}
