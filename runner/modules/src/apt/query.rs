//! What dpkg knows of a package, and what apt-get says it would do.

use crate::context::Context;
use crate::outcome::Failure;
use crate::process::{Invocation, tool};

/// `name`, `name=version`, `name/release`, `name:arch`.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) name: String,
    pub(super) version: Option<String>,
}

impl Request {
    pub(super) fn parse(text: &str) -> Self {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(version.trim_start_matches('=').to_owned())),
            None => (text.split('/').next().unwrap_or(text), None),
        };
        Self { name: name.to_owned(), version }
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Installed {
    Version(String),
    /// Removed, with its configuration left.
    Configured,
    No,
}

pub(super) fn installed(request: &Request, context: &Context) -> Result<Installed, Failure> {
    let name = request.name.strip_suffix(":all").unwrap_or(&request.name);
    let words = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}|${Version}\\n", name];
    let done = tool(&super::call::quiet(Invocation::new(words)), context)?;
    Ok(if done.rc == 0 { parse(&done.out()) } else { Installed::No })
}

fn parse(output: &str) -> Installed {
    let mut found = Installed::No;
    for line in output.lines() {
        let Some((status, version)) = line.split_once('|') else { continue };
        match status.as_bytes().get(1) {
            // want, status, error: "ii ", "hi " (held)
            Some(b'i') => return Installed::Version(version.to_owned()),
            Some(b'c') => found = Installed::Configured,
            _ => {}
        }
    }
    found
}

/// The steps of `apt-get -s`: lines such as `Inst hello (2.10-3 Debian:12/stable [amd64])`.
pub(super) fn simulated(output: &str) -> Vec<String> {
    let verbs = ["Inst ", "Remv ", "Purg "];
    output.lines().filter(|line| verbs.iter().any(|verb| line.starts_with(verb))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        assert_eq!(Request::parse("a=1.2-3"), Request { name: "a".into(), version: Some("1.2-3".into()) });
        assert_eq!(Request::parse("a/sid").name, "a");
        assert_eq!(Request::parse("a:amd64=1:2~x+b1").version.as_deref(), Some("1:2~x+b1"));
    }

    #[test]
    fn states() {
        assert_eq!(parse("ii |1.2\n"), Installed::Version("1.2".into()));
        assert_eq!(parse("hi |1.2\n"), Installed::Version("1.2".into()));
        assert_eq!(parse("rc |1.2\n"), Installed::Configured);
        assert_eq!(parse("un |\n"), Installed::No);
    }

    #[test]
    fn simulations() {
        let text = "NOTE: This is only a simulation!\nReading package lists...\nInst a (1)\nRemv b [2]\nConf a (1)\n";
        assert_eq!(simulated(text), ["Inst a (1)", "Remv b [2]"]);
    }
}
