//! copy, and the half of template that writes: content, or a file or tree of the host itself.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

use crate::args::Args;
use crate::attributes::{Attributes, add_path_info};
use crate::context::Context;
use crate::digest::Algorithm;
use crate::mode::Mode;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::paths::absolute;
use crate::replace::{Writing, add_text_diff};

struct CopyArgs {
    source: Source,
    basename: Option<String>,
    dest: PathBuf,
    into_folder: bool,
    force: bool,
    follow: bool,
    checksum: Option<String>,
    directory_mode: Option<Mode>,
    writing: Writing,
}

enum Source {
    Content(Vec<u8>),
    Host(PathBuf),
}

impl CopyArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let dest = args.text("dest").unwrap_or_default();
        let src = args.text("src");
        let remote = args.flag("remote_src", false)?;
        let mut writing = Writing::read(args)?;
        let source = source(args, src.as_deref(), remote)?;
        if writing.attributes.mode == Some(Mode::Preserve) {
            let Source::Host(path) = &source else {
                return Err(Failure::new("mode 'preserve' needs a src on the host (remote_src); give the mode itself"));
            };
            let meta = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            writing.attributes.mode =
                if meta.is_dir() { Some(Mode::Preserve) } else { Some(Mode::Absolute(meta.mode() & 0o7777)) };
        }
        let basename = args.text("_original_basename").or_else(|| {
            src.as_deref().and_then(|src| Path::new(src).file_name()).map(|name| name.to_string_lossy().into_owned())
        });
        Ok(Self {
            source,
            basename,
            into_folder: dest.ends_with('/'),
            dest: args.path("dest").unwrap_or_default(),
            force: args.flag("force", true)?,
            follow: args.flag("follow", false)?,
            checksum: args.text("checksum"),
            directory_mode: args.value("directory_mode").map(Mode::read).transpose()?,
            writing,
        })
    }
}

fn source(args: &Args, src: Option<&str>, remote: bool) -> Result<Source, Failure> {
    let content = args.value("content").map(|content| match content {
        Value::String(text) => text.clone().into_bytes(),
        list @ (Value::Array(_) | Value::Object(_)) => crate::args::python_json(list).into_bytes(),
        other => crate::args::text_of(other).into_bytes(),
    });
    let encoded = args.text("content_b64");
    if content.is_some() && encoded.is_some() {
        return Err(Failure::new("content and content_b64 are mutually exclusive"));
    }
    if let Some(content) = content {
        return Ok(Source::Content(content));
    }
    if let Some(encoded) = encoded {
        return base64::engine::general_purpose::STANDARD
            .decode(encoded.trim())
            .map(Source::Content)
            .map_err(|error| Failure::new(format!("content_b64 is not base64: {error}")));
    }
    match src {
        Some(src) if remote => Ok(Source::Host(args.path("src").unwrap_or_else(|| PathBuf::from(src)))),
        Some(src) => Err(Failure::new(format!(
            "src '{src}' is not in this binary: put it beside the plan (or in its files/ folder), or set remote_src for a file of the host"
        ))),
        None => Ok(Source::Content(Vec::new())), // only during a survey: honours.json requires one of the three
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Failure::new(format!("Source {} not found", path.display()));
    }
    Failure::new(format!("Source {} not readable: {error}", path.display()))
}

/// # Errors
/// What Ansible's copy refuses, and what the system refuses.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = CopyArgs::read(args)?;
    match &own.source {
        Source::Host(src) if src.is_dir() => copy_tree(&own, src, context),
        Source::Host(src) => {
            let data = fs::read(src).map_err(|error| unreadable(src, &error))?;
            Ok(copy_one(&own, &data, context)?.with("src", src.to_string_lossy().into_owned()))
        }
        Source::Content(data) => copy_one(&own, data, context),
    }
}

