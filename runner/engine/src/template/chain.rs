//! Undefined variables as Ansible has them. They can be chained: `a.b.c | default('x')` and `a.b is defined` hold
//! where `a` is missing. And everywhere else they are errors: `missing == 'x'` and `a.missing == 'x'` too. minijinja's
//! strict undefined cannot be chained and compares in silence, so variables are rewritten where they stand in an
//! expression:
//!
//! * before `default` and `defined`: `a.b['c'] | default('x')` becomes `__dig('a', 'b', 'c') | default('x')`;
//! * elsewhere, where there is an attribute: `a.b == 1` becomes `__must(a.b, 'a.b') == 1`.
//!
//! A name without attributes needs no rewriting there: see `Scope`, which gives an error for what it does not have.

use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Environment, Error, State};

const DIG: &str = "__dig";
const MUST: &str = "__must";

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_function(DIG, dig);
    environment.add_function(
        MUST,
        |value: Value, name: &str| {
            if value.is_undefined() { Err(super::undefined(name)) } else { Ok(value) }
        },
    );
}

/// Steps into a variable; undefined as soon as one step leads nowhere.
fn dig(state: &State, name: &str, steps: Rest<Value>) -> Result<Value, Error> {
    let mut value = state.lookup(name).unwrap_or(Value::UNDEFINED);
    if value.kind() == ValueKind::Invalid {
        // A variable that is not there, or one whose own template fails, perhaps for want of another.
        return match error_of(value) {
            Some(error) if error.kind() != minijinja::ErrorKind::UndefinedError => Err(error),
            _ => Ok(Value::UNDEFINED),
        };
    }
    for step in steps.iter() {
        if value.is_undefined() {
            break;
        }
        value = value.get_item(step)?;
    }
    Ok(value)
}

/// The error that an invalid value carries.
fn error_of(value: Value) -> Option<Error> {
    Value::from(vec![value]).try_iter().ok()?.checked().next()?.err()
}

/// What a backslash in a string of an expression means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Backslashes {
    /// An escape, as in Jinja: conditions and template files.
    Escape,
    /// Itself: within `{{ }}` of a task's arguments and of variables. Ansible spares its users the doubling there.
    Plain,
}

