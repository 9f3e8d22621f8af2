//! What Ansible gives for a template, case by case.

use serde_json::{Value as Json, json};

use super::*;
use crate::scope::{Gathered, Scope, World};

fn scope() -> Value {
    let vars = json!({
        "name": "web", "count": 3, "flag": true, "nothing": null, "list": [1, 2, 3], "words": ["b", "a"],
        "map": {"k": "v", "deep": {"x": [1]}}, "ok": {"failed": false, "changed": true, "rc": 0, "stdout": "a: 1"},
        "skip": {"skipped": true, "changed": false},
    });
    let hosts = BTreeMap::from([("h".to_owned(), Arc::new(vars.as_object().unwrap().clone()))]);
    let world = World { templates: templates(), host: "h".to_owned(), hosts, groups: BTreeMap::new() };
    let scope = Scope {
        world: Arc::new(world),
        host: "h".to_owned(),
        gathered: Gathered::default(),
        play: Arc::default(),
        task: Arc::default(),
        item: serde_json::Map::new(),
        check: false,
        diff: false,
    };
    scope.value()
}

fn templates() -> Templates {
    Templates::new(BTreeMap::from([("TOKEN".to_owned(), "s3cret".to_owned())]))
}

fn resolved(value: Json) -> Result<Json, String> {
    templates().resolve(&value, &scope()).map_err(|error| explain(&error))
}

fn holds(condition: &str) -> Result<bool, String> {
    templates().condition(&condition.into(), &scope()).map_err(|error| explain(&error))
}

