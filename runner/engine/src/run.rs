//! A whole run: plays in order, tasks in the payload's order, handlers at the end of each play.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use runner_modules::{Fields, args, process};
use serde_json::Value as Json;

use crate::conduct;
use crate::mask::Mask;
use crate::part::{self, Part};
use crate::payload::{Payload, Play, Task};
use crate::record::{Recorder, RunFacts, Status, TaskRecord};
use crate::scope::{Gathered, World};
use crate::tags::TagFilter;
use crate::task::{Ended, TaskRun};
use crate::template::Templates;

/// What the command line asks for.
#[derive(Debug, Default)]
pub struct Options {
    pub host: String,
    pub tags: TagFilter,
    pub check: bool,
    pub diff: bool,
    /// Write what each task leaves to later ones.
    pub state: bool,
    /// Where every line is written as well, and first.
    pub records: Option<File>,
    /// Run only this.
    pub part: Option<Part>,
}

const CENSORED: &str = "the output has been hidden due to the fact that 'no_log: true' was specified for this result";

enum Flow {
    On,
    Stop,
}

/// Runs a payload and returns the exit status.
///
/// # Errors
/// When nobody reads what it writes any more, or it cannot be kept; nothing further was run then.
pub fn run(
    payload: &Payload,
    sha256: &str,
    secrets: BTreeMap<String, String>,
    options: &Options,
    out: impl Write,
) -> io::Result<u8> {
    let (start, began) = (SystemTime::now(), Instant::now());
    let mask = conduct::mask(Mask::new(secrets.values().map(String::as_str)));
    conduct::begins(&secrets);
    let mut groups = payload.groups.clone();
    groups.entry("all".to_owned()).or_insert_with(|| payload.hosts.keys().cloned().collect());
    let alone = |host: &&String| !payload.groups.iter().any(|(name, hosts)| name != "all" && hosts.contains(host));
    groups.entry("ungrouped".to_owned()).or_insert_with(|| payload.hosts.keys().filter(alone).cloned().collect());
    let world = World {
        templates: Templates::new(secrets),
        host: options.host.clone(),
        hosts: payload.hosts.iter().map(|(name, vars)| (name.clone(), Arc::new(vars.clone()))).collect(),
        groups,
    };
    let mut runner = Runner {
        payload,
        options,
        world: Arc::new(world),
        gathered: options.part.as_ref().map(Part::gathered).unwrap_or_default(),
        recorder: Recorder::new(out, options.records.as_ref(), mask),
        failed: false,
    };
    if let Some(part) = &options.part {
        runner.part(part)?;
    } else {
        for play in &payload.plays {
            if let Flow::Stop = runner.play(play)? {
                break;
            }
        }
    }
    let exit_code = conduct::exit_code(u8::from(runner.failed || process::interrupted().is_some()));
    let facts = RunFacts { host: &options.host, plan_id: &payload.plan_id, payload_sha256: sha256, start, began };
    runner.recorder.report(&facts, exit_code)?;
    Ok(exit_code)
}

struct Runner<'a, W> {
    payload: &'a Payload,
    options: &'a Options,
    world: Arc<World>,
    gathered: Gathered,
    recorder: Recorder<'a, W>,
    failed: bool,
}

