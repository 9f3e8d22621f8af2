//! The variables that a template sees, weakest first: the host's and its groups', facts, the play's, the task's,
//! registered and set facts, loop variables (docs.ansible.com, "Understanding variable precedence").
//!
//! Variables of a plan may themselves be templates; they are filled in when they are looked up, with everything
//! that is visible there. What tasks produced (facts, registered results) is data and is never filled in.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind};
use runner_modules::Fields;
use serde_json::Value as Json;

use crate::template::{Templates, is_template, to_value, undefined};

/// How deep a variable may lead to another through templates.
const DEEPEST: u32 = 40;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// What is the same for every task of a run.
#[derive(Debug)]
pub(crate) struct World {
    pub templates: Templates,
    pub host: String,
    pub hosts: BTreeMap<String, Arc<Fields>>,
    pub groups: BTreeMap<String, Vec<String>>,
}

/// The results of tasks so far. They belong to the host that runs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Gathered {
    pub facts: Arc<Fields>,
    pub registered: Arc<Fields>,
}

/// One view on the variables: a minijinja context.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub world: Arc<World>,
    pub host: String,
    pub gathered: Gathered,
    pub play: Arc<Fields>,
    pub task: Arc<Fields>,
    /// Loop variables and other values that are finished.
    pub item: Fields,
    pub check: bool,
    pub diff: bool,
}

impl Scope {
    #[must_use]
    pub(crate) fn value(&self) -> Value {
        Value::from_object(self.clone())
    }

    fn of_host(&self, host: &str) -> Self {
        let own = host == self.world.host;
        Self {
            world: Arc::clone(&self.world),
            host: host.to_owned(),
            gathered: if own { self.gathered.clone() } else { Gathered::default() },
            play: Arc::default(),
            task: Arc::default(),
            item: Fields::new(),
            check: self.check,
            diff: self.diff,
        }
    }

    fn host_vars(&self) -> Option<&Arc<Fields>> {
        self.world.hosts.get(&self.host)
    }

    fn find(self: &Arc<Self>, name: &str) -> Option<Value> {
        if let Some(value) = self.item.get(name).or_else(|| self.gathered.registered.get(name)) {
            return Some(to_value(value));
        }
        if let Some(raw) = self.task.get(name).or_else(|| self.play.get(name)) {
            return Some(self.filled_in(name, raw));
        }
        if let Some(value) = self.gathered.facts.get(name) {
            return Some(to_value(value));
        }
        if let Some(value) = self.magic(name) {
            return Some(value);
        }
        self.host_vars()?.get(name).map(|raw| self.filled_in(name, raw))
    }

    fn filled_in(self: &Arc<Self>, name: &str, raw: &Json) -> Value {
        if !has_template(raw) {
            return to_value(raw);
        }
        let depth = DEPTH.get();
        if depth >= DEEPEST {
            let words = format!("recursive loop detected in template string of variable '{name}'");
            return Value::from(Error::new(ErrorKind::InvalidOperation, words));
        }
        DEPTH.set(depth + 1);
        let context = Value::from_dyn_object(Arc::clone(self));
        let resolved = self.world.templates.resolve(raw, &context);
        DEPTH.set(depth);
        resolved.map_or_else(Value::from, |value| to_value(&value))
    }

    fn magic(self: &Arc<Self>, name: &str) -> Option<Value> {
        Some(match name {
            "inventory_hostname" => Value::from(self.host.as_str()),
            "inventory_hostname_short" => Value::from(self.host.split('.').next().unwrap_or_default()),
            "groups" => Value::from_pairs(self.world.groups.iter().map(|(name, hosts)| (name.clone(), hosts.clone()))),
            "group_names" => self.group_names(),
            "hostvars" => Value::from_object(HostVars(Arc::clone(self))),
            "vars" => Value::from_object(Seen(Arc::clone(self))),
            "ansible_facts" => {
                let facts = self.gathered.facts.iter();
                Value::from_pairs(
                    facts.map(|(name, value)| (name.strip_prefix("ansible_").unwrap_or(name), to_value(value))),
                )
            }
            "ansible_check_mode" => Value::from(self.check),
            "ansible_diff_mode" => Value::from(self.diff),
            "ansible_managed" => Value::from("Ansible managed"),
            _ => return None,
        })
    }

    fn group_names(&self) -> Value {
        let mine = self.world.groups.iter().filter(|(name, hosts)| *name != "all" && hosts.contains(&self.host));
        mine.map(|(name, _)| name.clone()).collect()
    }

