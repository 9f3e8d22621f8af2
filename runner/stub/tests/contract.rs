//! The contract of docs/runner-contract.md, met by real runners: stubs with payloads appended.

mod support;

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Ran, Runner, frame, payload, process_with, run, trailer};

fn statuses(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    ran.records().into_iter().map(|record| (text(&record["task_id"]), text(&record["status"]))).collect()
}

fn ids(ran: &Ran) -> Vec<String> {
    statuses(ran).into_iter().map(|(id, _)| id).collect()
}

#[test]
fn a_damaged_payload_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let good =
        payload(json!([{"task_id": "a", "module": "file", "args": {"path": mark, "state": "touch"}}]), json!({}));
    let bytes = good.to_string().into_bytes();
    let mut flipped = bytes.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    let mut long = trailer(&bytes);
    long[7] = 255;
    for (tail, words) in [
        (Vec::new(), "no payload"),
        ([&flipped[..], &trailer(&bytes)].concat(), "damaged"),
        ([&bytes[..], &long].concat(), "damaged"),
        ([&bytes[..], &trailer(&bytes)[..55]].concat(), "no payload"),
        ([&b"{\"schema\": 1"[..], &trailer(b"{\"schema\": 1")].concat(), "malformed"),
        ([&b"{\"schema\": 9}"[..], &trailer(b"{\"schema\": 9}")].concat(), "schema 9"),
    ] {
        let ran = Runner::with_tail(&tail).run(&[]);
        assert_eq!((ran.status, ran.text.as_str()), (2, ""), "{words}");
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        assert!(!mark.exists());
    }
    assert_eq!(Runner::new(&good).run(&["--verify"]).lines[0]["plan_id"], "plan");
    assert!(!mark.exists(), "--verify runs nothing");
    assert_eq!(Runner::new(&good).run(&[]).status, 0);
    assert!(mark.exists());
}

