//! Parts of a plan, and the state that travels between them (docs/runner-contract.md, "Parts").

#[allow(dead_code)] // what the other tests use
mod support;

use serde_json::{Value, json};
use support::{Ran, Runner, frame, payload};

fn plan() -> Value {
    payload(
        json!([
            {"task_id": "a", "module": "shell", "args": {"_raw_params": "echo one"}, "register": "first", "notify": ["h2"]},
            {"task_id": "b", "module": "set_fact", "args": {"word": "{{ first.stdout }}-{{ far.stdout }}"}, "no_log": true},
            {"task_id": "c", "module": "debug", "args": {"msg": "{{ word }} {{ ansible_far_fact }}"}},
        ]),
        json!({"handlers": [
            {"task_id": "h1", "name": "h1", "module": "debug", "args": {"msg": "h1 {{ word }}"}},
            {"task_id": "h2", "name": "h2", "module": "command", "args": {"argv": ["true"]}, "notify": ["h1"]},
        ]}),
    )
}

fn part(runner: &Runner, part: &Value) -> Ran {
    runner.run_with(&["--part"], &frame(part))
}

fn ids(ran: &Ran) -> Vec<String> {
    ran.records().iter().map(|record| record["task_id"].as_str().unwrap().to_owned()).collect()
}

fn state<'a>(ran: &'a Ran, id: &str) -> &'a Value {
    ran.lines.iter().find(|line| line["type"] == "state" && line["task_id"] == id).expect(&ran.text)
}

#[test]
fn what_a_part_brings_forth_another_can_use() {
    let runner = Runner::new(&plan());
    let first = part(&runner, &json!({"play": 0, "tasks": ["a"]}));
    assert_eq!((first.status, ids(&first)), (0, vec!["a".to_owned()]));
    let told = state(&first, "a");
    assert_eq!(told["registered"]["first"]["stdout"], "one");
    assert_eq!(told["notified"], json!(["h2"]));
    let mut registered = told["registered"].clone();
    registered["far"] = json!({"stdout": "two"});
    let second = part(
        &runner,
        &json!({"play": 0, "tasks": ["c", "b"], "registered": registered, "facts": {"ansible_far_fact": 7}}),
    );
    assert_eq!(ids(&second), ["b", "c"], "in the plan's order");
    assert_eq!(second.task("c")["msg"], "one-two 7");
    assert_eq!(state(&second, "b")["registered"], json!({"word": "one-two"}), "what no_log hides travels, too");
}

#[test]
fn handlers_run_when_a_part_names_them_and_only_then() {
    let runner = Runner::new(&plan());
    let ran = part(&runner, &json!({"play": 0, "handlers": ["h2"]}));
    assert_eq!(ids(&ran), ["h2"]);
    assert_eq!(ran.task("h2")["handler"], true);
    assert_eq!(state(&ran, "h2")["notified"], json!(["h1"]));
}

#[test]
fn a_part_comes_after_the_secrets() {
    let mut plan = plan();
    plan["secrets"] = json!(["TOKEN"]);
    let stdin = [frame(&json!({"TOKEN": "one"})), frame(&json!({"play": 0, "tasks": ["a"]}))].concat();
    let ran = Runner::new(&plan).run_with(&["--part"], &stdin);
    assert_eq!(ran.task("a")["stdout"], "********");
    assert_eq!(state(&ran, "a")["registered"]["first"]["stdout"], "one", "the state is whole");
}

#[test]
fn the_state_is_written_when_asked_for() {
    let runner = Runner::new(&plan());
    let lines = |ran: &Ran| ran.lines.iter().filter(|line| line["type"] == "state").count();
    let far = json!([{"task_id": "a", "module": "shell", "args": {"_raw_params": "echo"}, "register": "x"}]);
    let alone = Runner::new(&payload(far, json!({})));
    assert_eq!((lines(&alone.run(&[])), lines(&alone.run(&["--state"]))), (0, 1));
    assert_eq!(lines(&part(&runner, &json!({"play": 0}))), 0);
}

#[test]
fn every_line_is_kept_in_a_file_too() {
    let runner = Runner::new(&plan());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records");
    let arguments = ["--state", "--records", file.to_str().unwrap()];
    let ran = runner.run(&arguments);
    assert!(ran.text.contains("\"report\""));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ran.text);
    let again = runner.run(&arguments);
    assert_eq!((again.status, again.text.as_str()), (2, ""), "nothing that lies there already is written to");
}

#[test]
fn a_part_that_the_plan_has_not_is_refused() {
    let runner = Runner::new(&plan());
    for wrong in [
        json!({"play": 1}),
        json!({"play": 0, "tasks": ["h1"]}),
        json!({"play": 0, "handlers": ["a"]}),
        json!({"play": 0, "nonsense": 1}),
        json!([]),
    ] {
        let ran = part(&runner, &wrong);
        assert_eq!((ran.status, ran.text.as_str()), (2, ""), "{wrong}");
    }
    assert_eq!(runner.run(&["--part"]).status, 2);
}
