use serde_json::json;

use super::*;

fn call(module: &str, args: Value) -> ModuleResult {
    let Value::Object(fields) = args else { panic!("not an object") };
    run(&Args::new(module, fields).unwrap(), &Context::default(), module == "shell")
}

#[test]
fn words() {
    let split = |text| split_words(text).unwrap();
    assert_eq!(split("a  'b c' \"d \\\" e\" f\\ g #h"), ["a", "b c", "d \" e", "f g", "#h"]);
    assert_eq!(split("''"), [""]);
    assert_eq!(split_words("'open"), None);
}

#[test]
fn reports_what_a_command_did() {
    let fields = call("command", json!({"argv": ["sh", "-c", "echo out; echo err >&2; exit 3"]})).unwrap().fields;
    assert_eq!((&fields["rc"], &fields["stdout"], &fields["stderr"]), (&json!(3), &json!("out"), &json!("err")));
    assert_eq!((&fields["failed"], &fields["changed"]), (&json!(true), &json!(true)));
    assert_eq!(fields["msg"], "non-zero return code");
}

#[test]
fn a_command_is_no_shell() {
    let fields = call("command", json!({"_raw_params": "echo a | cat '$HOME'"})).unwrap().fields;
    assert!(fields["stdout"].as_str().unwrap().starts_with("a | cat"));
    let fields = call("shell", json!({"cmd": "echo a | tr a b"})).unwrap().fields;
    assert_eq!(fields["stdout"], "b");
}

#[test]
fn creates_spares_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let args = json!({"_raw_params": "touch made", "creates": "made", "chdir": folder.path()});
    let first = call("shell", args.clone()).unwrap();
    assert_eq!(first.fields["changed"], true);
    assert_eq!(first.artifacts, [folder.path().join("made")]);
    let second = call("shell", args).unwrap();
    assert_eq!(second.fields["changed"], false);
    assert_eq!(second.fields["stdout"], "skipped, since made exists");
}

#[test]
fn a_free_form_is_the_command_and_nothing_else() {
    // What a template filled in may look like an option: only the plan's reader takes those out.
    let fields = call("command", json!({"_raw_params": "echo chdir=/nowhere creates=/"})).unwrap().fields;
    assert_eq!(fields["stdout"], "chdir=/nowhere creates=/");
}

#[test]
fn stdin_and_ends() {
    let fields = call("command", json!({"cmd": "cat", "stdin": "x"})).unwrap().fields;
    assert_eq!(fields["stdout"], "x");
    let fields = call("command", json!({"cmd": "cat", "stdin": "x", "strip_empty_ends": false})).unwrap().fields;
    assert_eq!(fields["stdout"], "x\n");
    let fields =
        call("command", json!({"cmd": "cat", "stdin": "x", "stdin_add_newline": false, "strip_empty_ends": "no"}));
    assert_eq!(fields.unwrap().fields["stdout"], "x");
}

#[test]
fn what_does_not_start_is_a_failure() {
    let failure = call("command", json!({"cmd": "/no/such/program"})).unwrap_err();
    assert_eq!(failure.fields["rc"], 2);
    assert!(failure.message.contains("No such file or directory"), "{}", failure.message);
    assert!(call("command", json!({"cmd": "true", "chdir": "/no/such/folder"})).is_err());
    assert!(call("command", json!({"cmd": "  "})).is_err());
    assert!(call("command", json!({"cmd": "true", "argv": ["true"]})).is_err());
}

#[test]
fn check_mode_runs_nothing() {
    let args = |value: Value| Args::new("command", value.as_object().unwrap().clone()).unwrap();
    let context = Context { check: true, ..Context::default() };
    let outcome = run(&args(json!({"cmd": "false"})), &context, false).unwrap();
    assert_eq!((&outcome.fields["skipped"], &outcome.fields["changed"]), (&json!(true), &json!(false)));
    let outcome = run(&args(json!({"cmd": "false", "creates": "/no/such"})), &context, false).unwrap();
    assert_eq!(outcome.fields["changed"], true);
    assert!(!outcome.fields.contains_key("skipped"));
}

#[test]
fn a_background_process_does_not_hold_the_runner() {
    let began = std::time::Instant::now();
    let fields = call("shell", json!({"cmd": "sleep 5 & echo started"})).unwrap().fields;
    assert_eq!(fields["stdout"], "started");
    assert!(began.elapsed().as_secs() < 4, "waited for the daemon");
}

#[test]
fn large_and_broken_output() {
    let fields =
        call("shell", json!({"cmd": "head -c 10000000 /dev/zero | tr '\\0' x; printf '\\377'"})).unwrap().fields;
    let text = fields["stdout"].as_str().unwrap();
    assert_eq!(text.len(), 10_000_000 + '\u{fffd}'.len_utf8());
}

#[test]
fn large_input_meets_a_command_that_does_not_read() {
    let big = "y".repeat(3_000_000);
    assert_eq!(call("command", json!({"cmd": "true", "stdin": big})).unwrap().fields["rc"], 0);
    let fields = call("command", json!({"cmd": "wc -c", "stdin": big})).unwrap().fields;
    assert_eq!(fields["stdout"], "3000001");
}
