//! Addresses: RFC 3986, as much of it as fetching takes.

use crate::outcome::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub scheme: String,
    pub login: Option<(String, String)>,
    pub host: String,
    pub port: Option<u16>,
    /// With its query; of a file its path.
    pub path: String,
}

impl Url {
    /// # Errors
    /// What is no address.
    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        Self::parse(text).ok_or_else(|| Failure::new("url: this is no address, as in http://host/path"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.split('#').next().unwrap_or_default();
        if rest.contains(|letter: char| letter.is_ascii_control() || letter == ' ') {
            return None;
        }
        if scheme == "file" {
            let path = decoded(&rest[rest.find('/')?..]);
            return Some(Self { scheme, login: None, host: String::new(), port: None, path });
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login.split_once(':').unwrap_or((login, ""))), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
            _ => (place, None),
        };
        if host.is_empty() {
            return None;
        }
        Some(Self {
            scheme,
            login: login.map(|(user, password)| (decoded(user), decoded(password))),
            host: host.to_owned(),
            port,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// Without a login.
    pub(crate) fn text(&self) -> String {
        format!("{}://{}{}", self.scheme, self.place(), self.path)
    }

    /// With a user but no password.
    pub(crate) fn shown(&self) -> String {
        let user = self.login.as_ref().map(|(user, password)| match password.as_str() {
            "" => format!("{user}@"),
            _ => format!("{user}:********@"),
        });
        format!("{}://{}{}{}", self.scheme, user.unwrap_or_default(), self.place(), self.path)
    }

    /// Host, and port where one is given: as the header has it.
    pub(crate) fn place(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// The last part of the path, under which a file is kept.
    pub(crate) fn file_name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        if matches!(name, "" | "." | "..") { "index.html".to_owned() } else { name.to_owned() }
    }

    /// Where a reply's `Location` leads from here.
    pub(crate) fn joined(&self, location: &str) -> Result<Self, Failure> {
        let bare = Self { login: None, ..self.clone() };
        if location.contains("://") {
            return Self::read(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::read(&format!("{}://{rest}", self.scheme));
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else {
            let folder = bare.path.split('?').next().unwrap_or_default();
            format!("{}{location}", &folder[..=folder.rfind('/').unwrap_or(0)])
        };
        Self::read(&format!("{}://{}{path}", bare.scheme, bare.place()))
    }
}

/// `%41` is `A`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let code = text.get(index + 1..index + 3).filter(|_| bytes[index] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                index += 3;
            }
            None => {
                out.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
