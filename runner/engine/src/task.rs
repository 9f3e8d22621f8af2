//! One task: condition, loop, attempts, the verdict.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use minijinja::value::Value;
use runner_modules::process::{self, Stopped, rest};
use runner_modules::{Args, Context, Failure, Fields, ModuleResult, short_name, users};
use serde_json::{Value as Json, json};

use crate::actions;
use crate::payload::Task;
use crate::scope::{Gathered, Scope, World};
use crate::template::explain;

/// What a task came to, loops included.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) fields: Fields,
    pub(crate) artifacts: Vec<PathBuf>,
    pub(crate) attempts: u64,
    /// A signal ended it, or the runner ends because of one.
    pub(crate) interrupted: bool,
}

impl Ended {
    fn failed(message: impl Into<String>) -> Self {
        Self { fields: Failure::new(message).into_fields(), attempts: 1, ..Self::default() }
    }

    fn skipped(reason: String, condition: &Json) -> Self {
        let mut fields = Fields::new();
        fields.insert("changed".into(), false.into());
        fields.insert("skipped".into(), true.into());
        fields.insert("skip_reason".into(), reason.into());
        fields.insert("false_condition".into(), condition.clone());
        Self { fields, attempts: 1, ..Self::default() }
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(truth)
    }
}

pub(crate) fn truth(value: &Json) -> bool {
    runner_modules::args::boolean(value).unwrap_or(false)
}

/// A task in the surroundings it runs in.
pub(crate) struct TaskRun<'a> {
    pub(crate) task: &'a Task,
    pub(crate) world: &'a Arc<World>,
    pub(crate) play: &'a Arc<Fields>,
    pub(crate) task_vars: Arc<Fields>,
    pub(crate) gathered: &'a mut Gathered,
    pub(crate) check: bool,
    pub(crate) diff: bool,
}

pub(crate) type Words<T> = Result<T, String>;

