//! Methods of Python's strings and lists that minijinja's own list of them lacks.

use minijinja::value::Value;
use minijinja::{Error, ErrorKind, State};

pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let text = |index: usize| args.get(index).and_then(Value::as_str);
    let found = match (value.as_str(), method, args.len()) {
        (Some(own), "partition" | "rpartition", 1) => text(0).map(|separator| partition(own, separator, method)),
        (Some(own), "rsplit", 1 | 2) => text(0).map(|separator| rsplit(own, separator, args.get(1))),
        (Some(own), "zfill", 1) => args[0].as_usize().map(|width| Value::from(zfill(own, width))),
        (Some(own), "index", 1) => {
            let at = text(0).and_then(|part| own.find(part)).map(|at| own[..at].chars().count());
            Some(Value::from(at.ok_or_else(|| absent("substring"))?))
        }
        (None, "index", 1) => {
            let at = value.try_iter()?.position(|item| item == args[0]);
            Some(Value::from(at.ok_or_else(|| absent("value"))?))
        }
        _ => None,
    };
    match found {
        Some(value) => Ok(value),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn absent(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("index: {what} not found"))
}

fn partition(own: &str, separator: &str, method: &str) -> Value {
    let cut = if method == "partition" { own.split_once(separator) } else { own.rsplit_once(separator) };
    let parts = match cut {
        Some((before, after)) => [before, separator, after],
        None if method == "partition" => [own, "", ""],
        None => ["", "", own],
    };
    parts.into_iter().map(Value::from).collect()
}

fn rsplit(own: &str, separator: &str, most: Option<&Value>) -> Value {
    let mut parts: Vec<&str> = match most.and_then(Value::as_usize) {
        Some(most) => own.rsplitn(most + 1, separator).collect(),
        None => own.rsplit(separator).collect(),
    };
    parts.reverse();
    parts.into_iter().map(Value::from).collect()
}

fn zfill(own: &str, width: usize) -> String {
    let (sign, digits) = match own.strip_prefix(['+', '-']) {
        Some(digits) => (&own[..1], digits),
        None => ("", own),
    };
    let missing = width.saturating_sub(own.chars().count());
    format!("{sign}{}{digits}", "0".repeat(missing))
}
