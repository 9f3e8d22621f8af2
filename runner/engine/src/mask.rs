//! Secrets never leave the runner: each known value is replaced in every text before it is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runner_modules::Fields;
use runner_modules::args::python_quoted;
use serde_json::Value;

const STARS: &str = "********";
/// A line of a long secret that is shorter than this is no secret of its own ("}" of a JSON key file).
const SHORTEST_LINE: usize = 4;
/// What base64 makes of a secret within a longer text is told from other text by no fewer letters.
const SHORTEST_CORE: usize = 6;

#[derive(Debug, Default, Clone)]
pub(crate) struct Mask {
    /// Longest first, so that a secret which contains another disappears as a whole.
    patterns: Vec<String>,
}

impl Mask {
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<String> = Vec::new();
        for secret in secrets {
            let trimmed = secret.trim();
            patterns.push(secret.to_owned());
            patterns.push(trimmed.to_owned());
            if trimmed.lines().nth(1).is_some() {
                let lines = trimmed.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
                patterns.extend(lines.map(str::to_owned)); // stdout_lines, grep, head ...
            }
            for text in [secret, trimmed] {
                if text.len() >= SHORTEST_LINE {
                    patterns.push(STANDARD.encode(text).trim_end_matches('=').to_owned());
                }
                patterns.extend(cores(text));
            }
        }
        // As shells, Python and addresses write them.
        let quoted: Vec<String> = patterns.iter().flat_map(|text| quotations(text)).collect();
        patterns.extend(quoted);
        // As JSON writes them, and JSON within JSON.
        for _ in 0..2 {
            let escaped: Vec<String> = patterns.iter().flat_map(|text| escapes(text)).collect();
            patterns.extend(escaped);
            patterns.sort();
            patterns.dedup();
        }
        patterns.retain(|pattern| !pattern.is_empty());
        patterns.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        patterns.dedup();
        Self { patterns }
    }

    #[must_use]
    pub(crate) fn text(&self, text: &str) -> String {
        self.patterns.iter().fold(text.to_owned(), |text, pattern| {
            if text.contains(pattern) { text.replace(pattern, STARS) } else { text }
        })
    }

    #[must_use]
    pub(crate) fn value(&self, value: &Value) -> Value {
        if self.patterns.is_empty() {
            return value.clone();
        }
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => Value::Object(
                fields.iter().map(|(name, value)| (self.text(name), self.value(value))).collect::<Fields>(),
            ),
            Value::Number(number) if self.patterns.contains(&number.to_string()) => STARS.into(),
            other => other.clone(),
        }
    }
}

/// A text as it stands between the quotes of `shlex.quote` (and so of the filter `quote`), as people quote by hand, as in
/// Python's repr, and in an address, where a slash may be told from other letters or not.
fn quotations(text: &str) -> Vec<String> {
    let both = python_quoted(&format!("{text}'\""));
    let own = python_quoted(text);
    let mut found = vec![
        text.replace('\'', "'\"'\"'"),
        text.replace('\'', "'\\''"),
        both[1..both.len() - "\\'\"'".len()].to_owned(),
        own[1..own.len() - 1].to_owned(),
    ];
    for safe in ["-_.~", "-_.~/"] {
        let encoded = percent(text, safe);
        found.push(encoded.replace("%20", "+"));
        found.push(encoded);
    }
    found
}

fn percent(text: &str, safe: &str) -> String {
    let letter = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || safe.as_bytes().contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(letter).collect()
}

/// What base64 makes of a text that stands one or two bytes into a longer one, or of three more; of a text before others
/// too: the letters that depend on nothing around it.
fn cores(text: &str) -> Vec<String> {
    let core = |offset: usize| {
        let encoded = STANDARD.encode([&vec![0; offset], text.as_bytes()].concat());
        let (from, to) = ((offset * 8).div_ceil(6), (offset + text.len()) * 8 / 6);
        encoded.get(from..to).filter(|core| core.len() >= SHORTEST_CORE).map(str::to_owned)
    };
    (0..3).filter_map(core).collect()
}

/// A text as it stands between the quotes of JSON: as serde writes it and as Python does.
fn escapes(text: &str) -> [String; 2] {
    let value = Value::from(text);
    [value.to_string(), runner_modules::args::python_json(&value)].map(|json| json[1..json.len() - 1].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_disappears() {
        let secret = "pa\"ss\\wörd\n";
        let mask = Mask::new([secret, "12345"]);
        let inner = json!({"k": secret.trim()}).to_string();
        let encoded = STANDARD.encode(secret.trim());
        let value = json!({
            "plain": format!("x{secret}y"), "trimmed": secret.trim(), "json": inner, "b64": encoded,
            "number": 12345, secret: [secret], "other": 1234,
        });
        let text = mask.value(&value).to_string();
        assert!(!text.contains("ss") && !text.contains("12345") && !text.contains(&encoded), "{text}");
        assert!(text.contains("1234"));
    }

    #[test]
    fn quoted_and_encoded_forms_disappear() {
        let secret = "it's a \"p/ss\" wörd";
        let mask = Mask::new([secret]);
        let user = STANDARD.encode(format!("me:{secret} and more"));
        let forms = [
            r#"echo 'it'"'"'s a "p/ss" wörd' x"#,
            r#"echo 'it'\''s a "p/ss" wörd' x"#,
            r#"{'k': 'it\'s a "p/ss" wörd'}"#,
            "u=it%27s%20a%20%22p/ss%22%20w%C3%B6rd&",
            "u=it%27s+a+%22p%2Fss%22+w%C3%B6rd&",
            &user,
        ];
        for form in forms {
            for text in [form.to_owned(), Value::from(form).to_string()] {
                let masked = mask.text(&text);
                assert!(masked.contains(STARS) && !masked.contains("ss") && masked.len() < text.len(), "{masked}");
            }
        }
        assert!(Mask::new(["plain123"]).patterns.len() <= 5, "a plain one has few forms");
    }

    #[test]
    fn lines_of_a_key_and_overlaps() {
        let mask = Mask::new(["-----BEGIN\nabcdef\n}\n-----END\n", "abc", "abcdefgh", ""]);
        assert_eq!(mask.text("abcdef abc abcdefgh }"), "******** ******** ******** }");
        assert_eq!(Mask::default().text("abc"), "abc");
    }
}
