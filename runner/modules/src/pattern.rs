//! Regular expressions as Python writes them.

use std::fmt::Write as _;

use fancy_regex::{Captures, Regex};

/// `re.IGNORECASE`, `re.MULTILINE` and `re.DOTALL`.
#[derive(Debug, Default, Clone, Copy)]
pub struct Flags {
    pub ignore_case: bool,
    pub multiline: bool,
    pub dot_all: bool,
}

/// # Errors
/// What is wrong with the pattern.
pub fn compile(pattern: &str, flags: Flags) -> Result<Regex, String> {
    let mut text = String::new();
    for (set, letter) in [(flags.ignore_case, 'i'), (flags.multiline, 'm'), (flags.dot_all, 's')] {
        if set {
            let _ = write!(text, "(?{letter})");
        }
    }
    text.push_str(&translate(pattern));
    Regex::new(&text).map_err(|error| format!("invalid regular expression '{pattern}': {error}"))
}

/// The few spellings that Python reads differently: a `{` that begins no repetition is itself, so is a `[` within a
/// class, `\Z` is the very end, `\<` is no word boundary.
fn translate(pattern: &str) -> String {
    let letters: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len());
    let mut class_from = None;
    let mut index = 0;
    while index < letters.len() {
        let letter = letters[index];
        match letter {
            '\\' => {
                match letters.get(index + 1) {
                    Some('Z') if class_from.is_none() => out.push_str("\\z"),
                    Some(next @ ('<' | '>')) => out.push(*next),
                    Some(next) => out.extend(['\\', *next]),
                    None => out.push('\\'),
                }
                index += 1;
            }
            '[' if class_from.is_some() => out.push_str("\\["),
            '[' => {
                out.push('[');
                if letters.get(index + 1) == Some(&'^') {
                    out.push('^');
                    index += 1;
                }
                if letters.get(index + 1) == Some(&']') {
                    out.push_str("\\]"); // first in its class a ] is itself
                    index += 1;
                }
                class_from = Some(index);
            }
            ']' => {
                class_from = None;
                out.push(']');
            }
            '&' | '~' if class_from.is_some() => out.extend(['\\', letter]),
            '-' if class_from.is_some() && letters.get(index + 1) == Some(&'-') => out.push_str("\\-"),
            '{' if class_from.is_none() && !is_repetition(&letters[index + 1..]) => out.push_str("\\{"),
            other => out.push(other),
        }
        index += 1;
    }
    out
}

fn is_repetition(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|letter| *letter == '}') else { return false };
    let body: String = rest[..end].iter().collect();
    let (low, high) = body.split_once(',').unwrap_or((&body, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

/// `\1`, `\g<1>` and `\g<name>` in a replacement, as `Match.expand`.
#[must_use]
pub fn expand(template: &str, captures: &Captures<'_, str>) -> String {
    let group = |index: usize| captures.get(index).map_or("", |found| found.as_str());
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let digits = after.bytes().take(2).take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            out.push_str(group(after[..digits].parse().unwrap_or(0)));
            rest = &after[digits..];
        } else if let Some((name, tail)) = after.strip_prefix("g<").and_then(|named| named.split_once('>')) {
            match name.parse() {
                Ok(index) => out.push_str(group(index)),
                Err(_) => out.push_str(captures.name(name).map_or("", |found| found.as_str())),
            }
            rest = tail;
        } else {
            let escaped = after.chars().next();
            match escaped {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('\\') => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            }
            rest = &after[escaped.map_or(0, char::len_utf8)..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern, Flags::default()).unwrap().is_match(text).unwrap()
    }

    #[test]
    fn python_spellings() {
        assert!(matches("^server {$", "server {") && matches("a{2,3}b", "aab") && matches("{{ x }}", "{{ x }}"));
        assert!(matches("[[]", "[") && matches("[]a]", "]") && matches("[^]]", "a") && matches(r"a\Z", "a"));
        assert!(matches(r"^(?!#)\s*x", " x") && !matches(r"^(?!#)x", "#x") && matches(r"\<b\>", "<b>"));
        assert!(matches("[a&&b]", "&") && matches("(?P<n>a)(?P=n)", "aa") && matches(r"(a)\1", "aa"));
        assert!(compile("(", Flags::default()).is_err());
    }

    #[test]
    fn replacements() {
        let regex = compile("(?P<first>a)(b)?", Flags::default()).unwrap();
        let captures = regex.captures("a").unwrap().unwrap();
        assert_eq!(expand(r"\g<first>-\1-\2-\g<0>\n\\", &captures), "a-a--a\n\\");
    }
}
