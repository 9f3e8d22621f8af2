//! Ansible's tests: `is changed`, `is version(...)`, `is match(...)`, `is file` and so on.

use std::cmp::Ordering;
use std::path::Path;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use runner_modules::pattern::{self, Flags};

use super::python;

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// A field of a registered result.
fn told(result: &Value, name: &str) -> Result<bool, Error> {
    if result.is_undefined() {
        return Err(super::undefined_value(result));
    }
    if result.kind() != ValueKind::Map {
        return Err(bad("this test expects a registered result (a dictionary)"));
    }
    Ok(result.get_attr(name)?.is_true())
}

fn failed(result: &Value) -> Result<bool, Error> {
    told(result, "failed")
}

fn changed(result: &Value) -> Result<bool, Error> {
    told(result, "changed")
}

fn skipped(result: &Value) -> Result<bool, Error> {
    told(result, "skipped")
}

fn text(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    python::text(value)
}

fn matches(value: &Value, regex: &str, options: &Kwargs, anchor: Anchor) -> Result<bool, Error> {
    let flags = Flags {
        ignore_case: options.get::<Option<bool>>("ignorecase")?.unwrap_or(false),
        multiline: options.get::<Option<bool>>("multiline")?.unwrap_or(false),
        dot_all: false,
    };
    options.assert_all_used()?;
    let compiled = pattern::compile(regex, flags).map_err(bad)?;
    let text = text(value)?;
    let found = compiled.find(text.as_str()).map_err(|error| bad(error.to_string()))?;
    Ok(match anchor {
        Anchor::Start => found.is_some_and(|found| found.start() == 0),
        Anchor::Anywhere => found.is_some(),
    })
}

enum Anchor {
    Start,
    Anywhere,
}

/// Python's LooseVersion: runs of digits are numbers, the rest is text.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(bool, u64, String)> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let digit = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digit || c == '.').unwrap_or(rest.len());
            let (part, tail) = rest.split_at(if first == '.' { 1 } else { end });
            if first != '.' {
                parts.push((digit, part.parse().unwrap_or(u64::MAX), part.to_owned()));
            }
            rest = tail;
        }
        parts
    };
    let (a, b) = (parts(a), parts(b));
    for (a, b) in a.iter().zip(&b) {
        let order = match (a.0, b.0) {
            (true, true) => a.1.cmp(&b.1),
            (false, false) => a.2.cmp(&b.2),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// `version('1.2', '>=')`. The kinds of version that Ansible tells apart are all compared loosely.
fn version(value: &Value, other: &Value, operator: Option<String>, options: Kwargs) -> Result<bool, Error> {
    let operator = operator.or(options.get("operator")?).unwrap_or_else(|| "eq".to_owned());
    let _strict: Option<Value> = options.get("strict")?;
    let kind: Option<String> = options.get("version_type")?;
    options.assert_all_used()?;
    if let Some(kind) = kind.filter(|kind| kind != "loose" && kind != "strict") {
        return Err(bad(format!("version_type '{kind}' is not honoured")));
    }
    let order = compare_versions(&text(value)?, &text(other)?);
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order.is_eq(),
        "!=" | "<>" | "ne" => order.is_ne(),
        ">" | "gt" => order.is_gt(),
        ">=" | "ge" => order.is_ge(),
        "<" | "lt" => order.is_lt(),
        "<=" | "le" => order.is_le(),
        other => {
            return Err(bad(format!(
                "Invalid operator type ({other}). Must be one of: ==, =, eq, <, lt, <=, le, >, gt, >=, ge, !=, <>, ne"
            )));
        }
    })
}

fn items(value: &Value) -> Result<Vec<Value>, Error> {
    value.try_iter().map(Iterator::collect)
}

fn subset(a: &Value, b: &Value) -> Result<bool, Error> {
    let b = items(b)?;
    Ok(items(a)?.iter().all(|item| b.contains(item)))
}

fn contains(a: &Value, b: &Value) -> Result<bool, Error> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(a.contains(b));
    }
    Ok(items(a)?.contains(b))
}

fn path_is(value: &Value, check: impl Fn(&Path) -> bool) -> Result<bool, Error> {
    Ok(check(Path::new(&text(value)?)))
}

pub(super) fn add(environment: &mut Environment<'static>) {
    for name in ["changed", "change"] {
        environment.add_test(name, changed);
    }
    for name in ["failed", "failure"] {
        environment.add_test(name, failed);
    }
    for name in ["skipped", "skip"] {
        environment.add_test(name, skipped);
    }
    for name in ["succeeded", "success", "successful"] {
        environment.add_test(name, |result: &Value| failed(result).map(|failed| !failed));
    }
    environment.add_test("match", |value: &Value, regex: &str, options: Kwargs| {
        matches(value, regex, &options, Anchor::Start)
    });
    for name in ["search", "regex"] {
        environment.add_test(name, |value: &Value, regex: &str, options: Kwargs| {
            matches(value, regex, &options, Anchor::Anywhere)
        });
    }
    for name in ["version", "version_compare"] {
        environment.add_test(name, version);
    }
    for name in ["subset", "issubset"] {
        environment.add_test(name, subset);
    }
    for name in ["superset", "issuperset"] {
        environment.add_test(name, |a: &Value, b: &Value| subset(b, a));
    }
    environment.add_test("contains", contains);
    environment.add_test("any", |list: &Value| Ok::<_, Error>(items(list)?.iter().any(Value::is_true)));
    environment.add_test("all", |list: &Value| Ok::<_, Error>(items(list)?.iter().all(Value::is_true)));
    environment.add_test("truthy", |value: &Value| value.is_true());
    environment.add_test("falsy", |value: &Value| !value.is_true());
    for name in ["exists", "link_exists"] {
        environment.add_test(name, |value: &Value| path_is(value, |path| path.symlink_metadata().is_ok()));
    }
    for name in ["file", "is_file"] {
        environment.add_test(name, |value: &Value| path_is(value, Path::is_file));
    }
    for name in ["directory", "is_dir"] {
        environment.add_test(name, |value: &Value| path_is(value, Path::is_dir));
    }
    for name in ["link", "is_link"] {
        environment.add_test(name, |value: &Value| path_is(value, Path::is_symlink));
    }
    for name in ["abs", "is_abs"] {
        environment.add_test(name, |value: &Value| path_is(value, Path::is_absolute));
    }
}

#[cfg(test)]
mod versions {
    use super::*;

    #[test]
    fn loosely() {
        for (a, b) in [("1.2", "1.10"), ("1.2", "1.2.1"), ("1.0rc1", "1.0rc2"), ("9", "22.04"), ("1.a", "1.1")] {
            assert_eq!(compare_versions(a, b), Ordering::Less, "{a} {b}");
        }
        assert_eq!(compare_versions("12.04", "12.4"), Ordering::Equal);
    }
}
