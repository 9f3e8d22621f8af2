use std::os::unix::fs::PermissionsExt;

use super::*;

fn call(args: Value) -> ModuleResult {
    let Value::Object(fields) = args else { panic!("not an object") };
    run(&Args::new("file", fields)?, &Context { diff: true, ..Context::default() })
}

fn changed(args: Value) -> bool {
    call(args).unwrap().fields["changed"].as_bool().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn directories_with_their_parents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c");
    let args = json!({"path": path, "state": "directory", "mode": "0750"});
    let outcome = call(args.clone()).unwrap();
    assert_eq!(outcome.fields["changed"], true);
    assert_eq!((&outcome.fields["mode"], &outcome.fields["state"]), (&json!("0750"), &json!("directory")));
    assert_eq!(outcome.fields["diff"]["before"]["state"], "absent");
    assert_eq!(outcome.artifacts.len(), 3);
    assert_eq!(mode(&folder.path().join("a")), 0o750);
    assert!(!changed(args));
    fs::write(path.join("f"), "").unwrap();
    fs::set_permissions(path.join("f"), fs::Permissions::from_mode(0o600)).unwrap();
    let recursive = json!({"path": folder.path().join("a"), "recurse": true, "mode": "u=rwX,g=rX,o=rX"});
    assert!(changed(recursive.clone()));
    assert_eq!((mode(&path.join("f")), mode(&path)), (0o644, 0o755));
    assert!(!changed(recursive));
    assert!(
        call(json!({"path": path.join("f"), "state": "directory"}))
            .unwrap_err()
            .message
            .contains("already exists as a file")
    );
}

#[test]
fn touch_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    assert!(changed(json!({"path": path, "state": "touch", "mode": 0o640})));
    assert_eq!(mode(&path), 0o640);
    assert!(changed(json!({"path": path, "state": "touch"})), "a touch is a change");
    let keep = json!({"path": path, "state": "touch", "access_time": "preserve", "modification_time": "preserve"});
    assert!(!changed(keep));
    let at = json!({"path": path, "modification_time": "202001020304.05"});
    assert!(changed(at.clone()));
    assert!(!changed(at));
}

#[test]
fn absent_and_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    fs::create_dir_all(path.join("deep")).unwrap();
    assert!(changed(json!({"path": path, "state": "absent"})));
    assert!(!path.exists());
    assert!(!changed(json!({"path": path, "state": "absent"})));
    let failure = call(json!({"path": path, "mode": "0644"})).unwrap_err();
    assert!(failure.message.contains("is absent, cannot continue"));
}

#[test]
fn absent_removes_a_link_and_not_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    fs::create_dir(&target).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(changed(json!({"path": link, "state": "absent"})));
    assert!(target.exists() && !link.is_symlink());
}

#[test]
fn links() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let link = folder.path().join("link");
    let args = json!({"src": "target", "dest": link, "state": "link"});
    assert!(call(args.clone()).unwrap_err().message.contains("src file does not exist"));
    fs::write(&target, "x").unwrap();
    let outcome = call(args.clone()).unwrap();
    assert_eq!((&outcome.fields["changed"], &outcome.fields["state"]), (&json!(true), &json!("link")));
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("target"));
    assert!(!changed(args));
    assert!(changed(json!({"src": target, "dest": link, "state": "link"})), "another spelling is another link");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(call(json!({"src": target, "dest": file, "state": "link"})).is_err());
    assert!(changed(json!({"src": target, "dest": file, "state": "link", "force": true})));
    assert!(changed(json!({"src": "/no/such", "dest": link, "state": "link", "force": true})));
}

#[test]
fn hard_links() {
    let folder = tempfile::tempdir().unwrap();
    let (src, dest) = (folder.path().join("a"), folder.path().join("b"));
    fs::write(&src, "x").unwrap();
    let args = json!({"src": src, "dest": dest, "state": "hard"});
    assert_eq!(call(args.clone()).unwrap().fields["state"], "hard");
    assert!(!changed(args.clone()));
    fs::remove_file(&dest).unwrap();
    fs::write(&dest, "y").unwrap();
    assert!(call(args).is_err());
    assert!(changed(json!({"src": src, "dest": dest, "state": "hard", "force": "yes"})));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn check_mode_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context { check: true, ..Context::default() };
    for state in ["touch", "directory"] {
        let path = folder.path().join(state);
        let args = Args::new("file", json!({"path": path, "state": state}).as_object().unwrap().clone()).unwrap();
        let outcome = run(&args, &context).unwrap();
        assert_eq!(outcome.fields["changed"], true);
        assert!(outcome.artifacts.is_empty() && !path.exists());
    }
}

#[test]
fn contradictions() {
    assert!(call(json!({"path": "/tmp", "recurse": true, "state": "touch"})).is_err());
    assert!(call(json!({"path": "/tmp", "state": "folder"})).unwrap_err().message.contains("must be one of"));
    assert!(call(json!({"path": "/tmp", "colour": "red"})).unwrap_err().message.contains("Unsupported parameters"));
    assert!(call(json!({"state": "touch"})).unwrap_err().message.contains("missing required arguments: path"));
    assert!(
        call(json!({"path": "/tmp", "owner": "no such user"})).unwrap_err().message.contains("failed to look up user")
    );
}
