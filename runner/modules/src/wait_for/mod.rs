//! wait_for: a port, a file, or words in either; or time that passes.

mod connections;

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fancy_regex::{Captures, Regex};
use serde_json::{Map, Value};

use crate::addresses::resolve;
use crate::args::Args;
use crate::attributes::add_path_info;
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::pattern::{self, Flags};
use crate::process::{INTERRUPTED, rest};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Started,
    Stopped,
    Drained,
}

struct WaitArgs {
    host: String,
    port: Option<u16>,
    path: Option<PathBuf>,
    state: State,
    state_word: String,
    search: Option<(String, Regex)>,
    timeout: Duration,
    connect_timeout: Duration,
    delay: f64,
    sleep: f64,
    active: Vec<String>,
    exclude: Option<Vec<String>>,
    msg: Option<String>,
}

impl WaitArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let seconds = |name: &str, default: i64| -> Result<u64, Failure> {
            let given = args.integer(name, default)?;
            u64::try_from(given)
                .map(|given| given.min(u32::MAX.into()))
                .map_err(|_| Failure::new(format!("argument {name}: {given} is no time to wait")))
        };
        let state_word = args.text("state").unwrap_or_else(|| "started".to_owned());
        let own = Self {
            host: args.text("host").unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: port(args)?,
            path: args.path("path"),
            state: match state_word.as_str() {
                "absent" | "stopped" => State::Stopped,
                "drained" => State::Drained,
                _ => State::Started,
            },
            search: args.text("search_regex").map(|text| compile(&text).map(|regex| (text, regex))).transpose()?,
            timeout: Duration::from_secs(seconds("timeout", 300)?),
            connect_timeout: Duration::from_secs(seconds("connect_timeout", 5)?.max(1)),
            delay: Duration::from_secs(seconds("delay", 0)?).as_secs_f64(),
            sleep: Duration::from_secs(seconds("sleep", 1)?).as_secs_f64(),
            active: args.list("active_connection_states").unwrap_or_else(connections::usual),
            exclude: args.list("exclude_hosts"),
            msg: args.text("msg"),
            state_word,
        };
        own.refuse_contradictions()?;
        Ok(own)
    }

    fn refuse_contradictions(&self) -> Result<(), Failure> {
        let unknown = self.active.iter().find(|name| !connections::is_state(name));
        let words = match (&self.path, self.state_word.as_str()) {
            (Some(_), _) if self.port.is_some() => "port and path parameter can not both be passed to wait_for".into(),
            (Some(_), state @ ("stopped" | "drained")) => {
                format!("state={state} should only be used for checking a port in the wait_for module")
            }
            (None, "drained") if self.port.is_none() => "state=drained needs a port".into(),
            (_, state) if self.exclude.is_some() && state != "drained" => {
                "exclude_hosts should only be with state=drained".into()
            }
            _ => match unknown {
                Some(name) => format!("unknown active_connection_state ({name}) defined"),
                None => return Ok(()),
            },
        };
        Err(Failure::new(words).with("elapsed", 0))
    }

    /// What was waited for in vain.
    fn late(&self) -> String {
        if let Some(words) = &self.msg {
            return words.clone();
        }
        let place = match (&self.path, self.port) {
            (Some(path), _) => path.display().to_string(),
            (None, port) => format!("{}:{}", self.host, port.unwrap_or_default()),
        };
        match (self.state, &self.search) {
            (State::Started, Some((text, _))) => {
                format!("Timeout when waiting for search string {text} in {place}")
            }
            (State::Started, None) if self.path.is_some() => format!("Timeout when waiting for file {place}"),
            (State::Started, None) => format!("Timeout when waiting for {place}"),
            (State::Stopped, _) if self.path.is_some() => format!("Timeout when waiting for {place} to be absent."),
            (State::Stopped, _) => format!("Timeout when waiting for {place} to stop."),
            (State::Drained, _) => format!("Timeout when waiting for {place} to drain"),
        }
    }
}

fn port(args: &Args) -> Result<Option<u16>, Failure> {
    if args.value("port").is_none() {
        return Ok(None);
    }
    let given = args.integer("port", 0)?;
    let port = u16::try_from(given).ok().filter(|port| *port > 0);
    port.map(Some).ok_or_else(|| Failure::new(format!("argument port: {given} is no port")))
}

fn compile(text: &str) -> Result<Regex, Failure> {
    pattern::compile(text, Flags { multiline: true, ..Flags::default() }).map_err(Failure::new)
}

/// What a search has found.
#[derive(Default)]
struct Found {
    groups: Vec<Value>,
    named: Map<String, Value>,
}

