//! Names of hosts. A static glibc cannot look them up, so what /etc/hosts does not know is asked of `getent`.

use std::fs;
use std::net::IpAddr;

use crate::context::Context;
use crate::outcome::Failure;
use crate::process::{Invocation, find_program, tool};

/// Every address of a host, as it is written or as its name leads to it.
///
/// # Errors
/// A name that nobody knows.
pub(crate) fn resolve(host: &str, context: &Context) -> Result<Vec<IpAddr>, Failure> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let hosts = fs::read("/etc/hosts").unwrap_or_default();
    let mut found = of_hosts(&String::from_utf8_lossy(&hosts), host);
    if found.is_empty() && !host.is_empty() && !host.starts_with('-') && find_program("getent").is_some() {
        let done = tool(&Invocation::new(["getent", "ahosts", host]), context)?;
        found = addresses(done.out().lines().filter_map(|line| line.split_whitespace().next()));
    }
    if found.is_empty() {
        return Err(Failure::new(format!("the name of the host {host} cannot be resolved")));
    }
    Ok(found)
}

fn of_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    addresses(lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    }))
}

fn addresses<'a>(words: impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for address in words.filter_map(|word| word.parse().ok()) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let hosts = "127.0.0.1 localhost # app\n::1 localhost ip6-localhost\n10.0.0.2\tdb.example DB\n";
        assert_eq!(of_hosts(hosts, "db"), ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(of_hosts(hosts, "localhost").len(), 2);
        assert!(of_hosts(hosts, "app").is_empty());
        let context = Context::default();
        assert_eq!(resolve("[::1]", &context).unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        let failure = resolve("no-such-host.invalid", &context).unwrap_err();
        assert!(failure.message.contains("no-such-host.invalid"), "{}", failure.message);
    }
}