fn copy_one(own: &CopyArgs, data: &[u8], context: &Context) -> ModuleResult {
    let sum = Algorithm::Sha1.of_bytes(data);
    if let Some(expected) = &own.checksum
        && !expected.eq_ignore_ascii_case(&sum)
    {
        return Err(Failure::new("Copied file does not match the expected checksum. Transfer failed.")
            .with("checksum", sum)
            .with("expected_checksum", expected.clone()));
    }
    let (dest, mut outcome) = destination(own, context)?;
    let written = write(&own.writing, &dest, data, own.force, context)?;
    let changed = outcome.fields.get("changed") == Some(&Value::Bool(true));
    let written_changed = written.fields.get("changed") == Some(&Value::Bool(true));
    outcome.artifacts.extend(written.artifacts);
    outcome.fields.extend(written.fields);
    outcome.set("changed", changed | written_changed);
    Ok(outcome)
}

/// The file to write; folders that a dest with a `/` at its end asks for are made.
fn destination(own: &CopyArgs, context: &Context) -> Result<(PathBuf, Outcome), Failure> {
    let mut outcome = Outcome::new(false);
    let mut dest = own.dest.clone();
    if own.into_folder || dest.is_dir() {
        let Some(name) = &own.basename else {
            return Err(Failure::new("can not use content with a dir as dest")
                .with("dest", dest.to_string_lossy().into_owned()));
        };
        if !dest.exists() {
            outcome.set("changed", true);
            make_folders(&dest, own.directory_mode.as_ref(), context, &mut outcome)?;
        }
        dest = dest.join(name);
    }
    if own.follow && dest.is_symlink() {
        dest = fs::canonicalize(&dest).unwrap_or(dest);
    }
    if dest.is_dir() {
        return Err(Failure::new(format!(
            "Remote copy does not support writing over the directory {}",
            dest.display()
        )));
    }
    let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let would_be_made = context.check && own.into_folder;
    if !parent.is_dir() && !would_be_made {
        return Err(Failure::new(format!("Destination directory {} does not exist", parent.display()))
            .with("dest", dest.to_string_lossy().into_owned()));
    }
    Ok((dest, outcome))
}

fn make_folders(folder: &Path, mode: Option<&Mode>, context: &Context, outcome: &mut Outcome) -> Result<(), Failure> {
    let whole = absolute(folder);
    let mut missing: Vec<&Path> = whole.ancestors().take_while(|folder| !folder.exists()).collect();
    missing.reverse();
    for folder in missing {
        if context.check {
            continue;
        }
        fs::create_dir(folder).map_err(|error| Failure::new(format!("cannot create {}: {error}", folder.display())))?;
        Attributes { mode: mode.cloned(), ..Attributes::default() }.apply(folder, false)?;
        outcome.artifacts.push(folder.to_path_buf());
    }
    Ok(())
}

/// Makes `dest` hold `data` with the wanted attributes, and says what that took.
///
/// # Errors
/// When validation fails or the system refuses.
pub(crate) fn write(writing: &Writing, dest: &Path, data: &[u8], force: bool, context: &Context) -> ModuleResult {
    let before = fs::read(dest).ok();
    let linked = dest.is_symlink();
    if !force && (before.is_some() || linked) {
        let mut outcome =
            Outcome::new(false).with("dest", dest.to_string_lossy().into_owned()).with("msg", "file already exists");
        add_path_info(&mut outcome, dest);
        return Ok(outcome);
    }
    let differs = linked || before.as_deref() != Some(data);
    let mut outcome = Outcome::new(differs).with("dest", dest.to_string_lossy().into_owned());
    if differs
        && !context.check
        && let Some(backup) = writing.replace(dest, data, context)?
    {
        outcome.artifacts.push(absolute(&backup));
        outcome.set("backup_file", backup.to_string_lossy().into_owned());
    }
    if dest.exists() && !(differs && context.check) {
        let attributes = writing.attributes.apply(dest, context.check)?;
        outcome.set("changed", differs | attributes);
    }
    outcome.set("checksum", Algorithm::Sha1.of_bytes(data));
    outcome.set("md5sum", if differs { Value::from(Algorithm::Md5.of_bytes(data)) } else { Value::Null });
    if context.diff && differs {
        add_text_diff(&mut outcome, dest, before.as_deref(), data);
    }
    if outcome.fields.get("changed") == Some(&Value::Bool(true)) && !context.check {
        outcome.artifacts.push(absolute(dest));
    }
    add_path_info(&mut outcome, dest);
    Ok(outcome)
}

