//! A user's line of /etc/shadow: shadow(5).

use std::fs;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shadow {
    pub password: String,
    pub min: i64,
    pub max: i64,
    pub warn: i64,
    pub inactive: i64,
    /// Days since the epoch; -1 for never.
    pub expires: i64,
}

impl Default for Shadow {
    fn default() -> Self {
        Self { password: String::new(), min: -1, max: -1, warn: -1, inactive: -1, expires: -1 }
    }
}

/// What the file says of a user; nothing in it where it cannot be read or does not name them.
pub(super) fn of(name: &str) -> Shadow {
    let text = fs::read("/etc/shadow").unwrap_or_default();
    String::from_utf8_lossy(&text).lines().find_map(|line| parse(line, name)).unwrap_or_default()
}

pub(super) fn parse(line: &str, name: &str) -> Option<Shadow> {
    let fields: Vec<&str> = line.split(':').collect();
    if fields.len() < 8 || fields[0] != name {
        return None;
    }
    let days = |index: usize| fields[index].parse().unwrap_or(-1); // an empty field is -1, as for getspnam(3)
    Some(Shadow {
        password: fields[1].to_owned(),
        min: days(3),
        max: days(4),
        warn: days(5),
        inactive: days(6),
        expires: days(7),
    })
}
