//! What a module gives back: Ansible's return values, or a failure with words.

use std::path::PathBuf;

use serde_json::{Map, Value};

/// Return values under Ansible's names, in the order they were set.
pub type Fields = Map<String, Value>;

/// A module that ended. `fields` may still say `failed` or `skipped`.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    pub fields: Fields,
    /// Absolute paths that were created or changed.
    pub artifacts: Vec<PathBuf>,
}

impl Outcome {
    #[must_use]
    pub fn new(changed: bool) -> Self {
        Self::default().with("changed", changed)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    #[must_use]
    pub fn artifact(mut self, path: impl Into<PathBuf>) -> Self {
        self.artifacts.push(path.into());
        self
    }
}

/// A module that could not do what it was asked.
#[derive(Debug, Clone)]
pub struct Failure {
    pub message: String,
    pub fields: Fields,
}

impl Failure {
    /// The system's words are told without Rust's "(os error N)".
    pub fn new(message: impl Into<String>) -> Self {
        let mut message = message.into();
        while let Some(at) = message.find(" (os error ") {
            let Some(length) = message[at..].find(')') else { break };
            message.replace_range(at..=at + length, "");
        }
        Self { message, fields: Fields::new() }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// As the fields of a result: `failed`, `changed` and `msg` beside its own.
    #[must_use]
    pub fn into_fields(self) -> Fields {
        let mut fields = self.fields;
        fields.entry("changed").or_insert(Value::Bool(false));
        fields.insert("failed".to_owned(), Value::Bool(true));
        fields.insert("msg".to_owned(), Value::String(self.message));
        fields
    }
}

pub type ModuleResult = Result<Outcome, Failure>;