#[test]
fn hosts_and_arguments() {
    let two = payload(
        json!([{"task_id": "a", "module": "debug", "args": {"msg": "{{ inventory_hostname }} {{ v }} {{ hostvars.b.v }}"}}]),
        json!({"run_on": ["a", "b"], "hosts": {"a": {"v": 1}, "b": {"v": 2}, "c": {}}}),
    );
    let runner = Runner::new(&two);
    assert_eq!(runner.run(&["--host", "b"]).task("a")["msg"], "b 2 2");
    assert_eq!(runner.run(&["--host", "a"]).report()["host"], "a");
    for arguments in [&[][..], &["--host", "c"], &["--host"], &["--nonsense"], &["x"]] {
        let ran = runner.run(arguments);
        assert_eq!((ran.status, ran.text.as_str()), (2, ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn a_task_before_its_dependency_is_refused() {
    let task = |id: &str, after: &[&str]| json!({"task_id": id, "module": "debug", "dependencies": after});
    let ran = run(json!([task("b", &["a"]), task("a", &[])]), json!({}));
    assert_eq!((ran.status, ran.lines.len()), (2, 0));
}

#[test]
fn records_and_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let ran = run(
        json!([
            {"task_id": "a", "name": "write {{ what }}", "module": "ansible.builtin.copy", "args": {"content": "x", "dest": path}},
            {"task_id": "b", "module": "command", "args": {"_raw_params": "echo out"}, "changed_when": ["false"]},
            {"task_id": "c", "module": "debug", "when": ["what == 'other'"]},
            {"task_id": "d", "module": "command", "args": {"cmd": "sh -c 'echo bad >&2; exit 7'"}, "ignore_errors": true},
            {"task_id": "e", "module": "fail", "args": {"msg": "stop"}},
            {"task_id": "f", "module": "debug"},
        ]),
        json!({"hosts": {"h": {"what": "it"}}}),
    );
    assert_eq!(ran.status, 1);
    let wanted = [("a", "changed"), ("b", "ok"), ("c", "skipped"), ("d", "failed"), ("e", "failed")];
    assert_eq!(statuses(&ran), wanted.map(|(id, status)| (id.to_owned(), status.to_owned())));
    let kinds: Vec<&str> = ran.lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "task", "start", "task", "start", "task", "start", "task", "start", "task", "report"]);
    let a = ran.task("a");
    assert_eq!((&a["name"], &a["artifacts"], &a["handler"]), (&json!("write it"), &json!([path]), &json!(false)));
    assert!(a["start"].as_str().unwrap().ends_with('Z') && a["duration"]["nanos"].is_u64());
    assert_eq!((&ran.task("b")["stdout"], &ran.task("b")["rc"]), (&json!("out"), &json!(0)));
    assert_eq!(ran.task("b")["result"]["stdout_lines"], json!(["out"]));
    assert_eq!(ran.task("c")["skip_reason"], "Conditional result was False: what == 'other'");
    let d = ran.task("d");
    assert_eq!((&d["ignored"], &d["rc"], &d["stderr"]), (&json!(true), &json!(7), &json!("bad")));
    assert_eq!((&ran.task("e")["msg"], &ran.task("e")["ignored"]), (&json!("stop"), &json!(false)));
    let report = ran.report();
    for (name, count) in [("ok", 1), ("changed", 1), ("failed", 1), ("skipped", 1), ("ignored", 1), ("exit_code", 1)] {
        assert_eq!(report[name], count, "{name}");
    }
    assert_eq!(report["payload_sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn a_second_run_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let runner = Runner::new(&payload(
        json!([
            {"task_id": "d", "module": "file", "args": {"path": at("d"), "state": "directory", "mode": "0750"}},
            {"task_id": "t", "module": "template", "args": {"content": "{% for i in [1,2] %}\n{{ i }}\n{% endfor %}\n", "dest": at("d/t"), "mode": "0600"}},
            {"task_id": "l", "module": "lineinfile", "args": {"path": at("d/t"), "line": "three"}, "when": ["false"]},
            {"task_id": "s", "module": "file", "args": {"src": "t", "dest": at("d/link"), "state": "link"}},
            {"task_id": "c", "module": "command", "args": {"cmd": "touch made", "chdir": at("d"), "creates": "made"}},
        ]),
        json!({}),
    ));
    let first = runner.run(&[]);
    assert_eq!((first.status, &first.report()["changed"]), (0, &json!(4)), "{}", first.text);
    assert_eq!(std::fs::read_to_string(at("d/t")).unwrap(), "1\n2\n");
    assert_eq!(first.task("c")["artifacts"], json!([at("d/made")]));
    let second = runner.run(&[]);
    assert_eq!((&second.report()["changed"], &second.report()["ok"]), (&json!(0), &json!(4)), "{}", second.text);
    assert!(second.records().iter().all(|record| record["artifacts"] == json!([])));
}

#[test]
fn results_are_registered() {
    let ran = run(
        json!([
            {"task_id": "a", "module": "command", "args": {"cmd": "echo '{{ \"{{\" }} x }}'"}, "register": "out"},
            {"task_id": "b", "module": "debug", "when": ["false"], "register": "skipped"},
            {"task_id": "c", "module": "fail", "ignore_errors": true, "register": "bad"},
            {"task_id": "d", "module": "set_fact", "args": {"n": "{{ out.stdout | length }}", "l": ["{{ out.rc }}"]}},
            {"task_id": "e", "module": "assert", "args": {"that": [
                "out is changed", "out.rc == 0", "out.stdout == '{{ \"{{ x }}\" }}' or true", "skipped is skipped", "bad is failed",
                "bad.msg == 'Failed as requested from task'", "n == 7", "l == [0]", "nothing is not defined"]}},
            {"task_id": "f", "module": "debug", "args": {"msg": "{{ out.stdout }}"}},
            {"task_id": "g", "module": "debug", "args": {"var": "l"}},
        ]),
        json!({}),
    );
    assert_eq!(ran.status, 0, "{}", ran.text);
    assert_eq!(ran.task("f")["msg"], "{{ x }}", "what a command wrote is data, not a template");
    assert_eq!(ran.task("g")["result"]["l"], json!([0]));
}

#[test]
fn loops() {
    let ran = run(
        json!([
            {"task_id": "a", "module": "command", "args": {"cmd": "echo {{ item }}"}, "loop": ["x", "y"], "register": "r"},
            {"task_id": "b", "module": "debug", "args": {"msg": "{{ who.name }}{{ i }}{{ ansible_loop.last }}"}, "loop": "{{ people }}",
             "loop_control": {"loop_var": "who", "index_var": "i", "label": "{{ who.name }}", "extended": true}},
            {"task_id": "c", "module": "debug", "loop": [1, 2, 3], "when": ["item > 1"], "register": "some"},
            {"task_id": "d", "module": "debug", "loop": []},
            {"task_id": "e", "module": "debug", "loop": [1], "when": ["item > 1"]},
            {"task_id": "f", "module": "command", "args": {"cmd": "test {{ item }} = 2"}, "loop": [1, 2], "ignore_errors": true, "register": "tried"},
            {"task_id": "g", "module": "debug", "loop": "{{ missing }}", "when": ["false"]},
            {"task_id": "h", "module": "assert", "args": {"that": ["r.results | map(attribute='stdout') | list == ['x', 'y']", "r is changed",
                "some.results | selectattr('skipped', 'defined') | list | length == 1", "tried is failed", "tried.results[1].rc == 0"]}},
            {"task_id": "i", "module": "debug", "loop": "not a list"},
        ]),
        json!({"hosts": {"h": {"people": [{"name": "ann"}, {"name": "bob"}]}}}),
    );
    assert_eq!(ran.task("h")["status"], "ok", "{}", ran.text);
    let results = &ran.task("b")["result"]["results"];
    assert_eq!(
        (&results[0]["msg"], &results[1]["msg"], &results[1]["_ansible_item_label"]),
        (&json!("ann0False"), &json!("bob1True"), &json!("bob"))
    );
    assert_eq!(ran.task("c")["status"], "ok");
    assert_eq!(
        (&ran.task("d")["status"], &ran.task("d")["skip_reason"]),
        (&json!("skipped"), &json!("No items in the list"))
    );
    assert_eq!((&ran.task("e")["status"], &ran.task("g")["status"]), (&json!("skipped"), &json!("skipped")));
    assert!(ran.task("i")["msg"].as_str().unwrap().contains("requires a list"));
    assert_eq!(ran.status, 1);
}

#[test]
fn verdicts_and_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let ran = run(
        json!([
            {"task_id": "a", "module": "command", "args": {"cmd": "false"}, "register": "r", "failed_when": ["r.rc > 1"], "changed_when": ["r.rc == 0"]},
            {"task_id": "b", "module": "shell", "args": {"cmd": format!("echo x >> {0}; wc -l < {0}", count.display())},
             "register": "n", "until": ["n.stdout | int >= 3"], "retries": 5, "delay": 0},
            {"task_id": "c", "module": "command", "args": {"cmd": "false"}, "register": "x", "until": ["x.rc == 0"], "retries": 2, "delay": 0, "ignore_errors": "{{ true }}"},
            {"task_id": "d", "module": "command", "args": {"cmd": "true"}, "failed_when": ["true", "no_such is defined"]},
            {"task_id": "e", "module": "command", "args": {"cmd": "true"}, "failed_when": ["missing > 1"]},
        ]),
        json!({}),
    );
    assert_eq!((&ran.task("a")["status"], &ran.task("a")["rc"]), (&json!("ok"), &json!(1)));
    assert_eq!((&ran.task("b")["status"], &ran.task("b")["attempts"]), (&json!("changed"), &json!(3)));
    assert_eq!(
        (&ran.task("c")["status"], &ran.task("c")["attempts"], &ran.task("c")["ignored"]),
        (&json!("failed"), &json!(3), &json!(true))
    );
    assert_eq!(ran.task("d")["status"], "changed");
    let words = ran.task("e")["msg"].as_str().unwrap();
    assert!(words.contains("missing > 1") && words.contains("'missing' is undefined"), "{words}");
}

