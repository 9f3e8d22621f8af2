//! What an address leads to, brought into a file: plain HTTP by ourselves, HTTPS by the host's curl or wget.
//!
//! There is no TLS here: what is sound of it in Rust holds C or assembly, and more bytes than all modules together.

mod http;
mod program;
mod url;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::clock;
use crate::context::Context;
use crate::outcome::Failure;

pub(crate) use url::Url;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub url: Url,
    /// Ask for the headers alone.
    pub head: bool,
    pub headers: Vec<(String, String)>,
    /// Sent where the server asks for it, or at once with `basic_at_once`; never to another host.
    pub login: Option<(String, String)>,
    pub basic_at_once: bool,
    pub agent: String,
    /// How long nothing may come.
    pub timeout: Duration,
    pub validate_certs: bool,
    pub use_proxy: bool,
    pub since: Option<SystemTime>,
}

impl Request {
    pub(crate) fn new(url: Url) -> Self {
        Self {
            login: url.login.clone(),
            url,
            head: false,
            headers: Vec::new(),
            basic_at_once: false,
            agent: "ansible-httpget".to_owned(),
            timeout: Duration::from_secs(10),
            validate_certs: true,
            use_proxy: true,
            since: None,
        }
    }

    /// The headers that every way of asking sends; who asks for no change since a time is told so.
    fn lines(&self) -> Vec<(String, String)> {
        let mut lines = self.headers.clone();
        lines.push(("User-Agent".to_owned(), self.agent.clone()));
        if let Some(since) = self.since {
            lines.push(("If-Modified-Since".to_owned(), http_date(since)));
        }
        lines
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub reason: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Where redirects have led.
    pub url: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Writes what comes into the file `into`, whatever its status.
///
/// # Errors
/// When nobody answers, an answer breaks off, or the host lacks what it takes.
pub(crate) fn fetch(request: &Request, into: &Path, context: &Context) -> Result<Reply, Failure> {
    match request.url.scheme.as_str() {
        "file" => file(request, into),
        "http" if !(request.use_proxy && proxied(&request.url, context)) => {
            match http::fetch(request, into, context)? {
                http::Outcome::Reply(reply) => Ok(reply),
                // A redirect has led to HTTPS.
                http::Outcome::Beyond(url) => program::fetch(&Request { url, ..request.clone() }, into, context),
            }
        }
        "http" | "https" => program::fetch(request, into, context),
        other => {
            Err(Failure::new(format!("{}: {other} is not honoured, only http, https and file", request.url.shown())))
        }
    }
}

fn file(request: &Request, into: &Path) -> Result<Reply, Failure> {
    let size = fs::copy(&request.url.path, into)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", request.url.path)))?;
    let headers = vec![("content-length".to_owned(), size.to_string())];
    Ok(Reply { status: 200, reason: "OK".to_owned(), headers, url: request.url.text() })
}

/// Whether the environment names a proxy for an address.
fn proxied(url: &Url, context: &Context) -> bool {
    let variable = |name: &str| {
        let own = context.environment.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        own.or_else(|| std::env::var_os(name)).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let either =
        |lower: &str, upper: &str| [variable(lower), variable(upper)].into_iter().find(|text| !text.is_empty());
    let proxy = either("http_proxy", "HTTP_PROXY").or_else(|| either("all_proxy", "ALL_PROXY"));
    let except = either("no_proxy", "NO_PROXY").unwrap_or_default();
    let spared = except.split(',').map(str::trim).any(|name| {
        let name = name.trim_start_matches("*.").trim_start_matches('.');
        !name.is_empty() && (name == "*" || url.host == name || url.host.ends_with(&format!(".{name}")))
    });
    proxy.is_some() && !spared
}

/// RFC 9110, 5.6.7.
fn http_date(moment: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let t = clock::utc(moment);
    let (day, month) = (DAYS[t.weekday as usize % 7], MONTHS[(t.month as usize + 11) % 12]);
    format!("{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT", t.day, t.year, t.hour, t.minute, t.second)
}

#[cfg(test)]
mod tests;