impl<W: Write> Runner<'_, W> {
    fn play(&mut self, play: &Play) -> io::Result<Flow> {
        let vars = Arc::new(play.vars.clone());
        let mut notified = BTreeSet::new();
        for task in &play.tasks {
            if let Flow::Stop = self.task(task, play, &vars, &mut notified, false)? {
                return Ok(Flow::Stop);
            }
        }
        self.handlers(play, &vars, &mut notified)
    }

    /// Whom its tasks notify is told in the state; whoever runs the parts sees to the handlers.
    fn part(&mut self, part: &Part) -> io::Result<Flow> {
        let play = &self.payload.plays[part.play];
        let vars = Arc::new(play.vars.clone());
        for (task, handler) in part.work(play) {
            if let Flow::Stop = self.task(task, play, &vars, &mut BTreeSet::new(), handler)? {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::On)
    }

    /// Each notified handler once, in the order they are defined; one that an earlier handler notifies too.
    fn handlers(&mut self, play: &Play, vars: &Arc<Fields>, notified: &mut BTreeSet<usize>) -> io::Result<Flow> {
        let mut done = BTreeSet::new();
        notified.extend(conduct::unasked(play));
        while let Some(index) = notified.iter().find(|index| !done.contains(*index)).copied() {
            done.insert(index);
            for _ in 0..conduct::handler_runs() {
                if let Flow::Stop = self.task(&play.handlers[index], play, vars, notified, true)? {
                    return Ok(Flow::Stop);
                }
            }
        }
        Ok(Flow::On)
    }

    fn task(
        &mut self,
        task: &Task,
        play: &Play,
        vars: &Arc<Fields>,
        notified: &mut BTreeSet<usize>,
        handler: bool,
    ) -> io::Result<Flow> {
        if process::interrupted().is_some() {
            return Ok(Flow::Stop);
        }
        self.recorder.start(&task.task_id)?;
        conduct::before();
        let (start, began) = (SystemTime::now(), Instant::now());
        let reason = if handler { None } else { self.options.tags.reason(&task.tags) };
        let check = task.check_mode.unwrap_or(self.payload.check_mode || self.options.check);
        let diff = task.diff.unwrap_or(self.payload.diff || self.options.diff);
        let mut surroundings = TaskRun {
            task,
            world: &self.world,
            play: vars,
            task_vars: Arc::new(task.vars.clone()),
            gathered: &mut self.gathered,
            check,
            diff,
        };
        let filtered = reason.is_some();
        let before = surroundings.gathered.clone();
        let mut ended = match reason {
            Some(reason) => skipped_by_tag(reason),
            None => surroundings.run(),
        };
        conduct::ended(task, &mut ended);
        let scope = surroundings.scope(&Fields::new()).value();
        let mut targets = Vec::new();
        if ended.is("changed") && !ended.is("failed") {
            match find_handlers(&self.world, task, play, &scope) {
                Ok(found) => targets = found,
                Err(words) => {
                    ended.fields.insert("failed".into(), true.into());
                    ended.fields.insert("msg".into(), words.into());
                }
            }
        }
        let failed = ended.is("failed");
        let ignored = failed && !ended.interrupted && self.ignores(task, &scope);
        if let Some(name) = &task.register
            && !filtered
        {
            let registered = Arc::make_mut(&mut self.gathered.registered);
            registered.insert(name.clone(), Json::Object(conduct::registered(&ended.fields)));
        }
        if self.options.state {
            let registered = part::changed(&before.registered, &self.gathered.registered);
            let facts = part::changed(&before.facts, &self.gathered.facts);
            let ids = targets.iter().map(|index: &usize| play.handlers[*index].task_id.as_str()).collect();
            self.recorder.state(&task.task_id, registered, facts, ids)?;
        }
        notified.extend(targets);
        let name = self.world.templates.resolve(&task.name.clone().into(), &scope).ok();
        let name = name.filter(|_| !task.no_log).map_or_else(|| task.name.clone(), |name| args::text_of(&name));
        self.write(task, name, handler, ignored, ended, (start, began))?;
        if failed && !ignored {
            self.failed = true;
            if conduct::stops_at_failure() {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::On)
    }

    fn ignores(&self, task: &Task, scope: &minijinja::value::Value) -> bool {
        let value = self.world.templates.resolve(&task.ignore_errors, scope).unwrap_or(Json::Null);
        args::boolean(&value).unwrap_or(false)
    }

    fn write(
        &mut self,
        task: &Task,
        name: String,
        handler: bool,
        ignored: bool,
        ended: Ended,
        (start, began): (SystemTime, Instant),
    ) -> io::Result<()> {
        let status = if ended.is("failed") {
            Status::Failed
        } else if ended.is("skipped") {
            Status::Skipped
        } else if ended.is("changed") {
            Status::Changed
        } else {
            Status::Ok
        };
        let text = |name: &str| {
            let value = ended.fields.get(name).filter(|value| !value.is_null())?;
            let deep = value.is_array() || value.is_object();
            Some(if deep { args::python_json(value) } else { args::text_of(value) })
        };
        let skip_reason = (status == Status::Skipped).then(|| {
            text("skip_reason").or_else(|| text("skipped_reason")).or_else(|| text("msg")).unwrap_or_default()
        });
        let msg = if task.no_log { CENSORED.to_owned() } else { text("msg").unwrap_or_default() };
        let artifacts = if task.no_log { Vec::new() } else { distinct(&ended) };
        let mut record = TaskRecord {
            task_id: &task.task_id,
            name,
            module: &task.module,
            handler,
            status,
            start,
            duration: began.elapsed(),
            artifacts,
            ignored,
            attempts: ended.attempts.max(1),
            skip_reason: skip_reason.filter(|_| !task.no_log),
            msg,
            result: (!task.no_log).then_some(&ended.fields),
        };
        (0..conduct::record(&mut record)).try_for_each(|_| self.recorder.task(&record))
    }
}

fn distinct(ended: &Ended) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for path in &ended.artifacts {
        let path = path.to_string_lossy().into_owned();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

fn skipped_by_tag(reason: String) -> Ended {
    let mut ended = Ended::default();
    ended.fields.insert("changed".into(), false.into());
    ended.fields.insert("skipped".into(), true.into());
    ended.fields.insert("skip_reason".into(), reason.into());
    ended
}

/// The handlers that a task notifies: by name (of two with one name the later), by what they listen to, by id.
fn find_handlers(
    world: &World,
    task: &Task,
    play: &Play,
    scope: &minijinja::value::Value,
) -> Result<Vec<usize>, String> {
    let mut found = Vec::new();
    for raw in &task.notify {
        let wanted = world
            .templates
            .resolve(&raw.clone().into(), scope)
            .map(|name| args::text_of(&name))
            .map_err(|error| crate::template::explain(&error))?;
        let named = play.handlers.iter().rposition(|handler| handler_name(world, handler, scope) == wanted);
        let named = named.or_else(|| play.handlers.iter().position(|handler| handler.task_id == wanted));
        let listening = (0..play.handlers.len()).filter(|index| play.handlers[*index].listen.contains(&wanted));
        let before = found.len();
        found.extend(named.into_iter().chain(listening));
        if found.len() == before {
            return Err(format!(
                "The requested handler '{wanted}' was not found in either the main handlers list nor in the listening handlers list"
            ));
        }
    }
    Ok(found)
}

fn handler_name(world: &World, handler: &Task, scope: &minijinja::value::Value) -> String {
    let name = world.templates.resolve(&handler.name.clone().into(), scope);
    name.map_or_else(|_| handler.name.clone(), |name| args::text_of(&name))
}
