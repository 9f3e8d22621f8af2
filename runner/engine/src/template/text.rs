//! Filters over text and paths.

use minijinja::value::{Kwargs, Rest, Value};
use minijinja::{Error, ErrorKind};
use runner_modules::paths;
use runner_modules::pattern::{self, Flags};
use std::path::Path;

use super::python;

/// A filter's input as text; undefined is an error.
fn input(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    python::text(value)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

pub(super) fn string(value: &Value) -> Result<String, Error> {
    input(value)
}

pub(super) fn join(
    value: &Value,
    separator: Option<String>,
    attribute: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    let separator = separator.or(options.get("d")?).unwrap_or_default();
    let attribute: Option<String> = attribute.or(options.get("attribute")?);
    options.assert_all_used()?;
    if value.is_undefined() {
        return Err(super::undefined_value(value));
    }
    let mut parts = Vec::new();
    for item in value.try_iter()? {
        let item = match &attribute {
            Some(name) => name.split('.').try_fold(item, |item, step| item.get_attr(step))?,
            None => item,
        };
        parts.push(input(&item)?);
    }
    Ok(parts.join(&separator))
}

fn flags(options: &Kwargs) -> Result<Flags, Error> {
    Ok(Flags {
        ignore_case: options.get::<Option<bool>>("ignorecase")?.unwrap_or(false),
        multiline: options.get::<Option<bool>>("multiline")?.unwrap_or(false),
        dot_all: false,
    })
}

/// The first match; with groups (`'\\1'`, `'\\g<name>'`) a list of them; none where there is no match.
pub(super) fn regex_search(value: &Value, regex: &str, groups: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    let regex = pattern::compile(regex, flags(&options)?).map_err(bad)?;
    options.assert_all_used()?;
    let text = input(value)?;
    let Some(captures) = regex.captures(text.as_str()).map_err(|error| bad(error.to_string()))? else {
        return Ok(Value::from(()));
    };
    if groups.is_empty() {
        return Ok(Value::from(captures.get(0).map_or("", |found| found.as_str())));
    }
    let mut found = Vec::new();
    for group in groups.iter() {
        let name = input(group)?;
        let known =
            name.starts_with("\\g<") || name.strip_prefix('\\').is_some_and(|digits| digits.parse::<u8>().is_ok());
        if !known {
            return Err(bad(format!("Unknown argument '{name}' of regex_search")));
        }
        found.push(Value::from(pattern::expand(&name, &captures)));
    }
    Ok(Value::from(found))
}

pub(super) fn regex_replace(
    value: &Value,
    regex: Option<String>,
    replacement: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    let regex = regex.or(options.get("pattern")?).unwrap_or_default();
    let replacement = replacement.or(options.get("replacement")?).unwrap_or_default();
    let most: usize = options.get::<Option<usize>>("count")?.unwrap_or(0);
    let regex = pattern::compile(&regex, flags(&options)?).map_err(bad)?;
    options.assert_all_used()?;
    let text = input(value)?;
    let mut out = String::new();
    let mut last = 0;
    for (index, captures) in regex.captures_iter(text.as_str()).enumerate() {
        if most != 0 && index == most {
            break;
        }
        let captures = captures.map_err(|error| bad(error.to_string()))?;
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&text[last..whole.start()]);
        out.push_str(&pattern::expand(&replacement, &captures));
        last = whole.end();
    }
    out.push_str(&text[last..]);
    Ok(out)
}

/// All matches; with one group the group's text, with several lists of them.
pub(super) fn regex_findall(value: &Value, regex: &str, options: Kwargs) -> Result<Vec<Value>, Error> {
    let regex = pattern::compile(regex, flags(&options)?).map_err(bad)?;
    options.assert_all_used()?;
    let text = input(value)?;
    let mut found = Vec::new();
    for captures in regex.captures_iter(text.as_str()) {
        let captures = captures.map_err(|error| bad(error.to_string()))?;
        let group = |index: usize| Value::from(captures.get(index).map_or("", |group| group.as_str()));
        found.push(match captures.len() {
            1 => group(0),
            2 => group(1),
            count => (1..count).map(group).collect(),
        });
    }
    Ok(found)
}

/// Python's `re.escape`.
pub(super) fn regex_escape(value: &Value) -> Result<String, Error> {
    let special = "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}";
    Ok(input(value)?.chars().fold(String::new(), |mut text, letter| {
        if special.contains(letter) {
            text.push('\\');
        }
        text.push(letter);
        text
    }))
}