/// Rewrites an expression.
pub(super) fn chained(text: &str, backslashes: Backslashes) -> String {
    if nesting(text) > DEEPEST {
        return text.to_owned(); // deeper than minijinja's parser goes: it will say so
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    // What stands before the current word, white space left out: a filter's name follows a bar.
    let mut significant = ' ';
    let mut assigning = text.trim_start().starts_with("set ");
    while let Some(letter) = rest.chars().next() {
        let taken = if letter == '"' || letter == '\'' {
            let end = string_end(rest);
            push_string(&mut out, &rest[..end], backslashes);
            end
        } else if is_name(letter) && !is_name(previous) && previous != '.' {
            let (text, len) = word(rest, significant == '|', assigning, backslashes);
            out.push_str(&text);
            len
        } else {
            assigning &= letter != '=';
            out.push(letter);
            letter.len_utf8()
        };
        previous = rest[..taken].chars().next_back().unwrap_or(' ');
        if !previous.is_whitespace() {
            significant = previous;
        }
        rest = &rest[taken..];
    }
    out
}

/// How deep brackets nest; each level is a level of recursion here.
const DEEPEST: usize = 100;

fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// What becomes of the variable, keyword or filter that `rest` begins with, and how long it is.
fn word(rest: &str, filter: bool, assigned: bool, backslashes: Backslashes) -> (String, usize) {
    let (name, chain) = take_chain(rest, backslashes);
    let end = name + chain.iter().map(|step| step.len).sum::<usize>();
    let (whole, name) = (&rest[..end], &rest[..name]);
    if let Some(len) = ["ansible.builtin.", "ansible.legacy."]
        .iter()
        .find(|prefix| rest.starts_with(**prefix))
        .map(|prefix| prefix.len())
    {
        return (String::new(), len); // a filter's or test's full name
    }
    let number = name.starts_with(|letter: char| letter.is_numeric());
    if filter || assigned || number || KEYWORDS.contains(&name) {
        return (whole.to_owned(), end);
    }
    if is_forgiven(&rest[end..]) {
        let steps: String = chain.iter().map(|step| format!(", {}", step.argument)).collect();
        return (format!("{DIG}('{name}'{steps})"), end);
    }
    if chain.is_empty() {
        return (name.to_owned(), name.len());
    }
    let mut rewritten = name.to_owned();
    for step in &chain {
        rewritten.push_str(&format!("[{}]", step.argument));
    }
    (format!("{MUST}({rewritten}, {})", literal(whole)), end)
}

const KEYWORDS: [&str; 9] = ["not", "and", "or", "in", "is", "if", "else", "recursive", "loop"];

/// A string of an expression. A backslash before its own quote is an escape in any case.
fn push_string(out: &mut String, string: &str, backslashes: Backslashes) {
    if backslashes == Backslashes::Escape || !string.contains('\\') {
        out.push_str(string);
        return;
    }
    let mut letters = string.chars().peekable();
    while let Some(letter) = letters.next() {
        out.push(letter);
        if letter == '\\' {
            match letters.peek() {
                Some('"' | '\'') => out.extend(letters.next()),
                _ => out.push('\\'),
            }
        }
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Rewrites what stands between a template's delimiters; comments and raw blocks stay as they are.
pub(super) fn chained_template(text: &str, syntax: &super::Syntax, backslashes: Backslashes) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let pairs = [(&syntax.comment, false), (&syntax.variable, true), (&syntax.block, true)];
    loop {
        let found =
            pairs.iter().filter_map(|((open, close), code)| Some((rest.find(open.as_str())?, open, close, *code)));
        let Some((at, open, close, code)) = found.min_by_key(|(at, open, ..)| (*at, std::cmp::Reverse(open.len())))
        else {
            break;
        };
        let inner = at + open.len();
        let end = if code { expression_end(&rest[inner..], close) } else { rest[inner..].find(close.as_str()) };
        let Some(end) = end else { break };
        let body = &rest[inner..inner + end];
        out.push_str(&rest[..inner]);
        let meaning = if open == &syntax.variable.0 { backslashes } else { Backslashes::Escape };
        out.push_str(&if code { chained(body, meaning) } else { body.to_owned() });
        out.push_str(close);
        rest = &rest[inner + end + close.len()..];
        if code && open == &syntax.block.0 && body.trim_matches(['-', '+', ' ', '\t']) == "raw" {
            let until = rest.find("endraw").unwrap_or(rest.len());
            out.push_str(&rest[..until]);
            rest = &rest[until..];
            // what is left of the closing tag holds nothing to rewrite
            let close_at = rest.find(close.as_str()).map_or(rest.len(), |at| at + close.len());
            out.push_str(&rest[..close_at]);
            rest = &rest[close_at..];
        }
    }
    out.push_str(rest);
    out
}

fn expression_end(text: &str, close: &str) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(close) {
            return Some(at);
        }
        at += if rest.starts_with(['"', '\'']) {
            string_end(rest)
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
    }
    None
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Where the string that `text` begins with ends, its closing quote included.
fn string_end(text: &str) -> usize {
    let quote = text.chars().next();
    let mut escaped = false;
    for (index, letter) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if Some(letter) == quote {
            return index + letter.len_utf8();
        }
    }
    text.len()
}

struct Step {
    len: usize,
    argument: String,
}

/// The length of the name that `text` begins with, and the steps behind it.
fn take_chain(text: &str, backslashes: Backslashes) -> (usize, Vec<Step>) {
    let name = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
    let mut steps = Vec::new();
    if text.starts_with(|letter: char| letter.is_numeric()) {
        return (name, steps);
    }
    let mut rest = &text[name..];
    loop {
        let step = if let Some(after) = rest.strip_prefix('.') {
            let len = after.find(|letter| !is_name(letter)).unwrap_or(after.len());
            if len == 0 || after[len..].starts_with('(') {
                return (name, Vec::new()); // a method call is no step
            }
            let key = &after[..len];
            let argument =
                if key.bytes().all(|byte| byte.is_ascii_digit()) { key.to_owned() } else { format!("'{key}'") };
            Step { len: len + 1, argument }
        } else if let Some(after) = rest.strip_prefix('[') {
            let Some(len) = bracket_end(after) else { return (name, Vec::new()) };
            if has_colon(&after[..len]) {
                return (name, Vec::new()); // a slice is no step
            }
            Step { len: len + 2, argument: chained(&after[..len], backslashes) }
        } else {
            return (name, if rest.starts_with('(') { Vec::new() } else { steps });
        };
        rest = &rest[step.len..];
        steps.push(step);
    }
}

fn has_colon(text: &str) -> bool {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(':') {
            return true;
        }
        at += if rest.starts_with(['"', '\'']) {
            string_end(rest)
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
    }
    false
}

fn bracket_end(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let letter = rest.chars().next()?;
        match letter {
            '"' | '\'' => {
                at += string_end(rest);
                continue;
            }
            ']' if depth == 0 => return Some(at),
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ => {}
        }
        at += letter.len_utf8();
    }
    None
}