/// # Errors
/// A wait that was in vain, contradictory arguments.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = WaitArgs::read(args)?;
    if context.check {
        let words = "remote module (wait_for) does not support check mode";
        return Ok(Outcome::new(false).with("skipped", true).with("msg", words));
    }
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs();
    let awake = |seconds: f64| if rest(seconds) { Ok(()) } else { Err(Failure::new(INTERRUPTED)) };
    awake(own.delay)?;
    let mut found = Found::default();
    if own.port.is_none() && own.path.is_none() {
        awake(own.timeout.as_secs_f64())?;
    } else {
        let end = start + own.timeout;
        loop {
            if Instant::now() >= end {
                return Err(Failure::new(own.late()).with("elapsed", elapsed()));
            }
            let held = own.holds(end, context).map_err(|failure| failure.with("elapsed", elapsed()))?;
            if let Some(held) = held {
                found = held;
                break;
            }
            awake(own.sleep)?;
        }
    }
    let mut outcome = Outcome::new(false)
        .with("state", own.state_word)
        .with("port", own.port)
        .with("search_regex", own.search.map(|(text, _)| text))
        .with("match_groups", found.groups)
        .with("match_groupdict", found.named)
        .with("path", own.path.as_ref().map(|path| path.to_string_lossy().into_owned()))
        .with("elapsed", elapsed());
    if let Some(path) = &own.path {
        add_path_info(&mut outcome, path); // which Ansible adds to every result that has a path
    }
    Ok(outcome)
}

impl WaitArgs {
    /// What is waited for, where it holds now.
    fn holds(&self, end: Instant, context: &Context) -> Result<Option<Found>, Failure> {
        match (self.state, &self.path) {
            (State::Started, Some(path)) => self.file(path),
            (State::Started, None) => Ok(self.answer(end, context)),
            (State::Stopped, Some(path)) => Ok((!path.exists()).then(Found::default)),
            (State::Stopped, None) => Ok(self.connect(end, context).is_none().then(Found::default)),
            (State::Drained, _) => {
                let busy = connections::count(
                    &resolve(&self.host, context)?,
                    self.port.unwrap_or_default(),
                    &self.excluded(context)?,
                    &self.active,
                );
                Ok((busy == 0).then(Found::default))
            }
        }
    }

    fn excluded(&self, context: &Context) -> Result<Vec<std::net::IpAddr>, Failure> {
        let mut found = Vec::new();
        for host in self.exclude.iter().flatten() {
            found.extend(resolve(host, context)?);
        }
        Ok(found)
    }

    fn file(&self, path: &PathBuf) -> Result<Option<Found>, Failure> {
        if let Err(error) = fs::metadata(path) {
            if error.kind() == io::ErrorKind::NotFound {
                return Ok(None);
            }
            let words = || format!("Failed to stat {}, {error}", path.display());
            return Err(Failure::new(self.msg.clone().unwrap_or_else(words)));
        }
        let Some((_, regex)) = &self.search else { return Ok(Some(Found::default())) };
        let Ok(data) = fs::read(path) else { return Ok(None) };
        let text = String::from_utf8_lossy(&data);
        Ok(regex.captures(&*text).ok().flatten().map(|captures| groups(regex, &captures)))
    }

    fn connect(&self, end: Instant, context: &Context) -> Option<TcpStream> {
        // A name that cannot be resolved is a host that does not answer, as for Ansible.
        let addresses = resolve(&self.host, context).unwrap_or_default();
        addresses.into_iter().find_map(|address| {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let address = SocketAddr::new(address, self.port.unwrap_or_default());
            TcpStream::connect_timeout(&address, self.connect_timeout.min(left)).ok()
        })
    }

    /// Whether the port is open, and says what is searched for.
    fn answer(&self, end: Instant, context: &Context) -> Option<Found> {
        let mut stream = self.connect(end, context)?;
        let Some((_, regex)) = &self.search else { return Some(Found::default()) };
        let mut said = Vec::new();
        let mut buffer = [0; 1024];
        while Instant::now() < end && rest(0.0) {
            stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
            match stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => said.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
                Err(_) => return None,
            }
            if regex.is_match(&*String::from_utf8_lossy(&said)).unwrap_or(false) {
                return Some(Found::default()); // as Ansible, which tells no groups of what a port says
            }
        }
        None
    }
}

fn groups(regex: &Regex, captures: &Captures<'_, str>) -> Found {
    let text = |group: Option<fancy_regex::Match>| group.map_or(Value::Null, |group| group.as_str().into());
    let named = regex.capture_names().flatten().map(|name| (name.to_owned(), text(captures.name(name))));
    Found { groups: captures.iter().skip(1).map(text).collect(), named: named.collect() }
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = WaitArgs::read(args);
}

#[cfg(test)]
mod tests;