#[test]
fn handlers() {
    let touch = |id: &str, notify: Value| json!({"task_id": id, "module": "command", "args": {"cmd": "true"}, "notify": notify});
    let handler = |id: &str, name: &str, more: Value| {
        let mut handler = json!({"task_id": id, "name": name, "module": "command", "args": {"cmd": "true"}});
        handler.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        handler
    };
    let handlers = json!([
        handler("h1", "first", json!({})),
        handler("h2", "old name", json!({"listen": ["topic"], "notify": ["last"]})),
        handler("h3", "restart {{ svc }}", json!({"listen": ["topic"], "when": ["false"]})),
        handler("h4", "never notified", json!({})),
        handler("h5", "last", json!({})),
    ]);
    let more = json!({"handlers": handlers, "hosts": {"h": {"svc": "web"}}});
    let tasks = json!([
        touch("a", json!(["topic", "first"])),
        touch("b", json!(["first", "restart {{ svc }}"])),
        {"task_id": "c", "module": "debug", "notify": ["never notified"]},
    ]);
    let ran = run(tasks, more.clone());
    assert_eq!(ids(&ran), ["a", "b", "c", "h1", "h2", "h3", "h5"]);
    assert_eq!((&ran.task("h1")["handler"], &ran.task("h3")["status"]), (&json!(true), &json!("skipped")));
    let ran = run(json!([touch("a", json!(["first"])), {"task_id": "b", "module": "fail"}]), more.clone());
    assert_eq!((ids(&ran), ran.status), (vec!["a".to_owned(), "b".to_owned()], 1), "a failure leaves handlers unrun");
    let ran = run(json!([touch("a", json!(["nobody"]))]), more);
    assert!(ran.task("a")["msg"].as_str().unwrap().contains("'nobody' was not found"));
    assert_eq!(ran.status, 1);
}

