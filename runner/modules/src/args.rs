//! Reading a task's arguments with Ansible's leniency: `"yes"` is a boolean, `"a,b"` a list, `5` a string.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::honours::{ModuleSpec, honours};
use crate::outcome::{Failure, Fields};
use crate::paths::expand;
use crate::pattern::{self, Flags};

/// Arguments under their own names: aliases are resolved, unknown ones refused, choices checked.
#[derive(Debug)]
pub struct Args {
    values: Fields,
    /// The names that were asked for, while a test surveys a module.
    asked: Option<RefCell<BTreeSet<String>>>,
}

type Read<T> = Result<T, Failure>;

impl Args {
    /// # Errors
    /// Unknown, missing or contradictory arguments.
    pub fn new(module: &str, given: Fields) -> Read<Self> {
        let spec = honours()
            .modules
            .get(module)
            .ok_or_else(|| Failure::new(format!("the runner has no module '{module}'")))?;
        let values = resolve(module, spec, given)?;
        for group in &spec.required {
            if !group.iter().any(|name| values.contains_key(name)) {
                return Err(Failure::new(match group.as_slice() {
                    [one] => format!("missing required arguments: {one}"),
                    several => format!("one of the following is required: {}", several.join(", ")),
                }));
            }
        }
        for (name, choices) in &spec.choices {
            let Some(value) = values.get(name) else { continue };
            let value = choice_text(value, choices);
            if !choices.contains(&value) {
                return Err(Failure::new(format!(
                    "value of {name} must be one of: {}, got: {value}",
                    choices.join(", ")
                )));
            }
        }
        let own = Self { values, asked: None };
        for (name, pattern) in &spec.matches {
            let fits = pattern::compile(&format!("^(?:{pattern})$"), Flags::default()).map_err(Failure::new)?;
            let texts = match own.value(name) {
                Some(Value::Array(items)) => items.iter().map(text_of).collect(),
                value => value.map(text_of).into_iter().collect::<Vec<_>>(),
            };
            for text in texts {
                if !fits.is_match(&text).unwrap_or(false) {
                    return Err(Failure::new(format!("argument {name}: '{text}' is not honoured; it takes {pattern}")));
                }
            }
        }
        Ok(own)
    }

    /// Answers every question with nothing and remembers the questions.
    #[must_use]
    pub fn survey() -> Self {
        Self { values: Fields::new(), asked: Some(RefCell::default()) }
    }

    /// The names asked for during a survey.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.as_ref().map(|names| names.borrow().clone()).unwrap_or_default()
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        if let Some(asked) = &self.asked {
            asked.borrow_mut().insert(name.to_owned());
        }
        self.values.get(name)
    }

    /// Every argument as given, for a module that takes names of the plan's own choosing.
    #[must_use]
    pub fn all(&self) -> &Fields {
        &self.values
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(text_of)
    }

    /// A path with `~` and `$VARIABLES` expanded, as Ansible's `type: path`.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(|text| PathBuf::from(expand(&text)))
    }

    /// A path that `required` in honours.json guarantees (empty only during a survey).
    pub fn required_path(&self, name: &str) -> Read<PathBuf> {
        let path = self.path(name).unwrap_or_default();
        if path.as_os_str().is_empty() && self.asked.is_none() {
            return Err(Failure::new(format!("argument {name} is empty")));
        }
        Ok(path)
    }

    pub fn flag(&self, name: &str, default: bool) -> Read<bool> {
        Ok(self.optional_flag(name)?.unwrap_or(default))
    }

    pub fn optional_flag(&self, name: &str) -> Read<Option<bool>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        boolean(value).map(Some).ok_or_else(|| {
            Failure::new(format!("argument {name}: the value '{}' is not a valid boolean", text_of(value)))
        })
    }

    pub fn integer(&self, name: &str, default: i64) -> Read<i64> {
        let Some(value) = self.value(name) else { return Ok(default) };
        value
            .as_i64()
            .or_else(|| text_of(value).trim().parse().ok())
            .ok_or_else(|| Failure::new(format!("argument {name}: '{}' is not an integer", text_of(value))))
    }

    /// A list, or a comma-separated string, or one scalar.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        Some(match self.value(name)? {
            Value::Array(items) => items.iter().map(text_of).collect(),
            Value::String(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            other => vec![text_of(other)],
        })
    }
}

