//! unarchive: what differs from an archive's members is put in place, file by file; the rest is left alone.

mod compare;
mod extract;
mod member;
mod source;
mod tar;
mod zip;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::args::Args;
use crate::attributes::{Attributes, add_path_info};
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::paths::absolute;
use compare::{Differences, Known};
use member::{Choice, Member, Safe};
use source::Source;

struct UnarchiveArgs {
    src: Option<String>,
    content: Option<String>,
    basename: Option<String>,
    remote: bool,
    dest: PathBuf,
    creates: Option<PathBuf>,
    list_files: bool,
    validate_certs: bool,
    choice: Choice,
    keep_newer: bool,
    attributes: Attributes,
}

impl UnarchiveArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let choice = Choice::read(
            args.list("include").unwrap_or_default(),
            args.list("exclude").unwrap_or_default(),
            args.list("extra_opts").unwrap_or_default(),
        )?;
        Ok(Self {
            src: args.text("src"),
            content: args.text("content_b64"),
            basename: args.text("_original_basename"),
            remote: args.flag("remote_src", false)?,
            dest: args.required_path("dest")?,
            creates: args.path("creates"),
            list_files: args.flag("list_files", false)?,
            validate_certs: args.flag("validate_certs", true)?,
            choice,
            keep_newer: args.flag("keep_newer", false)?,
            attributes: Attributes::read(args)?,
        })
    }

    fn source(&self, context: &Context) -> Result<Source, Failure> {
        if let Some(encoded) = &self.content {
            let data = base64::engine::general_purpose::STANDARD
                .decode(encoded.trim())
                .map_err(|error| Failure::new(format!("content_b64 is not base64: {error}")))?;
            return Source::of_bytes(self.basename.clone().unwrap_or_default(), data);
        }
        let src = self.src.clone().unwrap_or_default();
        if !self.remote {
            return Err(Failure::new(format!(
                "src '{src}' is not in this binary: put it beside the plan (or in its files/ folder), or set remote_src for a file of the host"
            )));
        }
        if src.contains("://") {
            return Source::fetched(&src, self.validate_certs, context);
        }
        Source::of_file(PathBuf::from(crate::paths::expand(&src)))
    }
}

/// # Errors
/// No archive, a member that would lie outside `dest`, what the system refuses.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = UnarchiveArgs::read(args)?;
    if let Some(creates) = own.creates.as_ref().filter(|path| path.exists()) {
        let words = format!("skipped, since {} exists", creates.display());
        return Ok(Outcome::new(false).with("skipped", true).with("msg", words));
    }
    if !own.dest.is_dir() {
        return Err(Failure::new(format!("dest '{}' must be an existing dir", own.dest.display())));
    }
    let source = own.source(context)?;
    let dest = absolute(&own.dest);
    let found = survey_members(&own, &source, &dest)?;
    let mut outcome = Outcome::new(false)
        .with("handler", source.handler())
        .with("dest", own.dest.to_string_lossy().into_owned())
        .with("src", source.name());
    let mut changed = found.iter().any(|(_, differences)| differences.any());
    if changed && !context.check {
        extract::extract(&source, &own.choice, &dest, &found, &mut outcome)?;
    }
    changed |= set_attributes(&own, &dest, &found, context)?;
    outcome.set("changed", changed);
    if context.diff {
        let lines = found.iter().filter(|(_, differences)| differences.any());
        let text: String = lines.map(|(member, differences)| differences.line(member)).collect();
        outcome.set("diff", json!({"prepared": text}));
    }
    if own.list_files {
        let names: Vec<Value> = found.iter().map(|(member, _)| member.name.as_str().into()).collect();
        outcome.set("files", names);
    }
    add_path_info(&mut outcome, &own.dest);
    Ok(outcome)
}

/// Every member that is meant, with what of it differs; nothing is touched before all of them are known to be safe.
fn survey_members(own: &UnarchiveArgs, source: &Source, dest: &Path) -> Result<Vec<(Member, Differences)>, Failure> {
    let mut known = Known::new(dest, &own.attributes, own.keep_newer);
    let mut safe = Safe::default();
    let mut found = Vec::new();
    source.walk(&own.choice, &mut |member, data| {
        safe.check(&member)?;
        let differences = known.differences(&member, data)?;
        found.push((member, differences));
        Ok(())
    })?;
    if found.is_empty() && own.choice.is_all() {
        return Err(Failure::new(format!("{} holds no files", source.name())));
    }
    Ok(found)
}

/// Owner, group and mode of the task's, for every member and for the folders that they lie in.
fn set_attributes(
    own: &UnarchiveArgs,
    dest: &Path,
    found: &[(Member, Differences)],
    context: &Context,
) -> Result<bool, Failure> {
    if own.attributes.is_empty() {
        return Ok(false);
    }
    let tops = found.iter().filter_map(|(member, _)| member.path.components().next());
    let mut paths: Vec<PathBuf> = tops.map(|top| dest.join(top)).collect();
    paths.extend(found.iter().map(|(member, _)| dest.join(&member.path)));
    paths.sort();
    paths.dedup();
    let mut changed = false;
    for path in paths {
        if path.symlink_metadata().is_ok() {
            changed |= own.attributes.apply(&path, context.check)?;
        }
    }
    Ok(changed)
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = UnarchiveArgs::read(args);
}

#[cfg(test)]
mod tests;