/// A folder of the host: with a `/` at its end its content, otherwise itself.
fn copy_tree(own: &CopyArgs, src: &Path, context: &Context) -> ModuleResult {
    let contents_only = src.to_string_lossy().ends_with('/');
    let name = own.basename.clone().unwrap_or_default();
    let root = if contents_only { own.dest.clone() } else { own.dest.join(name) };
    let mut outcome = Outcome::new(false)
        .with("src", src.to_string_lossy().into_owned())
        .with("dest", root.to_string_lossy().into_owned());
    let mut changed = false;
    copy_folder(own, src, &root, context, &mut outcome, &mut changed)?;
    outcome.set("changed", changed);
    add_path_info(&mut outcome, &root);
    Ok(outcome)
}

fn copy_folder(
    own: &CopyArgs,
    src: &Path,
    dest: &Path,
    context: &Context,
    outcome: &mut Outcome,
    changed: &mut bool,
) -> Result<(), Failure> {
    if !dest.exists() {
        *changed = true;
        // Without a mode of the task's a new folder has that of the folder it is a copy of.
        let mode = own.directory_mode.clone().or_else(|| Some(Mode::Absolute(fs::metadata(src).ok()?.mode() & 0o7777)));
        make_folders(dest, mode.as_ref(), context, outcome)?;
    }
    let owner = Attributes { mode: own.directory_mode.clone(), ..own.writing.attributes.clone() };
    if dest.exists() && !owner.is_empty() {
        *changed |= owner.apply(dest, context.check)?;
    }
    let entries = fs::read_dir(src).map_err(|error| unreadable(src, &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths {
        let target = dest.join(path.file_name().unwrap_or_default());
        if path.is_symlink() {
            *changed |= copy_link(&path, &target, context, outcome)?;
        } else if path.is_dir() {
            copy_folder(own, &path, &target, context, outcome, changed)?;
        } else {
            let data = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
            let mut writing =
                Writing { attributes: own.writing.attributes.clone(), backup: own.writing.backup, validate: None };
            if writing.attributes.mode.is_none() || writing.attributes.mode == Some(Mode::Preserve) {
                let mode = fs::metadata(&path).map(|meta| meta.permissions().mode() & 0o7777).unwrap_or(0o644);
                let new = !target.exists() || writing.attributes.mode.is_some();
                writing.attributes.mode = new.then_some(Mode::Absolute(mode));
            }
            let written = write(&writing, &target, &data, own.force, context)?;
            *changed |= written.fields.get("changed") == Some(&Value::Bool(true));
            outcome.artifacts.extend(written.artifacts);
        }
    }
    Ok(())
}

fn copy_link(path: &Path, target: &Path, context: &Context, outcome: &mut Outcome) -> Result<bool, Failure> {
    let points_to = fs::read_link(path).map_err(|error| unreadable(path, &error))?;
    if fs::read_link(target).is_ok_and(|now| now == points_to) {
        return Ok(false);
    }
    if !context.check {
        let _ = fs::remove_file(target);
        std::os::unix::fs::symlink(&points_to, target)
            .map_err(|error| Failure::new(format!("cannot link {}: {error}", target.display())))?;
        outcome.artifacts.push(absolute(target));
    }
    Ok(true)
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = CopyArgs::read(args);
}

#[cfg(test)]
mod tests;