#[test]
fn tags_check_mode_and_diff() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let runner = Runner::new(&payload(
        json!([
            {"task_id": "a", "module": "copy", "args": {"content": "x\n", "dest": path}, "tags": ["write"]},
            {"task_id": "b", "module": "command", "args": {"cmd": "true"}, "tags": ["run"]},
            {"task_id": "c", "module": "command", "args": {"cmd": "true"}, "check_mode": false, "tags": ["always"]},
            {"task_id": "d", "module": "debug", "args": {"msg": "{{ ansible_check_mode }}"}, "tags": ["never"]},
        ]),
        json!({}),
    ));
    let ran = runner.run(&["--check", "--diff", "--skip-tags", "x"]);
    assert_eq!((&ran.task("a")["status"], path.exists()), (&json!("changed"), false));
    assert_eq!(ran.task("a")["result"]["diff"][0]["after"], "x\n");
    assert_eq!(ran.task("a")["artifacts"], json!([]));
    assert_eq!(
        (&ran.task("b")["status"], &ran.task("c")["status"], &ran.task("d")["status"]),
        (&json!("skipped"), &json!("changed"), &json!("skipped"))
    );
    let ran = runner.run(&["--tags", "run"]);
    assert_eq!(statuses(&ran).iter().filter(|(_, status)| status == "changed").count(), 2);
    assert_eq!((&ran.task("a")["status"], path.exists()), (&json!("skipped"), false));
    assert!(ran.task("a")["skip_reason"].as_str().unwrap().contains("tags"));
    assert_eq!(runner.run(&["--tags", "never", "--check"]).task("d")["msg"], "True");
}

#[test]
fn variables_and_environment() {
    let ran = run(
        json!([
            {"task_id": "a", "module": "shell", "args": {"cmd": "echo $NAME-$PATH_TOO"}, "environment": {"NAME": "{{ who }}", "PATH_TOO": 1}, "vars": {"who": "task"}},
            {"task_id": "b", "module": "debug", "args": {"msg": "{{ url }}"}},
            {"task_id": "c", "module": "set_fact", "args": {"port": 2}},
            {"task_id": "d", "module": "debug", "args": {"msg": "{{ url }}"}},
            {"task_id": "e", "module": "setup", "args": {"gather_subset": ["!all"]}},
            {"task_id": "f", "module": "debug", "args": {"msg": "{{ ansible_facts.kernel == ansible_kernel }}"}},
            {"task_id": "g", "module": "debug", "args": {"msg": "{{ missing_thing }}"}},
        ]),
        json!({"vars": {"url": "http://{{ inventory_hostname }}:{{ port }}/{{ group_names | join }}", "port": 1}, "groups": {"web": ["h"]}}),
    );
    assert_eq!(ran.task("a")["stdout"], "task-1");
    assert_eq!((&ran.task("b")["msg"], &ran.task("d")["msg"]), (&json!("http://h:1/web"), &json!("http://h:2/web")));
    assert_eq!(ran.task("f")["msg"], "True");
    assert!(ran.task("g")["msg"].as_str().unwrap().contains("'missing_thing' is undefined"), "{}", ran.task("g"));
}

