use std::io::Write;
use std::net::{IpAddr, TcpListener};
use std::thread;

use serde_json::json;

use super::*;

fn wait(args: Value) -> ModuleResult {
    run(&Args::new("wait_for", args.as_object().unwrap().clone())?, &Context::default())
}

#[test]
fn a_file_that_comes_and_words_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let late = path.clone();
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        fs::write(late, "starting\ncompleted job7\n").unwrap();
    });
    let args = json!({"path": path, "search_regex": r"^completed (?P<task>\w+)$", "sleep": 0, "timeout": 60});
    let fields = wait(args).unwrap().fields;
    writer.join().unwrap();
    assert_eq!((&fields["match_groups"], &fields["match_groupdict"]), (&json!(["job7"]), &json!({"task": "job7"})));
    assert_eq!((&fields["state"], &fields["port"], &fields["changed"]), (&json!("file"), &json!(null), &json!(false)));
    assert!(wait(json!({"path": folder.path().join("none"), "state": "absent"})).is_ok());
    let failure = wait(json!({"path": path, "state": "absent", "timeout": 1, "sleep": 0, "msg": "still there"}));
    assert_eq!(failure.unwrap_err().message, "still there");
}

#[test]
fn a_port_and_what_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let _ = stream.unwrap().write_all(b"SSH-2.0-OpenSSH\r\n");
        }
    });
    assert!(wait(json!({"port": port, "timeout": 60})).is_ok());
    assert!(wait(json!({"port": port, "search_regex": "OpenSSH", "timeout": 60})).is_ok());
    server.join().unwrap();
    assert!(wait(json!({"port": port, "state": "stopped", "host": "localhost"})).is_ok());
    let failure = wait(json!({"port": port, "timeout": 1, "sleep": 0})).unwrap_err();
    assert_eq!(failure.message, format!("Timeout when waiting for 127.0.0.1:{port}"));
    assert!(failure.fields["elapsed"].as_u64().unwrap() >= 1);
}

#[test]
fn connections_of_a_port() {
    let active = connections::usual();
    let any: IpAddr = "0.0.0.0".parse().unwrap();
    let (host, other): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
    let word = |address: IpAddr| match address {
        IpAddr::V4(address) => format!("{:08X}", u32::from_ne_bytes(address.octets())),
        IpAddr::V6(_) => unreachable!(),
    };
    let line = format!("   1: {}:1F90 {}:C350 01 00000000:00000000", word(host), word(other));
    let mapped = format!(
        "   1: 0000000000000000{:08X}{}:1F90 {}:C350 01 x",
        u32::from_ne_bytes([0, 0, 0xff, 0xff]),
        word(host),
        word(other)
    );
    for line in [&line, &mapped] {
        assert!(connections::counts(line, &[host], 8080, &[], &active), "{line}");
        assert!(connections::counts(line, &[any], 8080, &[], &active));
        assert!(!connections::counts(line, &[other], 8080, &[], &active));
        assert!(!connections::counts(line, &[host], 8081, &[], &active));
        assert!(!connections::counts(line, &[host], 8080, &[], &["TIME_WAIT".to_owned()]));
    }
    assert!(!connections::counts(&line, &[host], 8080, &[other], &active));
}

#[test]
fn contradictions() {
    for args in [
        json!({"port": 1, "path": "/x"}),
        json!({"path": "/x", "state": "drained"}),
        json!({"state": "drained"}),
        json!({"port": 1, "exclude_hosts": "10.0.0.1"}),
        json!({"port": 70000}),
        json!({"port": 1, "timeout": -1}),
        json!({"port": 1, "state": "drained", "active_connection_states": ["OPEN"]}),
        json!({"path": "/x", "search_regex": "("}),
    ] {
        assert!(wait(args.clone()).is_err(), "{args}");
    }
    let args = Args::new("wait_for", json!({"timeout": 100}).as_object().unwrap().clone()).unwrap();
    let checked = run(&args, &Context { check: true, ..Context::default() }).unwrap();
    assert_eq!(checked.fields["skipped"], true);
}