    fn names(&self) -> Vec<String> {
        let host = self.host_vars().map(AsRef::as_ref);
        let layers = [
            Some(&self.item),
            Some(&self.gathered.registered),
            Some(&self.task),
            Some(&self.play),
            Some(&self.gathered.facts),
            host,
        ];
        let mut names: Vec<String> = layers.into_iter().flatten().flat_map(|layer| layer.keys().cloned()).collect();
        names.extend(["inventory_hostname", "groups", "group_names", "hostvars"].map(str::to_owned));
        names.sort();
        names.dedup();
        names
    }
}

fn has_template(value: &Json) -> bool {
    match value {
        Json::String(text) => is_template(text),
        Json::Array(items) => items.iter().any(has_template),
        Json::Object(fields) => fields.values().any(has_template),
        _ => false,
    }
}

/// As a template's context: a name that nobody has is an error as soon as it is read (see `template::chain`).
impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        self.find(name).or_else(|| (!self.world.templates.has_global(name)).then(|| Value::from(undefined(name))))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names().into_iter().map(Value::from).collect())
    }
}

/// The same variables as a mapping.
#[derive(Debug)]
struct Seen(Arc<Scope>);

impl Object for Seen {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.find(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.0.enumerate()
    }
}

/// `hostvars[name]`: every host's variables as that host sees them.
#[derive(Debug)]
struct HostVars(Arc<Scope>);

impl Object for HostVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let host = key.as_str()?;
        self.0.world.hosts.contains_key(host).then(|| Value::from_object(Seen(Arc::new(self.0.of_host(host)))))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.world.hosts.keys().map(|host| Value::from(host.as_str())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::explain;
    use serde_json::json;

    fn fields(value: Json) -> Arc<Fields> {
        Arc::new(value.as_object().cloned().unwrap_or_default())
    }

    fn scope() -> Scope {
        let hosts = BTreeMap::from([
            (
                "a".to_owned(),
                fields(
                    json!({"port": 1, "url": "{{ scheme }}://{{ inventory_hostname }}:{{ port }}", "scheme": "http"}),
                ),
            ),
            ("b".to_owned(), fields(json!({"port": 2, "url": "b:{{ port }}", "me": "{{ me }}"}))),
        ]);
        let groups = BTreeMap::from([
            ("all".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
            ("web".to_owned(), vec!["a".to_owned()]),
        ]);
        let world = World { templates: Templates::new(BTreeMap::new()), host: "a".to_owned(), hosts, groups };
        Scope {
            world: Arc::new(world),
            host: "a".to_owned(),
            gathered: Gathered {
                facts: fields(json!({"ansible_os_family": "Debian", "scheme": "fact"})),
                registered: fields(json!({"out": {"stdout": "{{ port }}"}, "who": "set"})),
            },
            play: fields(json!({"scheme": "https", "who": "play"})),
            task: fields(json!({"who": "task", "twice": "{{ url }}/{{ url }}"})),
            item: Fields::new(),
            check: false,
            diff: false,
        }
    }

    fn value(text: &str) -> Result<String, String> {
        let scope = scope();
        scope.world.templates.render("t", text, &scope.value()).map_err(|error| explain(&error))
    }

    #[test]
    fn variables_are_filled_in_where_they_are_used() {
        assert_eq!(value("{{ url }}").unwrap(), "https://a:1");
        assert_eq!(value("{{ twice }}").unwrap(), "https://a:1/https://a:1");
        assert_eq!(value("{{ hostvars['b'].url }} {{ hostvars.b['port'] }}").unwrap(), "b:2 2");
        assert_eq!(value("{{ hostvars[inventory_hostname].port }}").unwrap(), "1");
    }

    #[test]
    fn results_are_data() {
        assert_eq!(value("{{ out.stdout }}").unwrap(), "{{ port }}");
    }

    #[test]
    fn precedence_and_magic() {
        assert_eq!(value("{{ who }}").unwrap(), "set");
        assert_eq!(
            value("{{ ansible_os_family }}{{ ansible_facts.os_family }}{{ ansible_facts['os_family'] }}").unwrap(),
            "DebianDebianDebian"
        );
        assert_eq!(
            value("{{ group_names }} {{ groups['web'] | first }} {{ groups.all | length }}").unwrap(),
            "['web'] a 2"
        );
        assert_eq!(value("{{ vars['port'] }}").unwrap(), "1");
        assert_eq!(value("{{ hostvars | length }}").unwrap(), "2");
        assert_eq!(value("{{ 'port' in vars }} {{ 'nope' in hostvars['b'] }}").unwrap(), "True False");
    }

    #[test]
    fn a_variable_that_leads_to_itself_is_an_error() {
        assert!(value("{{ hostvars.b.me }}").unwrap_err().contains("recursive loop"));
    }
}
