//! Templates and expressions with Ansible's meaning, on minijinja.

mod chain;
mod data;
mod encode;
mod filters;
mod methods;
mod python;
mod tests;
mod text;

#[cfg(test)]
mod expectations;

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value as Json;

use chain::{Backslashes, chained, chained_template};

/// What `omit` gives: an argument with this value is taken out. As in Ansible a string that nobody writes by chance.
pub(crate) const OMIT: &str = "__omit_place_holder__6f5a1d3c8b72";

/// The delimiters and habits that the template module lets a task choose.
#[derive(Debug, Clone)]
pub(crate) struct Syntax {
    pub block: (String, String),
    pub variable: (String, String),
    pub comment: (String, String),
    pub trim_blocks: bool,
    pub lstrip_blocks: bool,
}

impl Default for Syntax {
    fn default() -> Self {
        let pair = |open: &str, close: &str| (open.to_owned(), close.to_owned());
        Self {
            block: pair("{%", "%}"),
            variable: pair("{{", "}}"),
            comment: pair("{#", "#}"),
            trim_blocks: true,
            lstrip_blocks: false,
        }
    }
}

impl Syntax {
    fn build(&self) -> Result<SyntaxConfig, Error> {
        SyntaxConfig::builder()
            .block_delimiters(self.block.0.clone(), self.block.1.clone())
            .variable_delimiters(self.variable.0.clone(), self.variable.1.clone())
            .comment_delimiters(self.comment.0.clone(), self.comment.1.clone())
            .trim_blocks(self.trim_blocks)
            .lstrip_blocks(self.lstrip_blocks)
            .keep_trailing_newline(false)
            .build()
    }
}

/// The environment of every template of a run.
#[derive(Clone)]
pub(crate) struct Templates {
    environment: Arc<Environment<'static>>,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Templates")
    }
}

impl Templates {
    #[must_use]
    pub(crate) fn new(secrets: BTreeMap<String, String>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_debug(true); // so that an error names the variable
        environment.set_recursion_limit(200);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(python::write);
        environment.set_unknown_method_callback(methods::call);
        if let Ok(syntax) = Syntax::default().build() {
            environment.set_syntax(syntax);
        }
        environment.remove_global("debug"); // it would show every variable, secrets too
        environment.add_function("dict", data::dict);
        for name in ["lookup", "query", "q"] {
            environment.add_function(name, move |plugin: Rest<Value>| -> Result<Value, Error> {
                let plugin = plugin.first().map(ToString::to_string).unwrap_or_default();
                let words =
                    format!("{name}('{plugin}') is not honoured: lookups run on a controller, and there is none");
                Err(Error::new(ErrorKind::InvalidOperation, words))
            });
        }
        environment.add_global("omit", OMIT);
        environment.add_function("secret", move |name: &str| {
            secrets.get(name).cloned().ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, format!("secret('{name}') is not among the scenario's secrets"))
            })
        });
        filters::add(&mut environment);
        tests::add(&mut environment);
        Self { environment: Arc::new(environment) }
    }

    /// Whether a function or constant of that name is there for every template.
    pub(crate) fn has_global(&self, name: &str) -> bool {
        self.environment.globals().any(|(global, _)| global == name)
    }

    /// One expression's value.
    ///
    /// # Errors
    /// Malformed, or with an undefined variable.
    pub(crate) fn expression(&self, text: &str, scope: &Value) -> Result<Value, Error> {
        let expression = self.environment.compile_expression_owned(chained(text, Backslashes::Escape))?;
        let value = expression.eval(scope.clone())?;
        if value.is_undefined() {
            return Err(undefined(text.trim()));
        }
        Ok(value)
    }

    /// A text with its templates filled in.
    ///
    /// # Errors
    /// Malformed, or with an undefined variable.
    pub(crate) fn render(&self, name: &str, text: &str, scope: &Value) -> Result<String, Error> {
        let text = &plain_newlines(text);
        let rewritten = chained_template(text, &Syntax::default(), Backslashes::Plain);
        let rendered = self.environment.render_named_str(name, &rewritten, scope.clone())?;
        Ok(with_newlines_of(text, rendered))
    }

    /// As `render`, with delimiters and habits of the task's choosing.
    ///
    /// # Errors
    /// As `render`, and for delimiters that contradict each other.
    pub(crate) fn render_with(&self, syntax: &Syntax, name: &str, text: &str, scope: &Value) -> Result<String, Error> {
        let mut environment = (*self.environment).clone();
        environment.set_syntax(syntax.build()?);
        let text = &plain_newlines(text);
        let rewritten = chained_template(text, syntax, Backslashes::Escape);
        let rendered = environment.render_named_str(name, &rewritten, scope.clone())?;
        Ok(with_newlines_of(text, rendered))
    }

    /// A value with the templates in its strings filled in, however deep. A string that is one single expression
    /// keeps the expression's type.
    ///
    /// # Errors
    /// As `render`.
    pub(crate) fn resolve(&self, value: &Json, scope: &Value) -> Result<Json, Error> {
        match value {
            Json::String(text) if is_template(text) => to_json(&self.resolve_text(text, scope)?),
            Json::Array(items) => {
                let mut resolved = Vec::with_capacity(items.len());
                for item in items {
                    let item = self.resolve(item, scope)?;
                    if !is_omit(&item) {
                        resolved.push(item);
                    }
                }
                Ok(Json::Array(resolved))
            }
            Json::Object(fields) => {
                let mut resolved = serde_json::Map::new();
                for (name, value) in fields {
                    let value = self.resolve(value, scope)?;
                    if is_omit(&value) {
                        continue;
                    }
                    resolved.insert(name.clone(), value); // as Ansible: keys are no templates
                }
                Ok(Json::Object(resolved))
            }
            other => Ok(other.clone()),
        }
    }

    /// The value of one string with templates in it.
    ///
    /// # Errors
    /// As `render`.
    pub(crate) fn resolve_text(&self, text: &str, scope: &Value) -> Result<Value, Error> {
        // As Ansible: Jinja drops a newline at the end, and only what is text gets it back.
        let line = text.strip_suffix('\n');
        if let Some(inner) = single_expression(line.unwrap_or(text))
            && let Ok(expression) = self.environment.compile_expression_owned(chained(inner, Backslashes::Plain))
        {
            let value = expression.eval(scope.clone())?;
            return match value.as_str() {
                _ if value.is_undefined() => Err(undefined(inner)),
                Some(words) if line.is_some() => Ok(with_newlines_of(text, words.to_owned()).into()),
                _ => Ok(value),
            };
        }
        self.render("<string>", text, scope).map(Value::from)
    }

    /// Whether a condition holds: a bare expression, or a boolean.
    ///
    /// # Errors
    /// As `expression`.
    pub(crate) fn condition(&self, condition: &Json, scope: &Value) -> Result<bool, Error> {
        let text = match condition {
            Json::Bool(flag) => return Ok(*flag),
            Json::Null => return Ok(true),
            Json::String(text) => text.trim(),
            other => return Ok(to_value(other).is_true()),
        };
        // Ansible warns of delimiters in a condition and reads what is between them.
        if is_template(text) {
            let value = self.resolve_text(text, scope)?;
            return match value.as_str() {
                Some(rendered) if single_expression(text).is_none() => {
                    self.expression(rendered, scope).map(|value| value.is_true())
                }
                _ => Ok(value.is_true()),
            };
        }
        if text.is_empty() {
            return Ok(true);
        }
        self.expression(text, scope).map(|value| value.is_true())
    }
}