#[test]
fn secrets_never_show() {
    let tasks = json!([
        {"task_id": "a", "name": "with {{ secret('TOKEN') }}", "module": "shell",
         "args": {"cmd": "printf '%s\\n' '{{ secret('TOKEN') }}'; printf %s '{{ secret('TOKEN') }}' | base64 >&2"}, "register": "out"},
        {"task_id": "b", "module": "debug", "args": {"msg": {"deep": ["{{ out.stdout }}", "{{ {'k': secret('TOKEN')} | to_json }}"]}}},
        {"task_id": "c", "module": "debug", "args": {"msg": "{{ secret('KEY') }}"}, "loop": ["{{ secret('TOKEN') }}"]},
        {"task_id": "d", "module": "shell", "args": {"cmd": "echo '{{ secret('KEY') }}' | tail -1; false"}},
    ]);
    let runner = Runner::new(&payload(tasks, json!({"secrets": ["TOKEN", "KEY"]})));
    let (token, key) = ("s3\"cr\\et é", "BEGIN\nabcdefgh\nEND-OF-KEY\n");
    let ran = runner.run_with(&[], &frame(&json!({"TOKEN": token, "KEY": key})));
    assert_eq!(ran.status, 1);
    for part in ["cr\\et", "cr\\\\et", "s3", "abcdefgh", "END-OF-KEY", "czMi"] {
        assert!(!ran.text.contains(part), "{part} in {}", ran.text);
    }
    assert_eq!(ran.task("a")["stdout"], "********");
    assert!(ran.task("b")["result"]["msg"]["deep"][0] == "********");
    let ran = runner.run_with(&[], &frame(&json!({"TOKEN": "x"})));
    assert_eq!((ran.status, ran.text.as_str()), (2, ""));
    assert!(ran.stderr.contains("KEY"));
    assert_eq!(runner.run(&[]).status, 2, "no frame at all");
}

#[test]
fn no_log_hides_everything() {
    let ran = run(
        json!([
            {"task_id": "a", "name": "hide {{ word }}", "module": "shell", "args": {"cmd": "echo {{ word }}; echo {{ word }} >&2; false"}, "no_log": true,
             "register": "r", "ignore_errors": true, "vars": {"word": "hunter2"}},
            {"task_id": "b", "module": "assert", "args": {"that": ["r.stdout == 'hunter' ~ '2'"]}},
        ]),
        json!({}),
    );
    assert_eq!(ran.task("b")["status"], "ok", "it is registered all the same");
    assert!(!ran.text.replace("r.stdout == 'hunter'", "").contains("hunter2"), "{}", ran.text);
    assert!(ran.task("a")["msg"].as_str().unwrap().contains("hidden") && ran.task("a")["result"].is_null());
}

#[test]
fn a_time_limit_ends_the_whole_group() {
    let word = format!("{}.25", 3600 + std::process::id() % 1000);
    let began = Instant::now();
    let ran = run(
        json!([{"task_id": "a", "module": "shell", "args": {"cmd": format!("trap '' TERM; sleep {word} & sleep {word}")}, "timeout": 0.3}]),
        json!({}),
    );
    assert_eq!((ran.status, &ran.task("a")["msg"]), (1, &json!("Timed out after 0.3 seconds")));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(!process_with(&word), "a child is left");
}

#[test]
fn a_signal_ends_the_task_and_the_run() {
    let word = format!("{}.75", 3600 + std::process::id() % 1000);
    let tasks = json!([
        {"task_id": "a", "module": "shell", "args": {"cmd": format!("sleep {word} & sleep {word}")}, "ignore_errors": true},
        {"task_id": "b", "module": "debug"},
    ]);
    let runner = Runner::new(&payload(tasks, json!({})));
    let mut child = runner.spawn(&[], b"");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert!(line.contains("start"), "a line is flushed as it is written");
    let until = Instant::now() + Duration::from_secs(20);
    while !process_with(&word) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let rest: Vec<Value> = out.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(
        (&rest[0]["task_id"], &rest[0]["status"], &rest[1]["type"]),
        (&json!("a"), &json!("failed"), &json!("report"))
    );
    assert_eq!((rest.len(), &rest[1]["exit_code"]), (2, &json!(1)));
    assert!(!process_with(&word), "a child is left");
}

