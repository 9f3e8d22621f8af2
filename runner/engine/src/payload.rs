//! The payload as Python embeds it. An unknown field is an error: nothing is read and ignored.

use std::collections::{BTreeMap, BTreeSet};

use runner_modules::Fields;
use serde::Deserialize;
use serde_json::Value;

use crate::conduct;

pub const SCHEMA: u64 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    pub schema: u64,
    pub plan_id: String,
    pub run_on: Vec<String>,
    pub hosts: BTreeMap<String, Fields>,
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub secrets: Vec<String>,
    #[serde(default)]
    pub check_mode: bool,
    #[serde(default)]
    pub diff: bool,
    pub plays: Vec<Play>,
    /// How this runner is to be wrong.
    #[cfg(feature = "mutants")]
    #[serde(default)]
    pub mutant: Option<crate::mutants::Mutant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub vars: Fields,
    pub tasks: Vec<Task>,
    #[serde(default)]
    pub handlers: Vec<Task>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub task_id: String,
    #[serde(default)]
    pub name: String,
    pub module: String,
    #[serde(default)]
    pub args: Fields,
    #[serde(default)]
    pub when: Vec<Value>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub notify: Vec<String>,
    #[serde(default)]
    pub listen: Vec<String>,
    #[serde(default)]
    pub dependencies: Vec<String>,
    #[serde(default)]
    pub register: Option<String>,
    #[serde(default, rename = "loop")]
    pub items: Option<Value>,
    #[serde(default)]
    pub loop_control: LoopControl,
    #[serde(default)]
    pub vars: Fields,
    #[serde(default)]
    pub environment: Fields,
    #[serde(default, rename = "become")]
    pub becomes: bool,
    #[serde(default)]
    pub become_user: Option<String>,
    #[serde(default)]
    pub changed_when: Option<Vec<Value>>,
    #[serde(default)]
    pub failed_when: Option<Vec<Value>>,
    #[serde(default)]
    pub ignore_errors: Value,
    #[serde(default)]
    pub until: Option<Vec<Value>>,
    #[serde(default)]
    pub retries: Option<i64>,
    #[serde(default)]
    pub delay: Option<f64>,
    #[serde(default)]
    pub timeout: Option<f64>,
    #[serde(default)]
    pub no_log: bool,
    #[serde(default)]
    pub check_mode: Option<bool>,
    #[serde(default)]
    pub diff: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopControl {
    pub loop_var: Option<String>,
    pub index_var: Option<String>,
    pub label: Option<Value>,
    pub pause: Option<f64>,
    #[serde(default)]
    pub extended: bool,
    pub extended_allitems: Option<bool>,
}

impl Payload {
    /// # Errors
    /// Words for a payload that this runner must not run.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        // The schema decides first: an unknown one is not to be read as if it were ours.
        #[derive(Deserialize)]
        struct Versioned {
            schema: u64,
        }
        let versioned: Versioned =
            serde_json::from_slice(bytes).map_err(|error| format!("malformed payload: {error}"))?;
        if versioned.schema != SCHEMA {
            return Err(format!("payload of schema {}, but this runner reads schema {SCHEMA}", versioned.schema));
        }
        let payload: Self = serde_json::from_slice(bytes).map_err(|error| format!("malformed payload: {error}"))?;
        payload.check()?;
        Ok(conduct::plan(payload))
    }

    fn check(&self) -> Result<(), String> {
        for host in &self.run_on {
            if !self.hosts.contains_key(host) {
                return Err(format!("run_on names '{host}', which is not in hosts"));
            }
        }
        let tasks = || self.plays.iter().flat_map(|play| &play.tasks);
        let all: BTreeSet<&str> = tasks().map(|task| task.task_id.as_str()).collect();
        let mut seen = BTreeSet::new();
        for task in tasks() {
            for dependency in &task.dependencies {
                if all.contains(dependency.as_str()) && !seen.contains(dependency.as_str()) {
                    return Err(format!("task '{}' comes before '{dependency}', which it depends on", task.task_id));
                }
            }
            if !seen.insert(task.task_id.as_str()) {
                return Err(format!("two tasks have the id '{}'", task.task_id));
            }
        }
        let seconds = |task: &Task| [task.timeout, task.delay, task.loop_control.pause];
        for task in tasks().chain(self.plays.iter().flat_map(|play| &play.handlers)) {
            if seconds(task).into_iter().flatten().any(|value| !(0.0..1e9).contains(&value)) {
                return Err(format!("task '{}': timeout, delay and pause are seconds from 0 to 10^9", task.task_id));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn payload(tasks: &Value) -> Result<Payload, String> {
        let value =
            json!({"schema": 1, "plan_id": "p", "run_on": ["h"], "hosts": {"h": {}}, "plays": [{"tasks": tasks}]});
        Payload::parse(value.to_string().as_bytes())
    }

    #[test]
    fn order_is_checked() {
        let task =
            |id: &str, dependencies: &[&str]| json!({"task_id": id, "module": "debug", "dependencies": dependencies});
        assert!(payload(&json!([task("a", &[]), task("b", &["a", "elsewhere"])])).is_ok());
        assert!(payload(&json!([task("b", &["a"]), task("a", &[])])).unwrap_err().contains("'b' comes before 'a'"));
        assert!(payload(&json!([task("a", &["a"])])).is_err());
        assert!(payload(&json!([task("a", &[]), task("a", &[])])).unwrap_err().contains("two tasks"));
    }

    #[test]
    fn the_unknown_is_refused() {
        assert!(
            payload(&json!([{"task_id": "a", "module": "debug", "with_items": [1]}]))
                .unwrap_err()
                .contains("with_items")
        );
        assert!(payload(&json!([{"task_id": "a", "module": "debug", "loop_control": {"x": 1}}])).is_err());
        assert!(payload(&json!([{"task_id": "a", "module": "debug", "timeout": -1}])).is_err());
        let other = json!({"schema": 2, "whatever": true});
        assert!(Payload::parse(other.to_string().as_bytes()).unwrap_err().contains("schema 2"));
        let host = json!({"schema": 1, "plan_id": "p", "run_on": ["x"], "hosts": {}, "plays": []});
        assert!(Payload::parse(host.to_string().as_bytes()).unwrap_err().contains("'x'"));
    }
}
