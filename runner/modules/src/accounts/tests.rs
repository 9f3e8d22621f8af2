use serde_json::{Value, json};

use super::user::{UserArgs, is_hash};
use super::*;
use crate::users;

fn words(args: Value) -> Vec<String> {
    let args = Args::new("user", args.as_object().unwrap().clone()).unwrap();
    shadow_tools::create(&UserArgs::read(&args).unwrap()).unwrap().words
}

/// Of an account that every host has.
fn changes(args: Value) -> Option<Vec<String>> {
    let args = Args::new("user", args.as_object().unwrap().clone()).unwrap();
    let root = users::by_uid(0).unwrap();
    shadow_tools::modify(&UserArgs::read(&args).unwrap(), &root).unwrap().map(|call| call.words)
}

#[test]
fn useradd_is_asked_for_what_the_task_says() {
    let said = words(json!({
        "user": "app", "uid": "1200", "comment": "An app", "createhome": false, "system": true, "expires": 86400.5,
        "password": "$6$salt$x", "password_lock": true, "uid_max": 2000,
    }));
    let told = "useradd -u 1200 -c An app -e 1970-01-02 -p !$6$salt$x -M -r -K UID_MAX=2000 app";
    assert_eq!(said.join(" "), told);
    assert_eq!(
        words(json!({"name": "app", "expires": -1, "umask": "077"})).join(" "),
        "useradd -e  -m -K UMASK=077 app"
    );
    // root's group is there already
    assert_eq!(words(json!({"name": "root"})), ["useradd", "-N", "-m", "root"]);
}

#[test]
fn usermod_is_asked_for_what_differs() {
    let root = users::by_uid(0).unwrap();
    let same = json!({"name": root.name, "uid": 0, "group": "root", "home": root.home, "shell": root.shell});
    assert_eq!(changes(same), None);
    let moved = changes(json!({"name": root.name, "home": "/elsewhere", "move_home": true, "comment": "It"})).unwrap();
    assert_eq!(moved, ["usermod", "-c", "It", "-d", "/elsewhere", "-m", "root"]);
}

#[test]
fn names_that_would_be_options_are_refused() {
    for name in ["", "-r", "a:b", "a\nb", "../x"] {
        let args = Args::new("user", json!({"name": name}).as_object().unwrap().clone()).unwrap();
        assert!(UserArgs::read(&args).is_err(), "{name}");
    }
    let args = Args::new("user", json!({"name": "a", "shell": "/bin/sh:x"}).as_object().unwrap().clone()).unwrap();
    assert!(UserArgs::read(&args).is_err());
}

#[test]
fn a_password_shows_nowhere() {
    let mut said = Said { hidden: Some("s3cret".to_owned()), ..Said::default() };
    let call = Call::new("sh").words(["-c", "echo it is s3cret; exit 3"]);
    let failure = said.change("a", &call, &Context::default()).unwrap_err();
    assert_eq!((failure.message.as_str(), &failure.fields["rc"]), ("it is ********", &json!(3)));
    assert!(!is_hash("$6$abc$") && is_hash("*") && !is_hash("plain") && !is_hash("$1$a$b"));
    assert!(is_hash(&format!("$6$salt${}", "a".repeat(86))));
}

#[test]
fn lines_of_the_systems_files() {
    let found = shadow::parse("app:!x:19000:0:99999:7::20000:", "app").unwrap();
    assert_eq!(
        (found.password.as_str(), found.max, found.warn, found.inactive, found.expires),
        ("!x", 99999, 7, -1, 20000)
    );
    assert_eq!(shadow::parse("apple:x:1::::::", "app"), None);
    assert_eq!(home::mode("# UMASK 000\nUMASK\t\t027\nHOME_MODE 0700\n"), 0o700);
    assert_eq!(home::mode("UMASK\t\t027\nHOME_MODEL 1\n"), 0o750);
}
