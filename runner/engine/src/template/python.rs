//! Values written as Python writes them.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, Output, State};
use runner_modules::args::python_quoted;

/// What `{{ value }}` prints: `str(value)`, and nothing for None, as Ansible's templates do.
pub(super) fn write(out: &mut Output, _state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(minijinja::ErrorKind::UndefinedError));
    }
    if value.is_none() {
        return Ok(());
    }
    out.write_str(&text(value)?).map_err(Error::from)
}

/// `str(value)`.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => repr(value),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => python_quoted(value.as_str().unwrap_or_default()),
        ValueKind::Map => {
            let mut parts = Vec::new();
            for key in value.try_iter()? {
                parts.push(format!("{}: {}", repr(&key)?, repr(&value.get_item(&key)?)?));
            }
            format!("{{{}}}", parts.join(", "))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let parts: Result<Vec<String>, Error> = value.try_iter()?.map(|item| repr(&item)).collect();
            format!("[{}]", parts?.join(", "))
        }
        _ => value.to_string(),
    })
}