/// Whether what follows a chain takes undefined values: `| default`, `is [not] defined`, `is undefined`.
fn is_forgiven(after: &str) -> bool {
    let word = |text: &str, word: &str| -> Option<usize> {
        let rest = text.trim_start();
        let skipped = text.len() - rest.len();
        (rest.starts_with(word) && !rest[word.len()..].starts_with(is_name)).then_some(skipped + word.len())
    };
    if let Some(rest) = after.trim_start().strip_prefix('|') {
        return word(rest, "default").or_else(|| word(rest, "d")).is_some();
    }
    let Some(end) = word(after, "is") else { return false };
    let rest = &after[end..];
    let rest = word(rest, "not").map_or(rest, |end| &rest[end..]);
    word(rest, "defined").or_else(|| word(rest, "undefined")).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Syntax;

    fn rewritten(text: &str) -> String {
        chained(text, Backslashes::Escape)
    }

    #[test]
    fn backslashes_may_be_themselves() {
        let text = r"'a\d' ~ 'it\'s' ~ x.y['\z']";
        assert_eq!(chained(text, Backslashes::Plain), r"'a\\d' ~ 'it\'s' ~ __must(x['y']['\\z'], 'x.y[\'\\z\']')");
        let text = r"{{ '\d' }}{% if '\\d' %}";
        assert_eq!(chained_template(text, &Syntax::default(), Backslashes::Plain), r"{{ '\\d' }}{% if '\\d' %}");
    }

    #[test]
    fn before_default_and_defined() {
        assert_eq!(rewritten("a.b.c | default('x')"), "__dig('a', 'b', 'c') | default('x')");
        assert_eq!(rewritten("a['b.c'][0].d|d(1) == 2"), "__dig('a', 'b.c', 0, 'd')|d(1) == 2");
        assert_eq!(rewritten("x and a.b is not defined"), "x and __dig('a', 'b') is not defined");
        assert_eq!(
            rewritten("a[b.c | default(1)].d is defined"),
            "__dig('a', __dig('b', 'c') | default(1), 'd') is defined"
        );
        assert_eq!(rewritten("a is undefined or a | default(1)"), "__dig('a') is undefined or __dig('a') | default(1)");
    }

    #[test]
    fn elsewhere() {
        assert_eq!(rewritten("not a.b == 'c.d is defined'"), "not __must(a['b'], 'a.b') == 'c.d is defined'");
        assert_eq!(rewritten("a['b'].c in d"), r"__must(a['b']['c'], 'a[\'b\'].c') in d");
        assert_eq!(rewritten("set ns.x = a.b"), "set ns.x = __must(a['b'], 'a.b')");
        assert_eq!(rewritten("a | ansible.builtin.to_json"), "a | to_json");
    }

    #[test]
    fn depth_has_an_end() {
        let text = "a[".repeat(100_000);
        assert_eq!(rewritten(&text), text);
        let text = format!("{}0{}", "a[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(rewritten(&text), text);
    }

    #[test]
    fn everything_else_stays() {
        let texts = [
            "a == 1",
            "a.b()| default(1)",
            "a | upper | default(1)",
            "a[1:2] | default(1)",
            "1.5 | default(2)",
            "'é.x' ~ \"\\\" a.b\"",
            "a is definedly",
            "a.b.upper() | default(1)",
            "f(x=1)",
            "loop.index",
        ];
        for text in texts {
            assert_eq!(rewritten(text), text);
        }
    }

    #[test]
    fn only_between_delimiters() {
        let rewrite = |text| chained_template(text, &Syntax::default(), Backslashes::Escape);
        let text = "a.b is defined {{ a.b | default('}}') }} {% if a.b %}{# don't {{ a.b #}{{ a.b }}";
        let wanted = "a.b is defined {{ __dig('a', 'b') | default('}}') }} {% if __must(a['b'], 'a.b') %}{# don't {{ a.b #}{{ __must(a['b'], 'a.b') }}";
        assert_eq!(rewrite(text), wanted);
        for text in ["{{ open | default(", "{% raw %}{{ a.b }}{% endraw %}", "{%- raw -%}{{ a.b }}{%- endraw -%} x"] {
            assert_eq!(rewrite(text), text);
        }
    }
}
