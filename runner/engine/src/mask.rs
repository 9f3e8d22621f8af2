//! Secrets never leave the runner: each known value is replaced in every text before it is written.

use base64::Engine as _;
use runner_modules::Fields;
use serde_json::Value;

const STARS: &str = "********";
/// A line of a long secret that is shorter than this is no secret of its own ("}" of a JSON key file).
const SHORTEST_LINE: usize = 4;

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
                    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
                    patterns.push(encoded.trim_end_matches('=').to_owned());
                }
            }
        }
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
        let encoded = base64::engine::general_purpose::STANDARD.encode(secret.trim());
        let value = json!({
            "plain": format!("x{secret}y"), "trimmed": secret.trim(), "json": inner, "b64": encoded,
            "number": 12345, secret: [secret], "other": 1234,
        });
        let text = mask.value(&value).to_string();
        assert!(!text.contains("ss") && !text.contains("12345") && !text.contains(&encoded), "{text}");
        assert!(text.contains("1234"));
    }

    #[test]
    fn lines_of_a_key_and_overlaps() {
        let mask = Mask::new(["-----BEGIN\nabcdef\n}\n-----END\n", "abc", "abcdefgh", ""]);
        assert_eq!(mask.text("abcdef abc abcdefgh }"), "******** ******** ******** }");
        assert_eq!(Mask::default().text("abc"), "abc");
    }
}
