//! Ansible's undefined values can be chained: `a.b.c | default('x')` and `a.b is defined` hold where `a` is missing.
//! minijinja's strict ones cannot, and its chainable ones would let `missing == 'x'` pass in silence. So just the
//! chains that stand before `default` and `defined` are rewritten into a call that steps with care:
//! `a.b['c'] | default('x')` becomes `__dig(a, 'b', 'c') | default('x')`.

/// The function that the rewritten chains call.
pub(super) const DIG: &str = "__dig";

/// Rewrites an expression.
pub(super) fn chained(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(letter) = rest.chars().next() {
        let taken = if letter == '"' || letter == '\'' {
            let end = string_end(rest);
            out.push_str(&rest[..end]);
            end
        } else if is_name(letter) && !is_name(previous) && previous != '.' {
            let (name, chain) = take_chain(rest);
            let end = name + chain.iter().map(|step| step.len).sum::<usize>();
            if !chain.is_empty() && is_forgiven(&rest[end..]) {
                let steps: Vec<String> = chain.iter().map(|step| step.argument.clone()).collect();
                out.push_str(&format!("{DIG}({}, {})", &rest[..name], steps.join(", ")));
                end
            } else {
                out.push_str(&rest[..name]);
                name
            }
        } else {
            out.push(letter);
            letter.len_utf8()
        };
        previous = rest[..taken].chars().next_back().unwrap_or(' ');
        rest = &rest[taken..];
    }
    out
}

/// Rewrites what stands between a template's delimiters.
pub(super) fn chained_template(text: &str, delimiters: [(&str, &str); 2]) -> String {
    if !text.contains("default") && !text.contains("defined") && !text.contains("d(") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let next = delimiters.iter().filter_map(|(open, close)| rest.find(open).map(|at| (at, *open, *close))).min();
        let Some((at, open, close)) = next else { break };
        let inner = at + open.len();
        let Some(end) = expression_end(&rest[inner..], close) else { break };
        out.push_str(&rest[..inner]);
        out.push_str(&chained(&rest[inner..inner + end]));
        rest = &rest[inner + end..];
        out.push_str(close);
        rest = &rest[close.len()..];
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
fn take_chain(text: &str) -> (usize, Vec<Step>) {
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
            Step { len: len + 2, argument: chained(&after[..len]) }
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

    #[test]
    fn chains_before_default_and_defined() {
        assert_eq!(chained("a.b.c | default('x')"), "__dig(a, 'b', 'c') | default('x')");
        assert_eq!(chained("a['b.c'][0].d|d(1) == 2"), "__dig(a, 'b.c', 0, 'd')|d(1) == 2");
        assert_eq!(chained("x and a.b is not defined"), "x and __dig(a, 'b') is not defined");
        assert_eq!(chained("a[b.c | default(1)].d is defined"), "__dig(a, __dig(b, 'c') | default(1), 'd') is defined");
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "a.b == 'c.d is defined'",
            "a | default(1)",
            "a.b()| default(1)",
            "a.b | defaults",
            "a[1:2] | default(1)",
            "1.5 | default(2)",
            "'é.x' ~ \"\\\" a.b\"",
            "a.b is definedly",
            "a.b.upper() | default(1)",
        ] {
            assert_eq!(chained(text), text);
        }
    }

    #[test]
    fn only_between_delimiters() {
        let both = [("{{", "}}"), ("{%", "%}")];
        let text = "a.b is defined {{ a.b | default('}}') }} {% if a.b is defined %}";
        let wanted = "a.b is defined {{ __dig(a, 'b') | default('}}') }} {% if __dig(a, 'b') is defined %}";
        assert_eq!(chained_template(text, both), wanted);
        assert_eq!(chained_template("{{ open | default(", both), "{{ open | default(");
    }
}