#[test]
fn values() {
    for (text, wanted) in [
        ("plain", json!("plain")),
        ("{{ list }}", json!([1, 2, 3])),
        ("{{ count }}", json!(3)),
        ("{{ flag }}", json!(true)),
        ("{{ nothing }}", json!(null)),
        ("{{ map.deep }}", json!({"x": [1]})),
        (
            "n={{ count }} f={{ flag }} l={{ words }} m={{ map }} z={{ nothing }}|",
            json!("n=3 f=True l=['b', 'a'] m={'k': 'v', 'deep': {'x': [1]}} z=|"),
        ),
        ("{% if flag %}yes{% endif %}\n", json!("yes\n")),
        ("a{% if flag %}{% endif %}\n\n", json!("a\n\n")),
        ("{{ 'x\n' }}\n", json!("x\n")),
        ("a\n{% for w in words %}\n- {{ w }}\n{% endfor %}\nend\n", json!("a\n- b\n- a\nend\n")),
        ("{{ name }}\n", json!("web\n")),
        ("{{ missing | default('x') }}", json!("x")),
        ("{{ missing.a['b'].c | default('x') }}", json!("x")),
        ("<{{ missing.a | default('x') }}>", json!("<x>")),
        ("{{ '' | default('x', true) }}", json!("x")),
        ("{{ words | sort | join(',') }}", json!("a,b")),
        ("{{ 'yes' | bool }}", json!(true)),
        ("{{ 'no way' | bool }}", json!(false)),
        ("{{ '42' | int + 1 }}", json!(43)),
        ("{{ 'x' | int(7) }}", json!(7)),
        ("{{ 'ff' | int(base=16) }}", json!(255)),
        ("{{ 'a-b' | replace('-', '+') | upper }}", json!("A+B")),
        ("{{ ok.stdout | regex_search('(\\d+)', '\\1') | first }}", json!("1")),
        ("{{ ok.stdout | regex_replace('^(\\w): ', '\\1=') }}", json!("a=1")),
        ("{{ 'nope' | regex_search('x') }}", json!(null)),
        ("{{ 'a1b22' | regex_findall('[0-9]+') }}", json!(["1", "22"])),
        ("{{ map | to_json }}", json!(r#"{"k": "v", "deep": {"x": [1]}}"#)),
        ("{{ '[1, 2]' | from_json }}", json!([1, 2])),
        ("{{ '/a/b.tar.gz' | basename }} {{ '/a/b' | dirname }}", json!("b.tar.gz /a")),
        ("{{ 'a.tar.gz' | splitext }}", json!(["a.tar", ".gz"])),
        ("{{ 'hi' | b64encode }} {{ 'aGk=' | b64decode }}", json!("aGk= hi")),
        ("{{ list | length }}{{ list | first }}{{ list | last }}{{ [1, 1] | unique | length }}", json!("3131")),
        ("{{ 'a b' | split }}", json!(["a", "b"])),
        ("{{ 'a,b' | split(',') }}", json!(["a", "b"])),
        ("{{ 'a,b'.split(',')[1] }}", json!("b")),
        ("{{ {'a': {'x': 1}} | combine({'a': {'y': 2}}, recursive=true) }}", json!({"a": {"x": 1, "y": 2}})),
        ("{{ {'a': 1} | combine({'a': 2}) }}", json!({"a": 2})),
        ("{{ {'a': 1} | dict2items }}", json!([{"key": "a", "value": 1}])),
        ("{{ [{'key': 'a', 'value': 1}] | items2dict }}", json!({"a": 1})),
        ("{{ 'hello' | hash('sha256') | length }}", json!(64)),
        ("{{ \"it's\" | quote }} {{ 'plain' | quote }}", json!("'it'\"'\"'s' plain")),
        ("{{ flag | ternary('a', 'b') }}", json!("a")),
        ("{{ [[1], [2, [3]]] | flatten }}", json!([1, 2, 3])),
        ("{{ [1, 2] | union([2, 3]) }}", json!([1, 2, 3])),
        ("{{ [1, 2] | difference([2]) }}", json!([1])),
        ("{{ list | map('string') | join('-') }}", json!("1-2-3")),
        ("{{ list | select('gt', 1) | list }}", json!([2, 3])),
        (
            "{{ [{'n': 'a', 'on': true}, {'n': 'b', 'on': false}] | selectattr('on') | map(attribute='n') | list }}",
            json!(["a"]),
        ),
        ("{{ secret('TOKEN') }}", json!("s3cret")),
        ("{{ 'a' if flag else 'b' }}", json!("a")),
        ("{{ '%s-%s' | format('a', 1) }}", json!("a-1")),
        ("{{ map.items() | list | length }}", json!(1 + 1)),
        ("{{ 7 // 2 }} {{ 7 % 2 }} {{ 2 ** 3 }} {{ 'a' ~ 1 }}", json!("3 1 8 a1")),
        ("{# note #}x", json!("x")),
        ("{% raw %}{{ x }}{% endraw %}", json!("{{ x }}")),
        ("{{ [1, none, 'a'] }}!", json!("[1, None, 'a']!")),
        ("{{ 'x' in 'xyz' }}", json!(true)),
        ("{{ 1.50 }}!", json!("1.5!")),
        ("{{ 'a\\tb' | length }}", json!(4)),
        ("{{ dict(['a', 'b'] | zip([1, 2])) }} {{ dict(a=1) }}", json!("{'a': 1, 'b': 2} {'a': 1}")),
        (
            "{{ 'a:b:c'.rsplit(':', 1) }} {{ 'a=b=c'.partition('=') }} {{ '-5'.zfill(4) }}",
            json!("['a:b', 'c'] ['a', '=', 'b=c'] -005"),
        ),
        ("{{ 'foo bar baz qux' | truncate(9, leeway=0) }} {{ 'abc' | truncate(3) }}", json!("foo... abc")),
        ("{{ 16 | root }} {{ 2 | pow(3) }}", json!("4.0 8.0")),
        ("a{{ count }}\r\nb\r\n", json!("a3\nb\n")),
        ("{{ ['x', 'y'] | product([1]) | list }}", json!([["x", 1], ["y", 1]])),
        ("{{ 1000000 | human_readable }} {{ 'a b' | wordcount }} {{ 'x' | center(3) }}|", json!("976.56 KB 2  x |")),
    ] {
        assert_eq!(resolved(text.into()), Ok(wanted), "{text}");
    }
}

#[test]
fn deep_values_and_omit() {
    let value = json!({"a": ["{{ name }}", "{{ omit }}"], "b": "{{ missing | default(omit) }}", "c": {"{{ name }}": "{{ count }}"}});
    assert_eq!(resolved(value), Ok(json!({"a": ["web"], "c": {"{{ name }}": 3}})));
}

#[test]
fn conditions() {
    for condition in [
        "name == 'web'",
        "ok is changed",
        "ok is succeeded",
        "ok is not failed",
        "skip is skipped",
        "skip is not failed",
        "count > 2 and flag",
        "'a' in words",
        "'z' not in words",
        "missing is not defined",
        "missing is undefined",
        "missing.deeper.still is not defined",
        "ok.rc == 0",
        "{{ flag }}",
        "{{ count }} == 3",
        "'22.04' is version('9', '>')",
        "'abc' is match('b') == false",
        "'abc' is search('b')",
        "'abc' is regex('^a')",
        "true",
        "True",
        "list | length == 3",
        "map.k is defined",
        "words is contains('a')",
        "[1] is subset(list)",
        "not (nothing is not none)",
        "flag | bool",
        "'/' is directory",
        "",
        "ok.stdout.startswith('a')",
        "name is string",
        "map is mapping",
        "missing | default(true)",
    ] {
        assert_eq!(holds(condition), Ok(true), "{condition}");
    }
    for condition in
        ["false", "False", "not flag", "name != 'web'", "ok is failed", "missing is defined", "skip is changed"]
    {
        assert_eq!(holds(condition), Ok(false), "{condition}");
    }
}

#[test]
fn undefined_variables_are_named() {
    for (text, name) in [
        ("{{ missing }}", "missing"),
        ("x {{ missing }}", "missing"),
        ("{{ missing.attribute }}", "missing"),
        ("{{ map.nope }}", "nope"),
        ("{{ missing | upper }}", "missing"),
        ("{{ missing | join(',') }}", "missing"),
        ("{{ missing | to_json }}", "missing"),
        ("{% for x in missing %}{% endfor %}", "missing"),
    ] {
        let error = resolved(text.into()).unwrap_err();
        assert!(error.contains("undefined") && error.contains(name), "{text}: {error}");
    }
    for condition in [
        "missing",
        "missing == 'x'",
        "not missing",
        "missing and flag",
        "missing > 1",
        "missing in words",
        "'x' in missing",
        "missing is changed",
        "missing.rc == 0",
        "map.nope == 1",
        "missing is none",
    ] {
        let error = holds(condition).unwrap_err();
        assert!(error.contains("undefined"), "{condition}: {error}");
    }
}

#[test]
fn mistakes_are_explained() {
    for text in [
        "{{ name | no_such_filter }}",
        "{{ name",
        "{{ no_such_function() }}",
        "{{ lookup('env', 'HOME') }}",
        "{% include '/etc/passwd' %}",
        "{% if %}",
        "{{ secret('OTHER') }}",
        "{{ 'x' | from_json }}",
    ] {
        assert!(resolved(text.into()).is_err(), "{text}");
    }
}

#[test]
fn the_template_module_chooses_its_syntax() {
    let syntax = Syntax { variable: ("[[".into(), "]]".into()), trim_blocks: false, ..Syntax::default() };
    let text = "[[ name ]] {{ x }}\n{% if flag %}\ny\n{% endif %}\n";
    let rendered = templates().render_with(&syntax, "t", text, &scope()).unwrap();
    assert_eq!(rendered, "web {{ x }}\n\ny\n");
    let syntax = Syntax { lstrip_blocks: true, ..Syntax::default() };
    let rendered = templates().render_with(&syntax, "t", "a\n  {% if flag %}\nb\n  {% endif %}\n", &scope()).unwrap();
    assert_eq!(rendered, "a\nb\n");
}
