//! Filters over values, lists and mappings.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Error, ErrorKind};
use serde_json::{Map, Value as Json};

use super::{to_json, to_value};

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// `default('x')`, `default('x', true)`, `default('x', boolean=true)`.
pub(super) fn default(
    value: &Value,
    other: Option<Value>,
    falsy: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let falsy = falsy.or(options.get("boolean")?).unwrap_or(false);
    let other = other.or(options.get("default_value")?).unwrap_or_else(|| Value::from(""));
    options.assert_all_used()?;
    let absent = value.is_undefined() || (falsy && !value.is_true());
    Ok(if absent { other } else { value.clone() })
}

/// Ansible's `bool`: what is not plainly true is false.
pub(super) fn boolean(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    Ok(Value::from(runner_modules::args::boolean(&to_json(value)?).unwrap_or(false)))
}

/// Jinja's `int`: what is no number is the default.
pub(super) fn int(value: &Value, default: Option<Value>, base: Option<u32>, options: Kwargs) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0));
    let base: u32 = base.or(options.get("base")?).unwrap_or(10);
    options.assert_all_used()?;
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    let found = match (value.kind(), value.as_str()) {
        (ValueKind::Bool, _) => Some(i64::from(value.is_true())),
        (ValueKind::Number, _) => value.as_i64().or_else(|| f64::try_from(value.clone()).ok().map(truncated)),
        (_, Some(text)) => {
            let text = text.trim().replace('_', "");
            let digits = match base {
                16 => text.trim_start_matches("0x"),
                8 => text.trim_start_matches("0o"),
                2 => text.trim_start_matches("0b"),
                _ => &text,
            };
            let fits = (2..=36).contains(&base);
            let whole = fits.then(|| i64::from_str_radix(digits, base).ok()).flatten();
            whole.or_else(|| if base == 10 { text.parse::<f64>().ok().map(truncated) } else { None })
        }
        _ => None,
    };
    Ok(found.map_or(default, Value::from))
}

#[allow(clippy::cast_possible_truncation)] // what Python's int() does to a float, saturated
fn truncated(number: f64) -> i64 {
    number as i64
}

/// Jinja's `float`: what is no number is the default.
pub(super) fn float(value: &Value, default: Option<f64>) -> Result<f64, Error> {
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(number.or(default).unwrap_or(0.0))
}

pub(super) fn mandatory(value: &Value, message: Option<String>) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(
            ErrorKind::UndefinedError,
            message.unwrap_or_else(|| "Mandatory variable not defined.".into()),
        ));
    }
    Ok(value.clone())
}

pub(super) fn ternary(value: &Value, yes: Value, no: Value, when_none: Option<Value>) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    Ok(match when_none {
        Some(when_none) if value.is_none() => when_none,
        _ if value.is_true() => yes,
        _ => no,
    })
}

/// `combine(other, ..., recursive=false, list_merge='replace')`.
pub(super) fn combine(value: &Value, others: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    let recursive: bool = options.get::<Option<bool>>("recursive")?.unwrap_or(false);
    let lists: String = options.get::<Option<String>>("list_merge")?.unwrap_or_else(|| "replace".to_owned());
    options.assert_all_used()?;
    if !["replace", "keep", "append", "prepend", "append_rp", "prepend_rp"].contains(&lists.as_str()) {
        return Err(bad(format!("'list_merge' argument to 'combine' can not be '{lists}'")));
    }
    let mut merged = Json::Object(Map::new());
    for part in std::iter::once(value).chain(others.iter()) {
        let list = if matches!(part.kind(), ValueKind::Seq | ValueKind::Iterable) {
            part.try_iter()?.collect()
        } else {
            vec![part.clone()]
        };
        for item in list {
            let Json::Object(item) = to_json(&item)? else {
                return Err(bad(format!("combine expects dictionaries, got {}", item.kind())));
            };
            merge(&mut merged, Json::Object(item), recursive, &lists, true);
        }
    }
    Ok(to_value(&merged))
}

fn merge(into: &mut Json, from: Json, recursive: bool, lists: &str, top: bool) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) if top || recursive => {
            for (name, value) in from {
                match into.get_mut(&name) {
                    Some(old) => merge(old, value, recursive, lists, false),
                    None => {
                        into.insert(name, value);
                    }
                }
            }
        }
        (Json::Array(old), Json::Array(new)) if lists != "replace" => match lists {
            "keep" => {}
            "append" => old.extend(new),
            "prepend" => {
                let tail = std::mem::replace(old, new);
                old.extend(tail);
            }
            "append_rp" => {
                old.retain(|item| !new.contains(item));
                old.extend(new);
            }
            _ => {
                let mut tail = std::mem::replace(old, new);
                tail.retain(|item| !old.contains(item));
                old.extend(tail);
            }
        },
        (into, from) => *into = from,
    }
}

fn names(options: &Kwargs) -> Result<(String, String), Error> {
    let name = |option: &str, default: &str| -> Result<String, Error> {
        Ok(options.get::<Option<String>>(option)?.unwrap_or_else(|| default.to_owned()))
    };
    let names = (name("key_name", "key")?, name("value_name", "value")?);
    options.assert_all_used()?;
    Ok(names)
}

pub(super) fn dict2items(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let (key_name, value_name) = names(&options)?;
    let Json::Object(fields) = to_json(value)? else {
        return Err(bad(format!("dict2items requires a dictionary, got {} instead.", value.kind())));
    };
    let items = fields.into_iter().map(|(key, value)| {
        let mut item = Map::new();
        item.insert(key_name.clone(), key.into());
        item.insert(value_name.clone(), value);
        Json::Object(item)
    });
    Ok(to_value(&Json::Array(items.collect())))
}

