//! Mutants that run another plan than the one they were given.

use serde_json::Value as Json;

use super::Mutant;
use crate::payload::{Payload, Task};

pub(super) fn rewrite(mutant: Mutant, payload: &mut Payload) {
    match mutant {
        Mutant::MistakesHost => mistake_host(payload),
        Mutant::ForgetsLastPlay => {
            payload.plays.pop();
        }
        Mutant::StopsEarly => {
            for play in &mut payload.plays {
                play.tasks.truncate(play.tasks.len() / 2);
            }
        }
        Mutant::SwapsOrder => swap_order(payload),
        _ => {
            for play in &mut payload.plays {
                for task in play.tasks.iter_mut().chain(&mut play.handlers) {
                    rewrite_task(mutant, task);
                }
            }
        }
    }
}

fn rewrite_task(mutant: Mutant, task: &mut Task) {
    match mutant {
        Mutant::IgnoresConditions => task.when.clear(),
        Mutant::SkipsConditional if !task.when.is_empty() => task.when = vec![false.into()],
        Mutant::InvertsConditions => {
            for condition in &mut task.when {
                *condition = format!("not ({})", runner_modules::args::text_of(condition)).into();
            }
        }
        Mutant::IgnoresTaskVars => task.vars.clear(),
        Mutant::NeverNotifies => task.notify.clear(),
        Mutant::LoopsOnce => items(task, |items| items.truncate(1)),
        Mutant::LoopsOneShort => items(task, |items| drop(items.pop())),
        Mutant::IgnoresCreates => drop(task.args.shift_remove("creates")),
        Mutant::NeverRetries => (task.until, task.retries) = (None, None),
        Mutant::IgnoresTimeout => task.timeout = None,
        Mutant::StaysRoot => task.becomes = false,
        Mutant::IgnoresEnvironment => task.environment.clear(),
        Mutant::IgnoresFailedWhen => task.failed_when = None,
        Mutant::OnlyPretends => task.check_mode = Some(true),
        Mutant::SaysChangedDoesNothing if writes(task) => task.check_mode = Some(true),
        Mutant::IgnoresMode => drop(task.args.shift_remove("mode")),
        Mutant::IgnoresOwner => {
            task.args.shift_remove("owner");
            task.args.shift_remove("group");
        }
        Mutant::WrongMode => argument(task, "mode", |mode| match mode.strip_suffix('0') {
            Some(rest) => format!("{rest}4"),
            None => format!("{}0", &mode[..mode.len() - 1]),
        }),
        Mutant::WrongByte => argument(task, "content", |text| {
            // What is filled in would be another name, and the task would fail.
            if text.contains("{{") { format!("{text}.") } else { text.replacen('e', "3", 1) }
        }),
        Mutant::CarriageReturns => argument(task, "content", |text| text.replace('\n', "\r\n")),
        Mutant::CutsLastNewline => argument(task, "content", |text| text.trim_end_matches('\n').to_owned()),
        Mutant::KeepsBraces => argument(task, "content", |text| {
            if text.contains("{{") { format!("{{% raw %}}{text}{{% endraw %}}") } else { text.to_owned() }
        }),
        Mutant::WrongLinkTarget if task.args.get("state") == Some(&"link".into()) => {
            argument(task, "src", |target| target.rsplit_once('/').map_or("/", |(folder, _)| folder).to_owned());
        }
        _ => {}
    }
}

fn writes(task: &Task) -> bool {
    matches!(runner_modules::short_name(&task.module), "copy" | "template")
}

fn argument(task: &mut Task, name: &str, change: impl FnOnce(&str) -> String) {
    if let Some(Json::String(text)) = task.args.get_mut(name)
        && !text.is_empty()
    {
        *text = change(text);
    }
}

fn items(task: &mut Task, change: impl FnOnce(&mut Vec<Json>)) {
    if let Some(Json::Array(items)) = &mut task.items {
        change(items);
    }
}

/// It has the variables of another host of the plan.
fn mistake_host(payload: &mut Payload) {
    let other = payload.hosts.iter().find(|(name, _)| !payload.run_on.contains(name)).map(|(_, vars)| vars.clone());
    for host in &payload.run_on {
        if let (Some(vars), Some(own)) = (&other, payload.hosts.get_mut(host)) {
            own.clone_from(vars);
        }
    }
}

/// The first two tasks of one module of which the second depends on the first change places.
fn swap_order(payload: &mut Payload) {
    for play in &mut payload.plays {
        let tasks = &mut play.tasks;
        let depends = |later: &Task, earlier: &Task| {
            later.module == earlier.module && later.dependencies.contains(&earlier.task_id)
        };
        if let Some(at) = (1..tasks.len()).find(|at| depends(&tasks[*at], &tasks[at - 1])) {
            tasks.swap(at - 1, at);
            return;
        }
    }
}
