//! get_url: a file from an address, where the one that is there is not it.

mod checksum;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::args::{Args, text_of};
use crate::attributes::{Attributes, add_path_info};
use crate::context::Context;
use crate::digest::Algorithm;
use crate::fetch::{Reply, Request, Url, fetch};
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::paths::{Staged, absolute};
use crate::replace::Writing;
use checksum::Checksum;

struct GetArgs {
    request: Request,
    dest: PathBuf,
    force: bool,
    checksum: Option<Checksum>,
    writing: Writing,
}

impl GetArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let surveyed = !args.asked().is_empty() || args.text("url").is_none();
        let url = args.text("url").unwrap_or_default();
        let mut request = Request::new(if surveyed { Url::read("http://none/")? } else { Url::read(&url)? });
        let timeout = args.integer("timeout", 10)?;
        request.timeout = Duration::from_secs(u64::from(u32::try_from(timeout.max(1)).unwrap_or(u32::MAX)));
        request.headers = headers(args)?;
        if let Some(user) = args.text("url_username") {
            request.login = Some((user, args.text("url_password").unwrap_or_default()));
        } else if args.text("url_password").is_some() && !surveyed {
            return Err(Failure::new("url_password needs url_username"));
        }
        request.basic_at_once = args.flag("force_basic_auth", false)?;
        request.validate_certs = args.flag("validate_certs", true)?;
        request.use_proxy = args.flag("use_proxy", true)?;
        if let Some(agent) = args.text("http_agent") {
            request.agent = agent;
        }
        Ok(Self {
            request,
            dest: args.required_path("dest")?,
            force: args.flag("force", false)?,
            checksum: args
                .text("checksum")
                .filter(|text| !text.is_empty())
                .map(|text| Checksum::read(&text))
                .transpose()?,
            writing: Writing {
                attributes: Attributes::read(args)?,
                backup: args.flag("backup", false)?,
                validate: None,
            },
        })
    }
}

fn headers(args: &Args) -> Result<Vec<(String, String)>, Failure> {
    let Some(value) = args.value("headers") else { return Ok(Vec::new()) };
    let Value::Object(fields) = value else {
        return Err(Failure::new("headers: an object of names and values is needed"));
    };
    let pairs: Vec<(String, String)> = fields.iter().map(|(name, value)| (name.clone(), text_of(value))).collect();
    let broken = |text: &str| text.contains(['\r', '\n', '\0']);
    if pairs.iter().any(|(name, value)| broken(name) || broken(value) || name.contains([':', ' '])) {
        return Err(Failure::new("headers: a name or a value holds what no header may hold"));
    }
    Ok(pairs)
}

/// # Errors
/// When it cannot be had, or is not what the checksum says.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = GetArgs::read(args)?;
    let began = Instant::now();
    let is_folder = own.dest.is_dir();
    let mut request = own.request.clone();
    let mut outcome = Outcome::new(false).with("url", request.url.shown());
    let wanted = own.checksum.as_ref().map(|sum| sum.wanted(&request, &own.dest, context)).transpose()?;
    if !is_folder && own.dest.exists() {
        if !own.force {
            request.since = fs::metadata(&own.dest).and_then(|meta| meta.modified()).ok();
        }
        if let Some(sum) = &wanted {
            if !own.force && sum.fits(&own.dest)? {
                return already(&own, outcome, context);
            }
            request.since = None; // what is there is not it, however new it is
        }
    }
    request.head = context.check;
    let target = if is_folder { own.dest.join(request.url.file_name()) } else { own.dest.clone() };
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(Failure::new(format!("Destination {} does not exist", parent.display())));
    }
    let staged = Staged::write(&target, b"").map_err(|error| Failure::new(format!("cannot write: {error}")))?;
    let reply = fetch(&request, staged.path(), context)?;
    outcome.set("elapsed", began.elapsed().as_secs());
    // As Ansible, which has none for a file.
    outcome.set("status_code", (request.url.scheme != "file").then_some(reply.status));
    let dest = if is_folder { own.dest.join(named(&reply, &request)) } else { target };
    outcome.set("dest", dest.to_string_lossy().into_owned());
    match reply.status {
        304 => Ok(outcome.with("msg", "HTTP Error 304: Not Modified")),
        200 => keep(&own, staged, &dest, wanted.as_ref(), &reply, outcome, context),
        status => Err(Failure::new("Request failed")
            .with("status_code", status)
            .with("response", format!("HTTP Error {status}: {}", reply.reason))
            .with("url", request.url.shown())
            .with("dest", dest.to_string_lossy().into_owned())),
    }
}

/// The name that the server gives, or the address.
fn named(reply: &Reply, request: &Request) -> String {
    let disposition = reply.header("content-disposition").unwrap_or_default();
    let given = disposition.split(';').filter_map(|part| part.trim().strip_prefix("filename=")).next();
    // A name, not a way to another folder.
    let name = given.and_then(|name| name.trim_matches('"').rsplit(['/', '\\']).next().map(str::to_owned));
    let last = Url::read(&reply.url).map_or_else(|_| request.url.file_name(), |url| url.file_name());
    name.filter(|name| !matches!(name.as_str(), "" | "." | "..")).unwrap_or(last)
}

/// The file is there, and its attributes alone are looked after.
fn already(own: &GetArgs, outcome: Outcome, context: &Context) -> ModuleResult {
    let changed = own.writing.attributes.apply(&own.dest, context.check)?;
    let words = if changed { "file already exists but file attributes changed" } else { "file already exists" };
    let mut outcome = outcome.with("msg", words).with("dest", own.dest.to_string_lossy().into_owned());
    outcome.set("changed", changed);
    add_path_info(&mut outcome, &own.dest);
    Ok(outcome)
}

fn keep(
    own: &GetArgs,
    staged: Staged,
    dest: &Path,
    wanted: Option<&checksum::Sum>,
    reply: &Reply,
    mut outcome: Outcome,
    context: &Context,
) -> ModuleResult {
    let length = reply.header("content-length").unwrap_or("unknown");
    outcome.set("msg", format!("OK ({length} bytes)"));
    if context.check {
        outcome.set("changed", true);
        return Ok(outcome);
    }
    if let Some(sum) = wanted
        && !sum.fits(staged.path())?
    {
        let words = format!("The checksum for {} did not match {}", own.request.url.shown(), sum.told(staged.path())?);
        return Err(Failure::new(words).with("dest", dest.to_string_lossy().into_owned()));
    }
    let sum = |path: &Path| Algorithm::Sha1.of_file(path).ok();
    let (new, old) = (sum(staged.path()), sum(dest));
    outcome.set("checksum_src", new.clone());
    outcome.set("checksum_dest", old.clone());
    let mut changed = new != old;
    if changed {
        if let Some(backup) = own.writing.put(staged, dest, context)? {
            outcome.set("backup_file", backup.to_string_lossy().into_owned());
        }
    } else {
        changed = own.writing.attributes.apply(dest, false)?;
    }
    outcome.set("md5sum", Algorithm::Md5.of_file(dest).ok());
    outcome.set("changed", changed);
    if changed {
        outcome.artifacts.push(absolute(dest));
    }
    add_path_info(&mut outcome, dest);
    Ok(outcome)
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = GetArgs::read(args);
    let _ = (args.text("url_username"), args.text("url_password"));
}

#[cfg(test)]
mod tests;