fn resolve(module: &str, spec: &ModuleSpec, given: Fields) -> Read<Fields> {
    let mut values = Fields::new();
    let mut unknown = Vec::new();
    for (name, value) in given {
        let own = spec.aliases.get(&name).unwrap_or(&name).clone();
        let known = spec.arguments.contains(&own) || (spec.free_form && own == "_raw_params");
        if value.is_null() && (known || !spec.any_arguments) {
            continue; // as Ansible: null is the same as not given; but set_fact's null is a fact
        }
        if !known && !spec.any_arguments {
            unknown.push(name);
        } else if values.contains_key(&own) && own != name {
            // Ansible lets the argument's own name win over its aliases
        } else {
            values.insert(own, value);
        }
    }
    if unknown.is_empty() {
        return Ok(values);
    }
    Err(Failure::new(format!(
        "Unsupported parameters for ({module}) module: {}. Supported parameters include: {}",
        unknown.join(", "),
        spec.arguments.join(", ")
    )))
}

fn choice_text(value: &Value, choices: &[String]) -> String {
    match value {
        // YAML's `yes` arrives as true where the choices are words
        Value::Bool(flag) => {
            let word = if *flag { "yes" } else { "no" };
            if choices.iter().any(|choice| choice == word) { word.to_owned() } else { text_of(value) }
        }
        other => text_of(other),
    }
}

/// What Python's `str` makes of a value, as Ansible's `type: str` does; nothing of null.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => python_repr(other),
    }
}

fn python_repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => python_quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(python_repr).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let pair = |(name, value): (&String, &Value)| format!("{}: {}", python_quoted(name), python_repr(value));
            format!("{{{}}}", fields.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Python's `repr` of a text.
#[must_use]
pub fn python_quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => out.extend(['\\', letter]),
            _ if letter.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push(quote);
    out
}

/// JSON in the spelling of Python's `json.dumps`: a space after `,` and `:`, ASCII only.
#[must_use]
pub fn python_json(value: &Value) -> String {
    let list = |items: Vec<String>, open: char, close: char| format!("{open}{}{close}", items.join(", "));
    match value {
        Value::Array(items) => list(items.iter().map(python_json).collect(), '[', ']'),
        Value::Object(fields) => {
            let pair = |(name, value): (&String, &Value)| {
                format!("{}: {}", python_json(&Value::String(name.clone())), python_json(value))
            };
            list(fields.iter().map(pair).collect(), '{', '}')
        }
        Value::String(_) => ascii(&value.to_string()),
        other => other.to_string(),
    }
}

fn ascii(json: &str) -> String {
    let mut units = [0; 2];
    json.chars().fold(String::with_capacity(json.len()), |mut text, letter| {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
        text
    })
}

/// Ansible's booleans. None where the value is neither true nor false.
#[must_use]
pub fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args(value: Value) -> Result<Args, Failure> {
        Args::new("apt", value.as_object().unwrap().clone())
    }

    #[test]
    fn leniency() {
        let read = args(json!({"pkg": "a, b", "purge": "yes", "cache_valid_time": "60", "upgrade": true})).unwrap();
        assert_eq!(read.list("name").unwrap(), ["a", "b"]);
        assert!(read.flag("purge", false).unwrap());
        assert_eq!(read.integer("cache_valid_time", 0).unwrap(), 60);
        assert!(args(json!({"purge": "maybe"})).unwrap().flag("purge", false).is_err());
        assert_eq!(args(json!({"name": null})).unwrap().text("name"), None);
    }

    #[test]
    fn a_fact_may_be_null() {
        let read = Args::new("set_fact", json!({"a": null, "cacheable": null}).as_object().unwrap().clone()).unwrap();
        assert_eq!(read.all().keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_failure_tells_the_systems_words_alone() {
        let error = std::io::Error::from_raw_os_error(13);
        assert_eq!(Failure::new(format!("cannot write /x: {error}; or: {error}")).message.matches("(os").count(), 0);
    }

    #[test]
    fn text_as_python_writes_it() {
        assert_eq!(text_of(&json!([1, null, true, "it's", {"é": "\n"}])), r#"[1, None, True, "it's", {'é': '\n'}]"#);
        assert_eq!((text_of(&json!("x")), text_of(&json!(null))), ("x".to_owned(), String::new()));
    }

    #[test]
    fn json_as_python_writes_it() {
        assert_eq!(python_json(&json!({"a": [1, "é\n"], "b": true})), r#"{"a": [1, "\u00e9\n"], "b": true}"#);
        assert_eq!(python_json(&json!("\u{1f600}")), r#""\ud83d\ude00""#);
    }
}
