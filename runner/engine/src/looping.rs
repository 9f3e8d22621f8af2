//! `loop` and `loop_control`: one task, once for each item.

use runner_modules::Fields;
use runner_modules::process::rest;
use serde_json::{Value as Json, json};

use crate::task::{Ended, TaskRun, Words, truth};
use crate::template::explain;

impl TaskRun<'_> {
    pub(crate) fn loop_items(&self, items: &Json) -> Words<Vec<Json>> {
        let scope = self.scope(&Fields::new()).value();
        match self.world.templates.resolve(items, &scope).map_err(|error| explain(&error))? {
            Json::Array(items) => Ok(items),
            other => Err(format!(
                "Invalid data passed to 'loop', it requires a list, got this instead: {other}. Hint: If you passed a list/dict of just one element, try adding wantlist=True to your lookup invocation or use q/query instead of lookup."
            )
            .split(" Hint").next().unwrap_or_default().to_owned()),
        }
    }

    pub(crate) fn run_loop(&mut self, items: Vec<Json>) -> Ended {
        let control = &self.task.loop_control;
        let variable = control.loop_var.clone().unwrap_or_else(|| "item".to_owned());
        if items.is_empty() {
            let mut ended = Ended { attempts: 1, ..Ended::default() };
            ended.fields.insert("changed".into(), false.into());
            ended.fields.insert("skipped".into(), true.into());
            ended.fields.insert("skipped_reason".into(), "No items in the list".into());
            ended.fields.insert("results".into(), Json::Array(Vec::new()));
            return ended;
        }
        let mut all = Ended::default();
        let mut results = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if index > 0 && control.pause.is_some_and(|pause| !rest(pause)) {
                all.interrupted = true;
                break;
            }
            let values = self.loop_values(&variable, &items, index);
            let ended = self.run_item(&values);
            let mut fields = ended.fields;
            fields.insert(variable.clone(), item.clone());
            fields.insert("ansible_loop_var".into(), variable.clone().into());
            if let Some(name) = &control.index_var {
                fields.insert(name.clone(), index.into());
                fields.insert("ansible_index_var".into(), name.clone().into());
            }
            if let Some(label) = &control.label {
                let scope = self.scope(&values).value();
                let label = self.world.templates.resolve(label, &scope).unwrap_or_else(|_| label.clone());
                fields.insert("_ansible_item_label".into(), label);
            }
            results.push(Json::Object(fields));
            all.artifacts.extend(ended.artifacts);
            all.attempts = all.attempts.max(ended.attempts);
            if ended.interrupted {
                all.interrupted = true;
                break;
            }
        }
        let any = |name: &str| results.iter().any(|result| result.get(name).is_some_and(truth));
        let every = |name: &str| results.iter().all(|result| result.get(name).is_some_and(truth));
        let (changed, failed, skipped) = (any("changed"), any("failed"), every("skipped"));
        let words = match (failed, skipped) {
            (true, _) => "One or more items failed",
            (_, true) => "All items skipped",
            _ => "All items completed",
        };
        all.fields.insert("results".into(), results.into());
        all.fields.insert("changed".into(), changed.into());
        if failed {
            all.fields.insert("failed".into(), true.into());
        }
        if skipped {
            all.fields.insert("skipped".into(), true.into());
        }
        all.fields.insert("msg".into(), words.into());
        all
    }

    fn loop_values(&self, variable: &str, items: &[Json], index: usize) -> Fields {
        let control = &self.task.loop_control;
        let mut values = Fields::new();
        values.insert(variable.to_owned(), items[index].clone());
        values.insert("ansible_loop_var".into(), variable.into());
        if let Some(name) = &control.index_var {
            values.insert(name.clone(), index.into());
            values.insert("ansible_index_var".into(), name.clone().into());
        }
        if control.extended {
            let count = items.len();
            let mut told = json!({
                "index": index + 1, "index0": index, "first": index == 0, "last": index + 1 == count,
                "length": count, "revindex": count - index, "revindex0": count - index - 1,
            });
            if control.extended_allitems.unwrap_or(true) {
                told["allitems"] = items.into();
            }
            if let Some(before) = index.checked_sub(1) {
                told["previtem"] = items[before].clone();
            }
            if let Some(next) = items.get(index + 1) {
                told["nextitem"] = next.clone();
            }
            values.insert("ansible_loop".into(), told);
        }
        values
    }
}