#[test]
fn it_stops_when_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let runner = Runner::new(&payload(
        json!([
            {"task_id": "a", "module": "command", "args": {"cmd": "sleep 0.3"}},
            {"task_id": "b", "module": "file", "args": {"path": mark, "state": "touch"}},
        ]),
        json!({}),
    ));
    let mut child = runner.spawn(&[], b"");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!mark.exists());
}

#[test]
fn large_and_binary_output() {
    let ran = run(
        json!([
            {"task_id": "a", "module": "shell", "args": {"cmd": "head -c 10000000 /dev/zero | tr '\\0' x"}},
            {"task_id": "b", "module": "shell", "args": {"cmd": "printf 'a\\377\\0b'"}},
        ]),
        json!({}),
    );
    assert_eq!(ran.task("a")["stdout"].as_str().unwrap().len(), 10_000_000);
    assert_eq!(ran.task("b")["stdout"], "a\u{fffd}\0b");
}

#[test]
fn becoming_somebody_else() {
    let ran = run(
        json!([{"task_id": "a", "module": "command", "args": {"cmd": "id -un"}, "become": true, "become_user": "no such user", "ignore_errors": true},
               {"task_id": "b", "module": "command", "args": {"cmd": "id -un"}, "become": true, "become_user": "{{ me }}"}]),
        json!({"hosts": {"h": {"me": String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim()}}}),
    );
    assert!(ran.task("a")["msg"].as_str().unwrap().contains("no user"));
    assert_eq!(ran.task("b")["status"], "changed");
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if !root {
        eprintln!("not root: the switch itself is not tried");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::process::Command::new("chmod").arg("777").arg(folder.path()).status().unwrap();
    let path = folder.path().join("f");
    let nobody = json!({"become": true, "become_user": "nobody"});
    let mut write = json!({"task_id": "a", "module": "copy", "args": {"content": "x", "dest": path}});
    let mut shell = json!({"task_id": "b", "module": "shell", "args": {"cmd": "id -un; id -Gn; echo $HOME"}});
    let mut refused = json!({"task_id": "c", "module": "copy", "args": {"content": "x", "dest": "/etc/harness-no"}});
    for task in [&mut write, &mut shell, &mut refused] {
        task.as_object_mut().unwrap().extend(nobody.as_object().unwrap().clone());
    }
    let ran = run(json!([write, shell, refused]), json!({}));
    assert_eq!((&ran.task("a")["result"]["owner"], &ran.task("a")["artifacts"]), (&json!("nobody"), &json!([path])));
    assert!(ran.task("b")["stdout"].as_str().unwrap().starts_with("nobody\nnogroup\n/"), "{}", ran.task("b"));
    assert_eq!(ran.task("c")["status"], "failed");
    assert!(!std::path::Path::new("/etc/harness-no").exists());
}

#[test]
fn what_is_not_honoured_fails() {
    for task in [
        json!({"module": "no_such_module"}),
        json!({"module": "file", "args": {"path": "/tmp", "colour": 1}}),
        json!({"module": "debug", "args": {"msg": "{{ x | no_such_filter }}"}}),
        json!({"module": "copy", "args": {"src": "relative", "dest": "/tmp/x"}}),
        json!({"module": "template", "args": {"src": "x.j2", "dest": "/tmp/x"}}),
    ] {
        let mut task = task;
        task["task_id"] = "a".into();
        let ran = run(json!([task]), json!({}));
        assert_eq!((ran.status, &ran.task("a")["status"]), (1, &json!("failed")), "{task}");
    }
}

#[test]
fn a_thousand_tasks_are_quick_to_walk() {
    // No limit on time decides here (benchmarks measure it): all of them run and are counted.
    let tasks: Vec<Value> = (0..1000)
        .map(|index| json!({"task_id": format!("t{index}"), "module": "debug", "args": {"msg": "{{ index }}"}, "vars": {"index": index}, "when": ["index >= 0"]}))
        .collect();
    let ran = run(tasks.into(), json!({}));
    assert_eq!((&ran.report()["ok"], &ran.task("t999")["msg"]), (&json!(1000), &json!("999")));
}
