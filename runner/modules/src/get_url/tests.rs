use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use serde_json::json;

use super::*;

/// Answers one connection after another with what `answer` makes of its request; gives its address.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&request)).as_bytes());
        }
    });
    address
}

fn body(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

fn get(args: Value) -> ModuleResult {
    get_in(args, &Context::default())
}

fn get_in(args: Value, context: &Context) -> ModuleResult {
    run(&Args::new("get_url", args.as_object().unwrap().clone())?, context)
}

fn changed(result: ModuleResult) -> bool {
    result.unwrap().fields["changed"] == true
}

const SHA: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; // of hello

#[test]
fn once_and_then_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("file");
    let url = server(|request| {
        assert!(request.contains("User-Agent: ansible-httpget\r\n") && !request.contains("Authorization"));
        if request.contains("If-Modified-Since") { "HTTP/1.1 304 Not Modified\r\n\r\n".into() } else { body("hello") }
    });
    let args = json!({"url": format!("{url}/file"), "dest": dest, "mode": "0600"});
    assert!(changed(get_in(args.clone(), &Context { check: true, ..Context::default() })));
    assert!(!dest.exists());
    let first = get(args.clone()).unwrap();
    assert_eq!((&first.fields["status_code"], &first.fields["msg"]), (&json!(200), &json!("OK (5 bytes)")));
    assert_eq!(fs::metadata(&dest).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(get(args.clone()).unwrap().fields["status_code"], 304);
    fs::write(&dest, "other").unwrap();
    let forced = json!({"url": format!("{url}/file"), "dest": dest, "force": true, "backup": true});
    let second = get(forced.clone()).unwrap();
    assert_eq!(fs::read_to_string(second.fields["backup_file"].as_str().unwrap()).unwrap(), "other");
    assert!(!changed(get(forced)));
    assert!(changed(get(json!({"url": format!("{url}/name?x=1"), "dest": folder.path()}))));
    assert_eq!(fs::read_to_string(folder.path().join("name")).unwrap(), "hello");
}

#[test]
fn checksums() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("file");
    let url = server(|request| {
        let sums = format!("0000  other\n{}  ./file\n", SHA.trim_start_matches("sha256:"));
        body(if request.starts_with("GET /sums") { &sums } else { "hello" })
    });
    let wrong = get(json!({"url": format!("{url}/file"), "dest": dest, "checksum": "sha1:00"})).unwrap_err();
    assert!(wrong.message.contains("did not match 00; it was aaf4c6"), "{}", wrong.message);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    let args = json!({"url": format!("{url}/file"), "dest": dest, "checksum": format!("sha256:{url}/sums")});
    assert!(changed(get(args.clone())));
    assert_eq!(get(args).unwrap().fields["msg"], "file already exists");
    // With the right file in place nobody is asked.
    let nobody = json!({"url": "http://127.0.0.1:1/file", "dest": dest, "checksum": SHA});
    assert!(!changed(get(nobody)));
    fs::write(&dest, "broken").unwrap();
    assert!(changed(get(json!({"url": format!("{url}/file"), "dest": dest, "checksum": SHA}))));
    assert_eq!(checksum::find("SHA256 (file) = ab\nMD5 (x) = cd", "file").as_deref(), Some("ab"));
    assert_eq!(checksum::find("abcd\n", "file").as_deref(), Some("abcd"));
    assert!(get(json!({"url": "http://x/", "dest": dest, "checksum": "crc:1"})).is_err());
}

#[test]
fn redirects_and_logins_stay_where_they_belong() {
    let folder = tempfile::tempdir().unwrap();
    let other = server(|request| {
        assert!(!request.contains("Authorization"), "a login went to another host");
        body("there")
    });
    let url = server(move |request| match request.lines().next().unwrap() {
        "GET /out HTTP/1.1" => format!("HTTP/1.1 302 Found\r\nLocation: {other}/x\r\n\r\n"),
        "GET /loop HTTP/1.1" => "HTTP/1.1 301 Moved\r\nLocation: /loop\r\n\r\n".into(),
        _ if !request.contains("Authorization: Basic bWU6czNjcmV0\r\n") => "HTTP/1.1 401 Unauthorized\r\n\r\n".into(),
        _ => body("hello"),
    });
    let login = |path: &str| {
        let dest = folder.path().join("file");
        json!({"url": format!("{url}{path}"), "dest": dest, "username": "me", "password": "s3cret", "force": true})
    };
    assert!(changed(get(login("/in"))));
    let mut at_once = login("/out");
    at_once["force_basic_auth"] = true.into();
    assert!(changed(get(at_once)));
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "there");
    assert!(get(login("/loop")).unwrap_err().message.contains("more than 10 times"));
    let failure =
        get(json!({"url": url.replace("//", "//me:wrong@"), "dest": folder.path().join("none")})).unwrap_err();
    assert_eq!((failure.message.as_str(), &failure.fields["status_code"]), ("Request failed", &json!(401)));
    assert!(failure.fields["url"].as_str().unwrap().contains("me:********@"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(get(json!({"url": url, "dest": "/nonesuch/file"})).is_err());
    assert!(get(json!({"url": url, "dest": "/x", "headers": {"A": "b\r\nC: d"}})).is_err());
}

#[test]
fn curl_is_told_what_we_are() {
    if crate::process::find_program("curl").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = server(|request| {
        let words = ["X-Word: a \"b\"", "User-Agent: me", "Authorization: Basic bWU6czNjcmV0"];
        assert!(words.iter().all(|word| request.contains(word)), "{request}");
        body("hello")
    });
    // A proxy in the environment is curl's to honour.
    let environment = vec![("http_proxy".into(), url.clone().into()), ("no_proxy".into(), "".into())];
    let context = Context { environment, ..Context::default() };
    let args = json!({"url": "http://elsewhere.invalid/file", "dest": folder.path().join("file"), "http_agent": "me",
        "headers": {"X-Word": "a \"b\""}, "url_username": "me", "url_password": "s3cret"});
    let done = get_in(args, &context).unwrap();
    assert_eq!((&done.fields["status_code"], &done.fields["changed"]), (&json!(200), &json!(true)));
    let failure =
        get(json!({"url": "https://127.0.0.1:1/x", "dest": folder.path().join("x"), "timeout": 5})).unwrap_err();
    assert!(failure.message.starts_with("Request failed: https://127.0.0.1:1/x: curl: "), "{}", failure.message);
}