pub(super) fn items2dict(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let (key_name, value_name) = names(&options)?;
    let mut fields = Map::new();
    for item in value.try_iter()? {
        let part = |name: &String| match name.parse::<usize>() {
            Ok(index) if item.kind() != ValueKind::Map => item.get_item_by_index(index),
            _ => item.get_attr(name),
        };
        let (key, value) = (part(&key_name)?, part(&value_name)?);
        if key.is_undefined() || value.is_undefined() {
            return Err(bad(format!(
                "items2dict requires each dictionary to contain the keys '{key_name}' and '{value_name}'"
            )));
        }
        fields.insert(key.to_string(), to_json(&value)?);
    }
    Ok(to_value(&Json::Object(fields)))
}

pub(super) fn flatten(value: &Value, levels: Option<usize>, options: Kwargs) -> Result<Vec<Value>, Error> {
    let levels: Option<usize> = levels.or(options.get("levels")?);
    let skip_nulls: bool = options.get::<Option<bool>>("skip_nulls")?.unwrap_or(true);
    options.assert_all_used()?;
    let mut flat = Vec::new();
    flatten_into(value, levels, skip_nulls, &mut flat)?;
    Ok(flat)
}

fn flatten_into(value: &Value, levels: Option<usize>, skip_nulls: bool, flat: &mut Vec<Value>) -> Result<(), Error> {
    for item in value.try_iter()? {
        if skip_nulls && item.is_none() {
            continue;
        }
        match (item.kind(), levels) {
            (ValueKind::Seq | ValueKind::Iterable, None) => flatten_into(&item, None, skip_nulls, flat)?,
            (ValueKind::Seq | ValueKind::Iterable, Some(left)) if left > 0 => {
                flatten_into(&item, Some(left - 1), skip_nulls, flat)?;
            }
            _ => flat.push(item),
        }
    }
    Ok(())
}

fn items(value: &Value) -> Result<Vec<Value>, Error> {
    value.try_iter().map(Iterator::collect)
}

fn distinct(values: impl IntoIterator<Item = Value>) -> Vec<Value> {
    values.into_iter().fold(Vec::new(), |mut kept, value| {
        if !kept.contains(&value) {
            kept.push(value);
        }
        kept
    })
}

pub(super) fn union(a: &Value, b: &Value) -> Result<Vec<Value>, Error> {
    Ok(distinct(items(a)?.into_iter().chain(items(b)?)))
}

pub(super) fn intersect(a: &Value, b: &Value) -> Result<Vec<Value>, Error> {
    let b = items(b)?;
    Ok(distinct(items(a)?.into_iter().filter(|item| b.contains(item))))
}

pub(super) fn difference(a: &Value, b: &Value) -> Result<Vec<Value>, Error> {
    let b = items(b)?;
    Ok(distinct(items(a)?.into_iter().filter(|item| !b.contains(item))))
}

pub(super) fn symmetric_difference(a: &Value, b: &Value) -> Result<Vec<Value>, Error> {
    Ok(difference(a, b)?.into_iter().chain(difference(b, a)?).collect())
}

/// `key | extract(container, more)`.
pub(super) fn extract(key: Value, container: &Value, more: Option<Value>) -> Result<Value, Error> {
    let mut value = container.get_item(&key)?;
    match more {
        Some(more) if matches!(more.kind(), ValueKind::Seq | ValueKind::Iterable) => {
            for step in more.try_iter()? {
                value = value.get_item(&step)?;
            }
        }
        Some(step) => value = value.get_item(&step)?,
        None => {}
    }
    Ok(value)
}

/// Python's `dict`: of pairs, of a mapping, of names.
pub(super) fn dict(pairs: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let mut entries = Vec::new();
    if let Some(pairs) = pairs {
        for entry in pairs.try_iter()? {
            if pairs.kind() == ValueKind::Map {
                let value = pairs.get_item(&entry)?;
                entries.push((entry, value));
            } else {
                entries.push((entry.get_item_by_index(0)?, entry.get_item_by_index(1)?));
            }
        }
    }
    for name in named.args() {
        entries.push((Value::from(name), named.get(name)?));
    }
    Ok(Value::from_pairs(entries))
}

pub(super) fn pow(value: f64, exponent: f64) -> f64 {
    value.powf(exponent)
}

pub(super) fn root(value: f64, base: Option<f64>) -> f64 {
    match base {
        None | Some(2.0) => value.sqrt(),
        Some(base) => value.powf(1.0 / base),
    }
}

pub(super) fn log(value: f64, base: Option<f64>) -> f64 {
    match base {
        None => value.ln(),
        Some(10.0) => value.log10(),
        Some(2.0) => value.log2(),
        Some(base) => value.log(base),
    }
}

/// Every pair, triple and so on of one element of each list.
pub(super) fn product(value: &Value, others: Rest<Value>) -> Result<Vec<Vec<Value>>, Error> {
    let mut rows: Vec<Vec<Value>> = items(value)?.into_iter().map(|item| vec![item]).collect();
    for other in others.iter() {
        let other = items(other)?;
        rows = rows
            .iter()
            .flat_map(|row| other.iter().map(|item| [row.as_slice(), std::slice::from_ref(item)].concat()))
            .collect();
    }
    Ok(rows)
}

/// Python's name for the type.
pub(super) fn type_debug(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "AnsibleUndefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Map => "dict",
        _ => "list",
    }
}