/// The error for an undefined value that a filter or test was given; minijinja finds out its name.
fn undefined_value(value: &Value) -> Error {
    value.get_attr("").err().unwrap_or_else(|| Error::from(ErrorKind::UndefinedError))
}

pub(crate) fn undefined(name: &str) -> Error {
    Error::new(ErrorKind::UndefinedError, format!("'{name}' is undefined"))
}

#[must_use]
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// As Jinja reads newlines, however they are written.
fn plain_newlines(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

/// As Ansible: a text keeps the newlines at its end, whatever a block before them trims.
fn with_newlines_of(source: &str, mut rendered: String) -> String {
    let count = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let lost = count(source).saturating_sub(count(&rendered));
    rendered.extend(std::iter::repeat_n('\n', lost));
    rendered
}

fn is_omit(value: &Json) -> bool {
    value.as_str() == Some(OMIT)
}

/// What stands between the delimiters where the whole text is one `{{ ... }}`.
fn single_expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    Some(inner.strip_suffix(['-', '+']).unwrap_or(inner).trim())
}

#[must_use]
pub(crate) fn to_value(json: &Json) -> Value {
    Value::from(Serde(json))
}

/// # Errors
/// When the value has no form in JSON.
pub(crate) fn to_json(value: &Value) -> Result<Json, Error> {
    serde_json::to_value(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// The words that a task fails with.
#[must_use]
pub(crate) fn explain(error: &Error) -> String {
    use std::error::Error as _;
    let mut source = error.source();
    let mut deepest: Option<&Error> = None;
    while let Some(inner) = source {
        deepest = inner.downcast_ref::<Error>().or(deepest);
        source = inner.source();
    }
    let error = deepest.unwrap_or(error);
    let detail = error.detail().map_or_else(|| error.kind().to_string(), |detail| detail.replace('`', "'"));
    let detail = detail.replace("value of type invalid value is not callable", "a function that is called is unknown");
    let at = match (error.name(), error.line()) {
        (Some(name), Some(line)) if !name.starts_with('<') => format!(" ({name}, line {line})"),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::UndefinedError => {
            format!("The task includes an option with an undefined variable. The error was: {detail}{at}")
        }
        ErrorKind::InvalidOperation => format!("{detail}{at}"),
        kind => format!("template error: {kind}: {detail}{at}"),
    }
}
