//! File modes as Ansible takes them: octal words, YAML's integers, symbolic clauses.

use serde_json::Value;

use crate::args::text_of;
use crate::outcome::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    Absolute(u32),
    /// `u=rwX,g-w`
    Symbolic(String),
    /// copy's `preserve`
    Preserve,
}

impl Mode {
    /// A number is the mode itself (420 is 0644, for YAML has read the octal already); a string is octal or symbolic.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn read(value: &Value) -> Result<Self, Failure> {
        let bad = || Failure::new(format!("mode must be in octal or symbolic form, got: {}", text_of(value)));
        if let Some(number) = value.as_u64() {
            return u32::try_from(number).ok().filter(|mode| *mode <= 0o7777).map(Self::Absolute).ok_or_else(bad);
        }
        let text = text_of(value);
        let text = text.trim();
        if text == "preserve" {
            return Ok(Self::Preserve);
        }
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return u32::from_str_radix(digits, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777)
                .map(Self::Absolute)
                .ok_or_else(bad);
        }
        apply_symbolic(text, 0, false, 0).map(|_| Self::Symbolic(text.to_owned())).ok_or_else(bad)
    }

    /// The mode to set on something that has `current` now.
    #[must_use]
    pub(crate) fn resolve(&self, current: u32, is_directory: bool, umask: u32) -> u32 {
        match self {
            Self::Absolute(mode) => *mode,
            Self::Symbolic(text) => apply_symbolic(text, current, is_directory, umask).unwrap_or(current),
            Self::Preserve => current,
        }
    }
}

/// chmod(1)'s clauses. None where they are malformed.
fn apply_symbolic(text: &str, current: u32, is_directory: bool, umask: u32) -> Option<u32> {
    let mut mode = current & 0o7777;
    for clause in text.split(',') {
        let operator = clause.find(['=', '+', '-'])?;
        let who = &clause[..operator];
        if !who.chars().all(|letter| "ugoa".contains(letter)) {
            return None;
        }
        // Without letters it is for all, less what the umask takes away.
        let (who, mask) = if who.is_empty() { ("ugo", !umask & 0o7777) } else { (who, 0o7777) };
        let who = who.replace('a', "ugo");
        let mut rest = &clause[operator..];
        while !rest.is_empty() {
            let action = rest.chars().next()?;
            let body = &rest[1..];
            let end = body.find(['=', '+', '-']).unwrap_or(body.len());
            mode = apply_action(mode, &who, action, &body[..end], is_directory, mask)?;
            rest = &body[end..];
        }
    }
    Some(mode)
}

fn apply_action(mode: u32, who: &str, action: char, permissions: &str, is_directory: bool, mask: u32) -> Option<u32> {
    let mut mode = mode;
    for class in who.chars() {
        let shift = match class {
            'u' => 6,
            'g' => 3,
            _ => 0,
        };
        let special = match class {
            'u' => 0o4000,
            'g' => 0o2000,
            _ => 0o1000,
        };
        let mut bits = 0;
        for letter in permissions.chars() {
            bits |= match letter {
                'r' => 4 << shift,
                'w' => 2 << shift,
                'x' => 1 << shift,
                'X' if is_directory || mode & 0o111 != 0 => 1 << shift,
                'X' => 0,
                's' if class != 'o' => special,
                't' if class == 'o' => special,
                's' | 't' => 0,
                'u' => ((mode >> 6) & 7) << shift,
                'g' => ((mode >> 3) & 7) << shift,
                'o' => (mode & 7) << shift,
                _ => return None,
            };
        }
        bits &= mask;
        mode = match action {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !((7 << shift) | if is_directory && class != 'o' { 0 } else { special }) | bits,
        };
    }
    Some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolved(value: Value, current: u32, directory: bool) -> u32 {
        Mode::read(&value).unwrap().resolve(current, directory, 0o022)
    }

    #[test]
    fn numbers_and_octal_words() {
        assert_eq!(resolved(json!(420), 0, false), 0o644);
        assert_eq!(resolved(json!("0644"), 0, false), 0o644);
        assert_eq!(resolved(json!("755"), 0, false), 0o755);
        assert_eq!(resolved(json!("0o600"), 0, false), 0o600);
        assert_eq!(resolved(json!("1777"), 0, true), 0o1777);
        // the well-known trap: an unquoted 644 is decimal
        assert_eq!(resolved(json!(644), 0, false), 0o1204);
    }

    #[test]
    fn symbolic_clauses() {
        assert_eq!(resolved(json!("u=rwX,g=rX,o-rwx"), 0o644, false), 0o640);
        assert_eq!(resolved(json!("u=rwX,g=rX,o-rwx"), 0o644, true), 0o750);
        assert_eq!(resolved(json!("a+x"), 0o644, false), 0o755);
        assert_eq!(resolved(json!("g-w"), 0o664, false), 0o644);
        assert_eq!(resolved(json!("+w"), 0o444, false), 0o644);
        assert_eq!(resolved(json!("g=u"), 0o740, false), 0o770);
        assert_eq!(resolved(json!("u+s"), 0o755, false), 0o4755);
        assert_eq!(resolved(json!("o+t"), 0o777, true), 0o1777);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in
            [json!("0888"), json!("u=z"), json!("99999"), json!(""), json!("rwxr-xr-x"), json!(70000), json!([1])]
        {
            assert!(Mode::read(&bad).is_err(), "{bad}");
        }
    }
}