impl TaskRun<'_> {
    pub(crate) fn scope(&self, item: &Fields) -> Scope {
        Scope {
            world: Arc::clone(self.world),
            host: self.world.host.clone(),
            gathered: self.gathered.clone(),
            play: Arc::clone(self.play),
            task: Arc::clone(&self.task_vars),
            item: item.clone(),
            check: self.check,
            diff: self.diff,
        }
    }

    pub(crate) fn run(&mut self) -> Ended {
        match &self.task.items {
            None => self.run_item(&Fields::new()),
            Some(items) => match self.loop_items(items) {
                Ok(items) => self.run_loop(items),
                Err(words) => {
                    // As Ansible: a condition that needs no item may spare a loop that cannot be evaluated.
                    match self.condition(&Fields::new()) {
                        Ok(Some(skipped)) => skipped,
                        _ => Ended::failed(words),
                    }
                }
            },
        }
    }

    /// The record of a skip where a condition does not hold.
    pub(crate) fn condition(&self, item: &Fields) -> Words<Option<Ended>> {
        if self.task.when.is_empty() {
            return Ok(None);
        }
        let scope = self.scope(item).value();
        for condition in &self.task.when {
            let holds =
                self.world.templates.condition(condition, &scope).map_err(|error| {
                    format!("The conditional check '{}' failed. {}", plain(condition), explain(&error))
                })?;
            if !holds {
                let reason = format!("Conditional result was False: {}", plain(condition));
                return Ok(Some(Ended::skipped(reason, condition)));
            }
        }
        Ok(None)
    }

    pub(crate) fn run_item(&mut self, item: &Fields) -> Ended {
        match self.condition(item) {
            Ok(None) => {}
            Ok(Some(skipped)) => return skipped,
            Err(words) => return Ended::failed(words),
        }
        let waits = self.task.until.is_some() || self.task.retries.is_some();
        let tries = match self.task.retries {
            Some(retries) => 1 + retries.max(0).unsigned_abs(),
            None if waits => 4, // Ansible's default of three retries
            None => 1,
        };
        let mut attempt = 1;
        loop {
            let mut ended = self.attempt(item);
            ended.attempts = attempt;
            if waits {
                ended.fields.insert("attempts".into(), attempt.into());
            }
            if ended.interrupted || !waits {
                return ended;
            }
            match self.until(item, &ended) {
                Ok(true) => return ended,
                Ok(false) if attempt < tries => {}
                Ok(false) => {
                    // As Ansible, which counts the retries here; the record has the attempts.
                    ended.fields.insert("attempts".into(), (attempt - 1).into());
                    ended.fields.insert("failed".into(), true.into());
                    return ended;
                }
                Err(words) => {
                    return Ended { attempts: attempt, artifacts: ended.artifacts, ..Ended::failed(words) };
                }
            }
            if !rest(self.task.delay.unwrap_or(5.0)) {
                ended.interrupted = true;
                ended.fields.extend(Failure::new(process::INTERRUPTED).into_fields());
                return ended;
            }
            attempt += 1;
        }
    }

    fn until(&self, item: &Fields, ended: &Ended) -> Words<bool> {
        match &self.task.until {
            None => Ok(!ended.is("failed")),
            Some(conditions) => self.all_hold(conditions, item, &ended.fields),
        }
    }

    /// Whether conditions hold that may look at the task's own result under its registered name.
    fn all_hold(&self, conditions: &[Json], item: &Fields, result: &Fields) -> Words<bool> {
        let mut scope = self.scope(item);
        if let Some(name) = &self.task.register {
            scope.item.insert(name.clone(), Json::Object(result.clone()));
        }
        if let Some(Json::Object(facts)) = result.get("ansible_facts") {
            scope.item.extend(facts.clone());
        }
        let scope = scope.value();
        for condition in conditions {
            let holds =
                self.world.templates.condition(condition, &scope).map_err(|error| {
                    format!("The conditional check '{}' failed. {}", plain(condition), explain(&error))
                })?;
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn attempt(&mut self, item: &Fields) -> Ended {
        let mut ended = Ended { attempts: 1, ..Ended::default() };
        match self.execute(item) {
            Ok(Ok(outcome)) => {
                ended.fields = outcome.fields;
                ended.artifacts = outcome.artifacts;
            }
            Ok(Err(failure)) => ended.fields = failure.into_fields(),
            Err(Stopped::Interrupted) => {
                ended.fields = Failure::new(process::INTERRUPTED).into_fields();
            }
            Err(Stopped::TimedOut) => {
                let seconds = self.task.timeout.unwrap_or_default();
                let words = format!("Timed out after {seconds} seconds");
                ended.fields = Failure::new(words).with("timedout", json!({"period": seconds})).into_fields();
            }
            Err(Stopped::Start(error)) => ended.fields = Failure::new(format!("cannot start: {error}")).into_fields(),
        }
        ended.interrupted = process::interrupted().is_some();
        let fields = &mut ended.fields;
        fields.entry("changed").or_insert(Json::Bool(false));
        fields.entry("failed").or_insert(Json::Bool(false));
        for (name, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
            if let Some(Json::String(text)) = fields.get(name) {
                let split: Vec<Json> = text.lines().map(Json::from).collect();
                fields.insert(lines.to_owned(), split.into());
            }
        }
        self.keep_facts(fields);
        if !ended.interrupted && !ended.is("skipped") {
            self.judge(item, &mut ended);
        }
        ended
    }

    /// What changed_when and failed_when make of a result.
    fn judge(&self, item: &Fields, ended: &mut Ended) {
        for (conditions, name) in [(&self.task.changed_when, "changed"), (&self.task.failed_when, "failed")] {
            let Some(conditions) = conditions.as_ref().filter(|conditions| !conditions.is_empty()) else { continue };
            match self.all_hold(conditions, item, &ended.fields) {
                Ok(verdict) => {
                    ended.fields.insert(name.to_owned(), verdict.into());
                    ended.fields.insert(format!("{name}_when_result"), verdict.into());
                }
                Err(words) => {
                    ended.fields.insert("failed".to_owned(), true.into());
                    ended.fields.insert("msg".to_owned(), words.into());
                }
            }
        }
    }

    fn keep_facts(&mut self, fields: &mut Fields) {
        let cacheable = fields.shift_remove("_ansible_facts_cacheable");
        let Some(Json::Object(facts)) = fields.get("ansible_facts") else { return };
        if short_name(&self.task.module) == "set_fact" {
            Arc::make_mut(&mut self.gathered.registered).extend(facts.clone());
            if cacheable != Some(Json::Bool(true)) {
                return;
            }
        }
        Arc::make_mut(&mut self.gathered.facts).extend(facts.clone());
    }

    fn execute(&self, item: &Fields) -> Result<ModuleResult, Stopped> {
        let module = short_name(&self.task.module);
        let scope = self.scope(item).value();
        let prepared = self.arguments(module, &scope).and_then(|fields| {
            if module == "template" {
                let fields = actions::render(&fields, &self.world.templates, &scope)?;
                Ok(("copy", Args::new("copy", fields)?))
            } else {
                Ok((module, Args::new(module, fields)?))
            }
        });
        let (runs, args) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Some(result) = actions::run(module, &args, &self.world.templates, &scope) {
            return Ok(result);
        }
        let (context, user) = match self.context(&scope).and_then(|context| Ok((context, self.user(&scope)?))) {
            Ok(surroundings) => surroundings,
            Err(failure) => return Ok(Err(failure)),
        };
        let limit = self.task.timeout.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
        if user.is_none() && limit.is_none() {
            return Ok(runner_modules::run(runs, &args, &context));
        }
        let context = Context { grouped: true, ..context };
        process::in_child(user.as_ref(), limit, || runner_modules::run(runs, &args, &context))
    }

    fn arguments(&self, module: &str, scope: &Value) -> Result<Fields, Failure> {
        let mut fields = Fields::new();
        for (name, raw) in &self.task.args {
            if actions::is_expression(module, name) || actions::is_template_text(module, name) {
                fields.insert(name.clone(), raw.clone());
                continue;
            }
            let value = self.world.templates.resolve(raw, scope).map_err(|error| Failure::new(explain(&error)))?;
            if value.as_str() != Some(crate::template::OMIT) {
                // As Ansible: only the names of facts may be templates.
                let name = if module == "set_fact" {
                    self.world.templates.resolve(&name.as_str().into(), scope)
                } else {
                    Ok(name.as_str().into())
                };
                let name = name.map_err(|error| Failure::new(explain(&error)))?;
                fields.insert(runner_modules::args::text_of(&name), value);
            }
        }
        Ok(fields)
    }

    fn context(&self, scope: &Value) -> Result<Context, Failure> {
        let mut environment = Vec::new();
        for (name, raw) in &self.task.environment {
            let value = self.world.templates.resolve(raw, scope).map_err(|error| Failure::new(explain(&error)))?;
            environment.push((name.into(), runner_modules::args::text_of(&value).into()));
        }
        Ok(Context { check: self.check, diff: self.diff, environment, grouped: false })
    }

    /// Whom the task has to become; None where the runner is that user already.
    fn user(&self, scope: &Value) -> Result<Option<users::User>, Failure> {
        if !self.task.becomes {
            return Ok(None);
        }
        let wanted = Json::from(self.task.become_user.clone().unwrap_or_else(|| "root".to_owned()));
        let name = self.world.templates.resolve(&wanted, scope).map_err(|error| Failure::new(explain(&error)))?;
        let name = runner_modules::args::text_of(&name);
        let user = users::by_name(&name)
            .ok_or_else(|| Failure::new(format!("become: there is no user '{name}' on this host")))?;
        match users::effective_uid() {
            mine if mine == user.uid => Ok(None),
            0 => Ok(Some(user)),
            mine => {
                let me = users::by_uid(mine).map_or_else(|| mine.to_string(), |user| user.name);
                Err(Failure::new(format!("become: the runner runs as {me}, and only root can become {name}")))
            }
        }
    }
}

/// A condition as its plan has it.
fn plain(condition: &Json) -> String {
    condition.as_str().map_or_else(|| condition.to_string(), str::to_owned)
}
