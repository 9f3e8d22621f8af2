//! curl and wget of the host, for what needs TLS or a proxy.

use std::io::Cursor;
use std::path::Path;

use super::http::read_head;
use super::{Reply, Request};
use crate::context::Context;
use crate::outcome::Failure;
use crate::paths::Staged;
use crate::process::{Invocation, find_program, tool};

pub(super) fn fetch(request: &Request, into: &Path, context: &Context) -> Result<Reply, Failure> {
    if find_program("curl").is_some() {
        return curl(request, into, context);
    }
    if find_program("wget").is_some() {
        return wget(request, into, context);
    }
    Err(Failure::new(format!(
        "{}: the runner itself speaks plain HTTP only, and this host has neither curl nor wget for the rest: install one of them first",
        request.url.shown()
    )))
}

/// Told by its standard input, for everybody can read a command line.
fn curl(request: &Request, into: &Path, context: &Context) -> Result<Reply, Failure> {
    let heads = Staged::write(into, b"").map_err(|error| Failure::new(format!("cannot write: {error}")))?;
    let seconds = request.timeout.as_secs().max(1).to_string();
    let mut invocation = Invocation::new(["curl", "-q", "-K", "-"]);
    let mut config = String::new();
    let mut set = |name: &str, value: &str| config.push_str(&format!("{name} = {}\n", quoted(value)));
    set("url", &request.url.text());
    set("output", &into.to_string_lossy());
    set("dump-header", &heads.path().to_string_lossy());
    set("write-out", "%{url_effective}");
    set("connect-timeout", &seconds);
    set("speed-time", &seconds);
    set("speed-limit", "1");
    set("max-redirs", "10");
    set("proto", "=http,https");
    for (name, value) in request.lines() {
        set("header", &format!("{name}: {value}"));
    }
    if let Some((user, password)) = &request.login {
        set("user", &format!("{user}:{password}"));
    }
    if !request.use_proxy {
        set("noproxy", "*");
    }
    let flags = [("head", request.head), ("insecure", !request.validate_certs)];
    for flag in ["silent", "show-error", "location", "globoff"] {
        config.push_str(&format!("{flag}\n"));
    }
    for (flag, _) in flags.into_iter().filter(|(_, on)| *on) {
        config.push_str(&format!("{flag}\n"));
    }
    invocation.stdin = config.into_bytes();
    let done = tool(&invocation, context)?;
    if done.rc != 0 {
        return Err(Failure::new(format!("Request failed: {}: {}", request.url.shown(), done.err().trim())));
    }
    let text = std::fs::read(heads.path()).unwrap_or_default();
    let mut reply = last_head(&text, request)?;
    reply.url = done.out().trim().to_owned();
    Ok(reply)
}

fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{escaped}\"")
}

/// Of the headers of all redirects, the last.
fn last_head(text: &[u8], request: &Request) -> Result<Reply, Failure> {
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
    let blocks = text.split("\n\n").filter(|block| block.starts_with("HTTP/"));
    // HTTP/2 and 3 have no reason after their status
    let last = blocks.last().map(|block| block.replacen("HTTP/2", "HTTP/1.1", 1).replacen("HTTP/3", "HTTP/1.1", 1));
    let head = last.map(|block| format!("{block}\n\n")).unwrap_or_default();
    read_head(&mut Cursor::new(head.into_bytes()))
        .map_err(|error| Failure::new(format!("Request failed: {}: {error}", request.url.shown())))
}

fn wget(request: &Request, into: &Path, context: &Context) -> Result<Reply, Failure> {
    if request.login.is_some() || !request.headers.is_empty() {
        return Err(Failure::new(format!(
            "{}: a login and headers need curl, for everybody can read wget's command line: install it first",
            request.url.shown()
        )));
    }
    let seconds = request.timeout.as_secs().max(1).to_string();
    let mut words = vec!["wget".to_owned(), "-S".to_owned(), "-T".to_owned(), seconds];
    words.extend(["-O".to_owned(), into.to_string_lossy().into_owned()]);
    for (name, value) in request.lines() {
        words.extend(["--header".to_owned(), format!("{name}: {value}")]);
    }
    let flags = [("--spider", request.head), ("--no-check-certificate", !request.validate_certs)];
    words.extend(flags.into_iter().filter(|(_, on)| *on).map(|(flag, _)| flag.to_owned()));
    if !request.use_proxy {
        words.extend(["-Y".to_owned(), "off".to_owned()]);
    }
    words.push(request.url.text());
    let done = tool(&Invocation::new(words).env("LC_ALL", "C.UTF-8"), context)?;
    let said = done.err();
    let mut reply = Reply { url: request.url.text(), ..Reply::default() };
    for line in said.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("HTTP/") {
            let mut words = rest.splitn(3, ' ').skip(1);
            reply.status = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
            reply.reason = words.next().unwrap_or_default().to_owned();
            reply.headers.clear();
        } else if let Some((name, value)) = line.split_once(": ") {
            reply.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    if done.rc != 0 && reply.status < 300 {
        let last = said.lines().last().unwrap_or_default();
        return Err(Failure::new(format!("Request failed: {}: {}", request.url.shown(), last.trim())));
    }
    Ok(reply)
}
