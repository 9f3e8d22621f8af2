use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;

/// Runs it twice over a file: the text after, and whether the second run changed anything.
fn edited(before: &str, args: Value) -> (String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, before).unwrap();
    let first = call(&path, args.clone()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(first.fields["changed"], json!(text != before), "{args}");
    let second = call(&path, args).unwrap();
    (text, second.fields["changed"] == json!(true))
}

fn call(path: &Path, args: Value) -> ModuleResult {
    let mut fields = args.as_object().unwrap().clone();
    fields.insert("path".to_owned(), path.to_string_lossy().into_owned().into());
    run(&Args::new("lineinfile", fields)?, &Context { diff: true, ..Context::default() })
}

#[test]
fn present() {
    for (before, args, after) in [
        ("a\nb\n", json!({"line": "c"}), "a\nb\nc\n"),
        ("a\nb", json!({"line": "c"}), "a\nb\nc\n"),
        ("a\nc\n", json!({"line": "c"}), "a\nc\n"),
        ("", json!({"line": "c"}), "c\n"),
        ("a\n", json!({"line": "c\n"}), "a\nc\n"),
        ("a=1\nb\na=2\n", json!({"regexp": "^a=", "line": "a=3"}), "a=1\nb\na=3\n"),
        ("a=1\nb\na=2\n", json!({"regexp": "^a=", "line": "a=3", "firstmatch": true}), "a=3\nb\na=2\n"),
        ("x\n", json!({"regexp": "^a=", "line": "a=3"}), "x\na=3\n"),
        ("a = [1]\n", json!({"search_string": "a = [", "line": "a = [2]"}), "a = [2]\n"),
        ("a\nb\nc\n", json!({"line": "x", "insertafter": "^b"}), "a\nb\nx\nc\n"),
        ("a\nb\nc\n", json!({"line": "x", "insertbefore": "^b"}), "a\nx\nb\nc\n"),
        ("b\nb\n", json!({"line": "x", "insertafter": "b"}), "b\nb\nx\n"),
        ("b\nb\n", json!({"line": "x", "insertafter": "b", "firstmatch": true}), "b\nx\nb\n"),
        ("a\n", json!({"line": "x", "insertbefore": "BOF"}), "x\na\n"),
        ("a\n", json!({"line": "x", "insertafter": "EOF"}), "a\nx\n"),
        ("a\n", json!({"line": "x", "insertafter": "nope"}), "a\nx\n"),
        ("# host: old\n", json!({"regexp": "^# (\\w+): old", "line": "\\1: new", "backrefs": true}), "host: new\n"),
        ("a\n", json!({"regexp": "^b", "line": "\\1", "backrefs": true}), "a\n"),
        ("#opt\nopt x\n", json!({"regexp": "^(?!#)opt", "line": "opt y"}), "#opt\nopt y\n"),
    ] {
        let (text, again) = edited(before, args.clone());
        assert_eq!(text, after, "{args}");
        assert!(!again, "{args} is not idempotent");
    }
}

#[test]
fn absent() {
    for (before, args, after) in [
        ("a\nb\na\n", json!({"line": "a", "state": "absent"}), "b\n"),
        ("a1\nb\na2\n", json!({"regexp": "^a", "state": "absent"}), "b\n"),
        ("a.c\nabc\n", json!({"search_string": "a.c", "state": "absent"}), "abc\n"),
        ("b\n", json!({"line": "a", "state": "absent"}), "b\n"),
    ] {
        assert_eq!(edited(before, args.clone()), (after.to_owned(), false), "{args}");
    }
}

#[test]
fn creation_modes_and_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/f");
    let failure = call(&path, json!({"line": "x"})).unwrap_err();
    assert!(failure.message.contains("does not exist"));
    let outcome = call(&path, json!({"line": "x", "create": true, "mode": "0600"})).unwrap();
    assert_eq!((&outcome.fields["msg"], &outcome.fields["changed"]), (&json!("line added"), &json!(true)));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let outcome = call(&path, json!({"line": "x", "mode": "0644"})).unwrap();
    assert_eq!(outcome.fields["changed"], true);
    let outcome = call(&path, json!({"regexp": "x", "line": "y", "backup": true})).unwrap();
    assert_eq!(outcome.fields["diff"][0]["before"], "x\n");
    assert_eq!(fs::read_to_string(outcome.fields["backup"].as_str().unwrap()).unwrap(), "x\n");
    assert!(call(&path, json!({"line": "bad", "validate": "grep good %s"})).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "y\n");
    assert!(call(&folder.path().join("no"), json!({"line": "x", "state": "absent"})).is_ok());
}

#[test]
fn bytes_that_are_no_text_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, b"\xff\xfe\nkey=1\n").unwrap();
    call(&path, json!({"regexp": "^key=", "line": "key=é"})).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"\xff\xfe\nkey=\xc3\xa9\n");
}

#[test]
fn contradictions() {
    for args in [
        json!({"line": "a", "insertafter": "x", "insertbefore": "y"}),
        json!({"line": "a", "regexp": "x", "search_string": "y"}),
        json!({"line": "a", "backrefs": true}),
        json!({"regexp": "a"}),
        json!({"state": "absent"}),
        json!({"regexp": "(", "line": "a"}),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "x\n").unwrap();
        assert!(call(&path, args.clone()).is_err(), "{args}");
    }
}