/// Python's `os.path.split`.
fn split_path(path: &str) -> (&str, &str) {
    let Some(slash) = path.rfind('/') else { return ("", path) };
    let (head, tail) = path.split_at(slash + 1);
    let trimmed = head.trim_end_matches('/');
    (if trimmed.is_empty() { head } else { trimmed }, tail)
}

pub(super) fn basename(value: &Value) -> Result<String, Error> {
    Ok(split_path(&input(value)?).1.to_owned())
}

pub(super) fn dirname(value: &Value) -> Result<String, Error> {
    Ok(split_path(&input(value)?).0.to_owned())
}

/// Python's `os.path.splitext`.
pub(super) fn splitext(value: &Value) -> Result<Vec<String>, Error> {
    let path = input(value)?;
    let name = split_path(&path).1;
    let leading = name.len() - name.trim_start_matches('.').len();
    let dot = name[leading..].rfind('.').map(|dot| path.len() - name.len() + leading + dot);
    Ok(match dot {
        Some(dot) => vec![path[..dot].to_owned(), path[dot..].to_owned()],
        None => vec![path, String::new()],
    })
}

pub(super) fn realpath(value: &Value) -> Result<String, Error> {
    let path = input(value)?;
    let real = std::fs::canonicalize(&path).unwrap_or_else(|_| paths::absolute(Path::new(&path)));
    Ok(real.to_string_lossy().into_owned())
}

pub(super) fn expanduser(value: &Value) -> Result<String, Error> {
    let path = input(value)?;
    Ok(if path.starts_with('~') { paths::expand(&path) } else { path })
}

pub(super) fn path_join(value: &Value) -> Result<String, Error> {
    if value.as_str().is_some() {
        return input(value);
    }
    let mut joined = std::path::PathBuf::new();
    for part in value.try_iter()? {
        joined.push(input(&part)?);
    }
    Ok(joined.to_string_lossy().into_owned())
}

/// Python's `shlex.quote`.
pub(super) fn quote(value: &Value) -> Result<String, Error> {
    let text = if value.is_none() { String::new() } else { input(value)? };
    let plain =
        !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "@%+=:,./-_".contains(letter));
    Ok(if plain { text } else { format!("'{}'", text.replace('\'', "'\"'\"'")) })
}

/// A number of bytes in the largest unit that it fills: `976.56 KB`.
pub(super) fn human_readable(value: &Value) -> Result<String, Error> {
    let size = f64::try_from(value.clone())?;
    let units = [("YB", 80), ("ZB", 70), ("EB", 60), ("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)];
    let unit = units.into_iter().find(|(_, power)| size >= 2_f64.powi(*power));
    Ok(match unit {
        Some((name, power)) => format!("{:.2} {name}", size / 2_f64.powi(power)),
        None => format!("{size:.2} Bytes"),
    })
}

/// Jinja's `truncate(length=255, killwords=false, end='...', leeway=5)`.
pub(super) fn truncate(value: &Value, given: Rest<Value>, options: Kwargs) -> Result<String, Error> {
    let argument = |index: usize, name: &str| -> Result<Option<Value>, Error> {
        given.get(index).cloned().map_or_else(|| options.get(name), |value| Ok(Some(value)))
    };
    let length = argument(0, "length")?.and_then(|value| value.as_usize()).unwrap_or(255);
    let kill_words = argument(1, "killwords")?.is_some_and(|value| value.is_true());
    let end = argument(2, "end")?.map_or_else(|| "...".to_owned(), |value| value.to_string());
    let leeway = argument(3, "leeway")?.and_then(|value| value.as_usize()).unwrap_or(5);
    options.assert_all_used()?;
    let text = input(value)?;
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= length + leeway {
        return Ok(text);
    }
    let kept: String = letters[..length.saturating_sub(end.chars().count())].iter().collect();
    let kept = if kill_words { kept.as_str() } else { kept.rsplit_once(' ').map_or(kept.as_str(), |(kept, _)| kept) };
    Ok(format!("{kept}{end}"))
}

pub(super) fn center(value: &Value, width: Option<usize>) -> Result<String, Error> {
    Ok(format!("{:^1$}", input(value)?, width.unwrap_or(80)))
}

pub(super) fn wordcount(value: &Value) -> Result<usize, Error> {
    let text = input(value)?;
    Ok(text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).filter(|word| !word.is_empty()).count())
}

/// `comment` in its plain style.
pub(super) fn comment(value: &Value) -> Result<String, Error> {
    let lines: Vec<String> = input(value)?.lines().map(|line| format!("# {line}").trim_end().to_owned()).collect();
    Ok(format!("#\n{}\n#", lines.join("\n")))
}
