use serde_json::json;

use super::*;

fn call(args: Value) -> ModuleResult {
    run(&Args::new("copy", args.as_object().unwrap().clone())?, &Context { diff: true, ..Context::default() })
}

fn changed(args: Value) -> bool {
    call(args).unwrap().fields["changed"].as_bool().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn content_mode_and_idempotence() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("f");
    let args = json!({"content": "hello", "dest": dest, "mode": "0600"});
    let outcome = call(args.clone()).unwrap();
    assert_eq!(outcome.fields["changed"], true);
    assert_eq!(outcome.fields["checksum"], "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
    assert_eq!(
        (&outcome.fields["diff"][0]["before"], &outcome.fields["diff"][0]["after"]),
        (&json!(""), &json!("hello"))
    );
    assert_eq!(outcome.artifacts, std::slice::from_ref(&dest));
    assert_eq!(mode(&dest), 0o600);
    assert!(!changed(args));
    assert!(changed(json!({"content": "other", "dest": dest})));
    assert_eq!(mode(&dest), 0o600, "a rewritten file keeps its mode");
    assert!(changed(json!({"content": "other", "dest": dest, "mode": "a+r"})));
    assert_eq!(mode(&dest), 0o644);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn other_contents() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("f");
    call(json!({"content": {"a": [1, true]}, "dest": dest})).unwrap();
    assert_eq!(fs::read_to_string(&dest).unwrap(), r#"{"a": [1, true]}"#);
    call(json!({"content_b64": "/wA=", "dest": dest})).unwrap();
    assert_eq!(fs::read(&dest).unwrap(), [255, 0]);
    call(json!({"content": "", "dest": dest})).unwrap();
    assert_eq!(fs::read(&dest).unwrap(), b"");
    assert!(call(json!({"content_b64": "?", "dest": dest})).is_err());
    assert!(call(json!({"src": "not/there", "dest": dest})).unwrap_err().message.contains("not in this binary"));
}

#[test]
fn folders_as_destinations() {
    let folder = tempfile::tempdir().unwrap();
    let into = format!("{}/new/deep/", folder.path().display());
    call(json!({"content": "x", "_original_basename": "a.conf", "dest": into})).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("new/deep/a.conf")).unwrap(), "x");
    call(json!({"content": "y", "src": "files/b.conf", "dest": folder.path().join("new")})).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("new/b.conf")).unwrap(), "y");
    assert!(call(json!({"content": "x", "dest": folder.path()})).unwrap_err().message.contains("dir as dest"));
    let missing = call(json!({"content": "x", "dest": folder.path().join("no/f")})).unwrap_err();
    assert!(missing.message.contains("does not exist"));
}

#[test]
fn force_backup_and_validate() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("f");
    fs::write(&dest, "old").unwrap();
    assert!(!changed(json!({"content": "new", "dest": dest, "force": false})));
    assert_eq!(fs::read_to_string(&dest).unwrap(), "old");
    let failure = call(json!({"content": "bad", "dest": dest, "validate": "grep good %s"})).unwrap_err();
    assert_eq!((failure.message.as_str(), &failure.fields["exit_status"]), ("failed to validate", &json!(1)));
    assert_eq!(fs::read_to_string(&dest).unwrap(), "old");
    let outcome = call(json!({"content": "good", "dest": dest, "validate": "grep good %s", "backup": true})).unwrap();
    assert_eq!(fs::read_to_string(outcome.fields["backup_file"].as_str().unwrap()).unwrap(), "old");
    assert!(call(json!({"content": "x", "dest": dest, "validate": "true"})).unwrap_err().message.contains("%s"));
}

#[test]
fn links_are_replaced_or_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("t"), folder.path().join("l"));
    fs::write(&target, "t").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(changed(json!({"content": "u", "dest": link, "follow": true})));
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), "u");
    assert!(changed(json!({"content": "u", "dest": link})));
    assert!(!link.is_symlink());
}

#[test]
fn trees_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let src = folder.path().join("src");
    fs::create_dir_all(src.join("sub")).unwrap();
    fs::write(src.join("sub/f"), "x").unwrap();
    fs::set_permissions(src.join("sub/f"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("sub/f", src.join("l")).unwrap();
    let args = json!({"src": src, "dest": folder.path().join("dest"), "remote_src": true});
    assert!(changed(args.clone()));
    assert_eq!(mode(&folder.path().join("dest/src/sub/f")), 0o755);
    assert_eq!(fs::read_link(folder.path().join("dest/src/l")).unwrap(), Path::new("sub/f"));
    assert!(!changed(args));
    let file =
        json!({"src": src.join("sub/f"), "dest": folder.path().join("g"), "remote_src": true, "mode": "preserve"});
    assert!(changed(file));
    assert_eq!(mode(&folder.path().join("g")), 0o755);
    assert!(
        call(json!({"src": "/no/such", "dest": "/tmp/x", "remote_src": true}))
            .unwrap_err()
            .message
            .contains("not found")
    );
}

#[test]
fn check_mode() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("f");
    let args = Args::new("copy", json!({"content": "x", "dest": dest}).as_object().unwrap().clone()).unwrap();
    let outcome = run(&args, &Context { check: true, diff: true, ..Context::default() }).unwrap();
    assert_eq!((&outcome.fields["changed"], dest.exists()), (&json!(true), false));
}
