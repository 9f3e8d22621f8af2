//! `algorithm:digest`, and `algorithm:address` of a file that lists digests.

use std::fs;
use std::path::Path;

use crate::context::Context;
use crate::digest::Algorithm;
use crate::fetch::{Request, Url, fetch};
use crate::outcome::Failure;
use crate::paths::Staged;

#[derive(Debug)]
pub(super) struct Checksum {
    algorithm: Algorithm,
    rest: String,
}

/// A digest that a file shall have.
#[derive(Debug)]
pub(super) struct Sum {
    algorithm: Algorithm,
    digest: String,
}

impl Checksum {
    pub(super) fn read(text: &str) -> Result<Self, Failure> {
        let (name, rest) = text
            .split_once(':')
            .ok_or_else(|| Failure::new("The checksum parameter has to be in format <algorithm>:<checksum>"))?;
        let algorithm = Algorithm::named(&name.trim().to_ascii_lowercase())
            .ok_or_else(|| Failure::new(format!("checksum: the algorithm {name} is not known")))?;
        Ok(Self { algorithm, rest: rest.trim().to_owned() })
    }

    /// The digest itself, fetched where an address stands for it.
    pub(super) fn wanted(&self, request: &Request, dest: &Path, context: &Context) -> Result<Sum, Failure> {
        let text = if self.rest.contains("://") { self.listed(request, dest, context)? } else { self.rest.clone() };
        let digest: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        if digest.is_empty() || !digest.chars().all(|letter| letter.is_ascii_hexdigit()) {
            return Err(Failure::new("The checksum format is invalid"));
        }
        Ok(Sum { algorithm: self.algorithm, digest })
    }

    fn listed(&self, request: &Request, dest: &Path, context: &Context) -> Result<String, Failure> {
        let url = Url::read(&self.rest)?;
        let beside = if dest.is_dir() { dest.join("checksums") } else { dest.to_path_buf() };
        let staged = Staged::write(&beside, b"").map_err(|error| Failure::new(format!("cannot write: {error}")))?;
        let same_host = url.place() == request.url.place();
        let asked = Request {
            login: url.login.clone().or_else(|| request.login.clone().filter(|_| same_host)),
            url: url.clone(),
            since: None,
            head: false,
            ..request.clone()
        };
        let reply = fetch(&asked, staged.path(), context)?;
        if reply.status != 200 {
            return Err(Failure::new(format!("{} answers {} {}", url.shown(), reply.status, reply.reason)));
        }
        let text = fs::read(staged.path()).unwrap_or_default();
        let name = request.url.file_name();
        find(&String::from_utf8_lossy(&text), &name)
            .ok_or_else(|| Failure::new(format!("Unable to find a checksum for file '{name}' in '{}'", url.shown())))
    }
}

/// A file's digest in the output of sha256sum and its like, or of BSD's; a single word stands for itself.
pub(super) fn find(text: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if let [only] = lines.as_slice()
        && only.split_whitespace().count() == 1
    {
        return Some(only.trim().to_owned());
    }
    lines.iter().find_map(|line| {
        if let Some((head, digest)) = line.split_once(") = ") {
            let (_, path) = head.split_once('(')?;
            return (path == name).then(|| digest.trim().to_owned());
        }
        let (digest, path) = line.split_once(char::is_whitespace)?;
        let path = path.trim().trim_start_matches('*').trim_start_matches("./");
        (path == name).then(|| digest.to_owned())
    })
}

impl Sum {
    pub(super) fn fits(&self, path: &Path) -> Result<bool, Failure> {
        Ok(self.of(path)? == self.digest)
    }

    /// What was wanted and what it is.
    pub(super) fn told(&self, path: &Path) -> Result<String, Failure> {
        Ok(format!("{}; it was {}.", self.digest, self.of(path)?))
    }

    fn of(&self, path: &Path) -> Result<String, Failure> {
        let sum = self.algorithm.of_file(path);
        sum.map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
    }
}
