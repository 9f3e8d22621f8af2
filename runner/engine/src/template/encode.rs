//! Filters that encode, decode and hash.

use base64::Engine as _;
use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};
use runner_modules::args::python_json;
use runner_modules::digest::Algorithm;
use serde::Serialize as _;

use super::{python, to_value};

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn input(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    python::text(value)
}

fn json(value: &Value) -> Result<serde_json::Value, Error> {
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    super::to_json(value)
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => {
            let mut pairs: Vec<_> = fields.into_iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs.into_iter().map(|(name, value)| (name, sorted(value))).collect()
        }
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn pretty(value: &serde_json::Value, indent: usize) -> Result<String, Error> {
    let spaces = " ".repeat(indent);
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    value.serialize(&mut serializer).map_err(|error| bad(error.to_string()))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn written(value: &Value, options: &Kwargs, indent: Option<usize>, sort: bool) -> Result<String, Error> {
    let indent: Option<usize> = options.get::<Option<usize>>("indent")?.or(indent);
    let sort = options.get::<Option<bool>>("sort_keys")?.unwrap_or(sort);
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(true);
    options.assert_all_used()?;
    let value = json(value)?;
    let value = if sort { sorted(value) } else { value };
    Ok(match indent {
        Some(indent) => pretty(&value, indent)?,
        None if ascii => python_json(&value),
        None => value.to_string(),
    })
}

pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    written(value, &options, None, false)
}

pub(super) fn to_nice_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    written(value, &options, Some(4), true)
}

pub(super) fn from_json(value: &Value) -> Result<Value, Error> {
    let text = input(value)?;
    let parsed: serde_json::Value = serde_json::from_str(&text).map_err(|error| bad(format!("from_json: {error}")))?;
    Ok(to_value(&parsed))
}

pub(super) fn b64encode(value: &Value) -> Result<String, Error> {
    Ok(base64::engine::general_purpose::STANDARD.encode(input(value)?))
}

pub(super) fn b64decode(value: &Value) -> Result<String, Error> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(input(value)?.trim())
        .map_err(|error| bad(format!("b64decode: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn hash(value: &Value, algorithm: Option<String>) -> Result<String, Error> {
    let name = algorithm.unwrap_or_else(|| "sha1".to_owned());
    let algorithm = Algorithm::named(&name).ok_or_else(|| bad(format!("hash: unknown algorithm '{name}'")))?;
    Ok(algorithm.of_bytes(input(value)?.as_bytes()))
}

pub(super) fn checksum(value: &Value) -> Result<String, Error> {
    Ok(Algorithm::Sha1.of_bytes(input(value)?.as_bytes()))
}

pub(super) fn md5(value: &Value) -> Result<String, Error> {
    Ok(Algorithm::Md5.of_bytes(input(value)?.as_bytes()))
}
