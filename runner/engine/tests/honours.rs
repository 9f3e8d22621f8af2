//! honours.json, the code and the payload agree: nothing is listed that is not read, nothing is read that is not
//! listed.

use std::collections::BTreeSet;

use runner_modules::honours::honours;
use serde_json::json;

#[test]
fn every_argument_is_read_by_its_module_and_listed() {
    for (module, spec) in &honours().modules {
        let mut asked = runner_engine::survey(module)
            .or_else(|| runner_modules::survey(module))
            .unwrap_or_else(|| panic!("{module} is listed, but nothing implements it"));
        assert_eq!(asked.remove("_raw_params"), spec.free_form, "{module}: free_form");
        let listed: BTreeSet<String> = spec.arguments.iter().cloned().collect();
        assert_eq!(listed, asked, "{module}");
        assert_eq!(listed.len(), spec.arguments.len(), "{module} lists an argument twice");
    }
}

#[test]
fn aliases_choices_and_requirements_name_arguments() {
    for (module, spec) in &honours().modules {
        let known = |name: &String| spec.arguments.contains(name) || (spec.free_form && name == "_raw_params");
        for (alias, name) in &spec.aliases {
            assert!(known(name) && !known(alias), "{module}: alias {alias}");
        }
        assert!(spec.choices.keys().all(&known), "{module}: choices");
        assert!(spec.matches.keys().all(&known), "{module}: matches");
        assert!(spec.required.iter().all(|group| !group.is_empty() && group.iter().all(&known)), "{module}: required");
    }
}

#[test]
fn every_keyword_is_a_field_of_the_payload() {
    // A value that each keyword may have; what is not listed here makes the test fail for want of it.
    let values = json!({
        "register": "r", "loop": [1], "loop_control": {"loop_var": "x"}, "when": ["true"], "tags": ["t"], "notify": ["n"],
        "listen": ["l"], "vars": {"a": 1}, "environment": {"A": "b"}, "become": true, "become_user": "root",
        "changed_when": ["false"], "failed_when": ["false"], "ignore_errors": true, "until": ["true"], "retries": 1,
        "delay": 0, "timeout": 1, "no_log": true, "check_mode": true, "diff": true,
    });
    let payload = |task: serde_json::Value| {
        let payload =
            json!({"schema": 1, "plan_id": "p", "run_on": ["h"], "hosts": {"h": {}}, "plays": [{"tasks": [task]}]});
        runner_engine::Payload::parse(payload.to_string().as_bytes())
    };
    for keyword in &honours().keywords {
        let mut task = json!({"task_id": "a", "module": "debug"});
        task[keyword] = values.get(keyword).unwrap_or_else(|| panic!("no value for {keyword}")).clone();
        payload(task).unwrap_or_else(|error| panic!("{keyword}: {error}"));
    }
    for keyword in values.as_object().unwrap().keys() {
        assert!(honours().keywords.contains(keyword), "{keyword} is read but not listed");
    }
    assert!(payload(json!({"task_id": "a", "module": "debug", "with_items": []})).is_err());
}
