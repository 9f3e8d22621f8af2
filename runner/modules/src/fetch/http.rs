//! HTTP/1.1: RFC 9112. One request a connection, no TLS.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;

use super::{Reply, Request, Url};
use crate::addresses::resolve;
use crate::context::Context;
use crate::outcome::Failure;
use crate::process::{INTERRUPTED, interrupted};

const MOST_REDIRECTS: usize = 10;
const LONGEST_HEAD: u64 = 256 * 1024;

pub(super) enum Outcome {
    Reply(Reply),
    /// A redirect has led to what we do not speak.
    Beyond(Url),
}

pub(super) fn fetch(request: &Request, into: &Path, context: &Context) -> Result<Outcome, Failure> {
    let mut url = request.url.clone();
    let mut login = request.basic_at_once;
    for _ in 0..=MOST_REDIRECTS {
        // What is for one host is not told to another.
        let own = url.place() == request.url.place();
        let reply = once(request, &url, login && own, into, context)?;
        let location = reply.header("location").filter(|_| matches!(reply.status, 301 | 302 | 303 | 307 | 308));
        if let Some(location) = location {
            url = url.joined(location)?;
            if url.scheme != "http" {
                return Ok(Outcome::Beyond(Url { login: None, ..url }));
            }
        } else if reply.status == 401 && !login && own && request.login.is_some() {
            login = true;
        } else {
            return Ok(Outcome::Reply(Reply { url: url.text(), ..reply }));
        }
    }
    Err(Failure::new(format!("{} redirects more than {MOST_REDIRECTS} times", request.url.shown())))
}

fn once(request: &Request, url: &Url, login: bool, into: &Path, context: &Context) -> Result<Reply, Failure> {
    let failed = |error: io::Error| {
        let words = if interrupted().is_some() { INTERRUPTED.to_owned() } else { error.to_string() };
        Failure::new(format!("Request failed: {}: {words}", url.shown()))
    };
    let mut stream = connect(url, request.timeout, context)?;
    stream.write_all(head(request, url, login).as_bytes()).map_err(failed)?;
    let mut source = BufReader::new(Patient { stream, limit: request.timeout });
    let reply = read_head(&mut source).map_err(failed)?;
    let mut file = File::create(into).map_err(failed)?;
    if !request.head && !matches!(reply.status, 204 | 304) {
        read_body(&mut source, &reply, &mut file).map_err(failed)?;
    }
    Ok(reply)
}

fn connect(url: &Url, timeout: Duration, context: &Context) -> Result<TcpStream, Failure> {
    let mut last = None;
    for address in resolve(&url.host, context)? {
        match TcpStream::connect_timeout(&SocketAddr::new(address, url.port.unwrap_or(80)), timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    let words = last.map(|error| error.to_string()).unwrap_or_default();
    Err(Failure::new(format!("Request failed: {}: {words}", url.shown())))
}

fn head(request: &Request, url: &Url, login: bool) -> String {
    let method = if request.head { "HEAD" } else { "GET" };
    let path: String = url.path.chars().map(encoded).collect();
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", url.place());
    let mut lines = request.lines();
    lines.push(("Accept-Encoding".to_owned(), "identity".to_owned()));
    lines.push(("Connection".to_owned(), "close".to_owned()));
    if let (true, Some((user, password))) = (login, &request.login) {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        lines.push(("Authorization".to_owned(), format!("Basic {pair}")));
    }
    for (name, value) in lines {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text
}

/// What is not ASCII, as its bytes.
fn encoded(letter: char) -> String {
    if letter.is_ascii() {
        return letter.to_string();
    }
    letter.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Reads with an end to waiting, and hears that the runner is to end.
struct Patient {
    stream: TcpStream,
    limit: Duration,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let until = Instant::now() + self.limit;
        self.stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        loop {
            match self.stream.read(buffer) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if interrupted().is_some() || Instant::now() >= until {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "the read operation timed out"));
                    }
                }
                other => return other,
            }
        }
    }
}

fn bad(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

fn line(source: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(LONGEST_HEAD).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(bad("the answer breaks off"));
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned())
}

pub(super) fn read_head(source: &mut impl BufRead) -> io::Result<Reply> {
    loop {
        let first = line(source)?;
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|word| word.parse().ok());
        let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
            return Err(bad("the answer is not HTTP"));
        };
        let mut reply = Reply { status, reason: words.next().unwrap_or_default().to_owned(), ..Reply::default() };
        let mut length = 0;
        loop {
            let text = line(source)?;
            length += text.len() as u64;
            if text.is_empty() {
                break;
            }
            if length > LONGEST_HEAD {
                return Err(bad("the answer's headers are too long"));
            }
            if let Some((name, value)) = text.split_once(':') {
                reply.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        // What is only told meanwhile (100, 103) is followed by the answer.
        if status >= 200 {
            return Ok(reply);
        }
    }
}

pub(super) fn read_body(source: &mut impl BufRead, reply: &Reply, into: &mut impl Write) -> io::Result<()> {
    if reply.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return read_chunks(source, into);
    }
    let Some(length) = reply.header("content-length") else { return io::copy(source, into).map(drop) };
    let length: u64 = length.parse().map_err(|_| bad("the answer's length is no number"))?;
    let count = io::copy(&mut source.take(length), into)?;
    if count == length { Ok(()) } else { Err(bad(&format!("Incomplete read: {count} of {length} bytes"))) }
}

fn read_chunks(source: &mut impl BufRead, into: &mut impl Write) -> io::Result<()> {
    loop {
        let size = line(source)?;
        let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(|_| bad("a chunk has no size"))?;
        if io::copy(&mut source.take(size), into)? != size {
            return Err(bad("Incomplete read: a chunk breaks off"));
        }
        if size == 0 {
            return Ok(()); // trailers may follow, which nobody needs
        }
        if !line(source)?.is_empty() {
            return Err(bad("a chunk is longer than it says"));
        }
    }
}
