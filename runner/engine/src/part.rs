//! A part of a plan, and what travels between parts: docs/runner-contract.md, "Parts".

use std::collections::BTreeSet;
use std::sync::Arc;

use runner_modules::Fields;
use serde::Deserialize;

use crate::payload::{Payload, Play, Task};
use crate::scope::Gathered;

/// What of the plan is to be run, and what its other parts, run elsewhere, have brought forth.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its number in the payload, from 0.
    pub play: usize,
    #[serde(default)]
    pub tasks: Vec<String>,
    /// In the order in which they are to run.
    #[serde(default)]
    pub handlers: Vec<String>,
    #[serde(default)]
    pub registered: Fields,
    #[serde(default)]
    pub facts: Fields,
}

impl Part {
    /// # Errors
    /// Words for a part that this payload has not.
    pub fn parse(bytes: &[u8], payload: &Payload) -> Result<Self, String> {
        // The parser's error could quote a value that is a secret, so it is not passed on.
        let part: Self = serde_json::from_slice(bytes).map_err(|_| "the frame of the part is malformed".to_owned())?;
        let play = payload.plays.get(part.play).ok_or_else(|| format!("the plan has no play {}", part.play))?;
        let known = |tasks: &[Task], wanted: &[String]| {
            let ids: BTreeSet<&str> = tasks.iter().map(|task| task.task_id.as_str()).collect();
            wanted.iter().find(|id| !ids.contains(id.as_str())).cloned()
        };
        match known(&play.tasks, &part.tasks).or_else(|| known(&play.handlers, &part.handlers)) {
            Some(id) => Err(format!("play {} has no '{id}'", part.play)),
            None => Ok(part),
        }
    }

    pub(crate) fn gathered(&self) -> Gathered {
        Gathered { facts: Arc::new(self.facts.clone()), registered: Arc::new(self.registered.clone()) }
    }

    /// Its tasks in the plan's order, then its handlers in its own.
    pub(crate) fn work<'a>(&'a self, play: &'a Play) -> impl Iterator<Item = (&'a Task, bool)> {
        let tasks = play.tasks.iter().filter(|task| self.tasks.contains(&task.task_id)).map(|task| (task, false));
        let handler = |id: &'a String| play.handlers.iter().find(move |handler| handler.task_id == *id);
        tasks.chain(self.handlers.iter().filter_map(handler).map(|task| (task, true)))
    }
}

/// The variables of `now` that are new or other than `before`.
pub(crate) fn changed(before: &Arc<Fields>, now: &Arc<Fields>) -> Fields {
    if Arc::ptr_eq(before, now) {
        return Fields::new();
    }
    let differs = |name: &str, value| before.get(name) != Some(value);
    now.iter().filter(|(name, value)| differs(name, value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}
