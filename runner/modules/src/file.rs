//! file: states of files, folders and links.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::args::Args;
use crate::attributes::{Attributes, add_path_info, diff_fields, set_times, state_of};
use crate::clock;
use crate::context::Context;
use crate::outcome::{Failure, Fields, ModuleResult, Outcome};
use crate::paths::{absolute, temporary_beside};

struct FileArgs {
    path: PathBuf,
    state: Option<String>,
    recurse: bool,
    src: Option<PathBuf>,
    force: bool,
    follow: bool,
    access: Moment,
    modification: Moment,
    attributes: Attributes,
}

/// What a time shall become.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Default,
    Preserve,
    Now,
    At(i64),
}

impl FileArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        Ok(Self {
            path: args.required_path("path")?,
            state: args.text("state"),
            recurse: args.flag("recurse", false)?,
            // as it is: a link may well point to a relative name
            src: args.path("src"),
            force: args.flag("force", false)?,
            follow: args.flag("follow", true)?,
            access: moment(args, "access_time", "access_time_format")?,
            modification: moment(args, "modification_time", "modification_time_format")?,
            attributes: Attributes::read(args)?,
        })
    }
}

fn moment(args: &Args, name: &str, format_name: &str) -> Result<Moment, Failure> {
    let format = args.text(format_name);
    match args.text(name).as_deref() {
        None => Ok(Moment::Default),
        Some("preserve") => Ok(Moment::Preserve),
        Some("now") => Ok(Moment::Now),
        Some(text) => {
            let format = format.unwrap_or_else(|| "%Y%m%d%H%M.%S".to_owned());
            clock::parse_local(text, &format).map(Moment::At).ok_or_else(|| {
                Failure::new(format!("Error while obtaining timestamp for time {text} using format {format}"))
            })
        }
    }
}

/// # Errors
/// What Ansible's file refuses, and what the system refuses.
pub(crate) fn run(args: &Args, context: &Context) -> ModuleResult {
    let own = FileArgs::read(args)?;
    let previous = state_of(&own.path);
    let state = match own.state.as_deref() {
        Some(state) => state.to_owned(),
        None if own.recurse => "directory".to_owned(),
        None if previous != "absent" => previous.to_owned(),
        None if own.src.is_some() => "link".to_owned(),
        None => "file".to_owned(),
    };
    if own.recurse && state != "directory" {
        return Err(Failure::new("recurse option requires state to be 'directory'").with("path", text(&own.path)));
    }
    if own.src.is_some() && !matches!(state.as_str(), "link" | "hard") {
        return Err(Failure::new("src option requires state to be 'link' or 'hard'").with("path", text(&own.path)));
    }
    let result = match state.as_str() {
        "absent" => absent(&own, context),
        "directory" => directory(&own, context),
        "touch" => touch(&own, context),
        "link" => link(&own, context),
        "hard" => hard(&own, context),
        _ => existing(&own, context),
    };
    result.map_err(|failure| described(failure, &own.path))
}

/// As Ansible: a failure, too, tells what lies at the path.
fn described(mut failure: Failure, path: &Path) -> Failure {
    let mut told = Outcome::default().with("path", text(path));
    add_path_info(&mut told, path);
    for (name, value) in told.fields {
        failure.fields.entry(name).or_insert(value);
    }
    failure
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn refused(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{what} {}: {error}", path.display()))
}

/// Where a path leads when links are followed and it leads anywhere.
fn followed(path: &Path, follow: bool) -> PathBuf {
    if follow && state_of(path) == "link" {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
    } else {
        path.to_path_buf()
    }
}

fn finish(mut outcome: Outcome, path: &Path, key: &str, before: Fields, context: &Context) -> Outcome {
    if context.diff {
        let mut after = diff_fields(path);
        if context.check {
            after = Fields::new();
            after.insert("path".to_owned(), text(path).into());
        }
        outcome.set("diff", json!({"before": before, "after": after}));
    }
    if outcome.fields.get("changed") == Some(&Value::Bool(true)) && !context.check {
        let whole = absolute(path);
        if !outcome.artifacts.contains(&whole) {
            outcome.artifacts.push(whole);
        }
    }
    outcome.set(key, text(path));
    add_path_info(&mut outcome, path);
    outcome
}

fn existing(own: &FileArgs, context: &Context) -> ModuleResult {
    let path = followed(&own.path, own.follow);
    let state = state_of(&path);
    if !matches!(state, "file" | "hard") {
        let words = if state == "absent" {
            format!("file ({}) is absent, cannot continue", path.display())
        } else {
            format!("file ({}) is {state}, cannot continue", path.display())
        };
        return Err(Failure::new(words).with("path", text(&path)).with("state", state));
    }
    let before = diff_fields(&path);
    let changed = own.attributes.apply(&path, context.check)? | times(own, &path, context, Moment::Preserve)?;
    Ok(finish(Outcome::new(changed), &path, "path", before, context))
}

fn absent(own: &FileArgs, context: &Context) -> ModuleResult {
    let previous = state_of(&own.path);
    let changed = previous != "absent";
    if changed && !context.check {
        let removed = if previous == "directory" { fs::remove_dir_all(&own.path) } else { fs::remove_file(&own.path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused(
                    if previous == "directory" { "rmtree failed:" } else { "unlinking failed:" },
                    &own.path,
                    &error,
                ));
            }
            _ => {}
        }
    }
    let mut outcome = Outcome::new(changed).with("path", text(&own.path)).with("state", "absent");
    if context.diff {
        outcome.set(
            "diff",
            json!({
                "before": {"path": text(&own.path), "state": previous},
                "after": {"path": text(&own.path), "state": "absent"},
            }),
        );
    }
    if changed && !context.check {
        outcome.artifacts.push(absolute(&own.path));
    }
    Ok(outcome)
}

fn directory(own: &FileArgs, context: &Context) -> ModuleResult {
    let path = followed(&own.path, own.follow);
    let previous = state_of(&path);
    let before = diff_fields(&path);
    let mut outcome = Outcome::new(false);
    let mut changed = false;
    if previous == "absent" {
        if context.check {
            return Ok(finish(Outcome::new(true), &path, "path", before, context));
        }
        changed = true;
        // As Ansible: every folder that had to be made gets the wanted attributes.
        for folder in missing_folders(&path) {
            match fs::DirBuilder::new().mode(0o777).create(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Failure::new(format!(
                        "There was an issue creating {} as requested: {error}",
                        folder.display()
                    ))
                    .with("path", text(&path)));
                }
                _ => {}
            }
            own.attributes.apply(&folder, false)?;
            outcome.artifacts.push(absolute(&folder));
        }
    } else if previous != "directory" {
        return Err(
            Failure::new(format!("{} already exists as a {previous}", path.display())).with("path", text(&path))
        );
    }
    changed |= own.attributes.apply(&path, context.check)?;
    changed |= times(own, &path, context, Moment::Preserve)?;
    if own.recurse {
        changed |= recurse(own, &path, context, &mut outcome.artifacts)?;
    }
    outcome.set("changed", changed);
    Ok(finish(outcome, &path, "path", before, context))
}

/// The folders that have to be made for `path`, outermost first, `path` last.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> =
        absolute(path).ancestors().take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect();
    missing.reverse();
    missing
}

fn recurse(own: &FileArgs, folder: &Path, context: &Context, artifacts: &mut Vec<PathBuf>) -> Result<bool, Failure> {
    let mut changed = false;
    let entries = fs::read_dir(folder).map_err(|error| refused("cannot list", folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths {
        let is_link = path.is_symlink();
        let mut here = own.attributes.apply(&path, context.check)?;
        if is_link && own.follow && path.exists() {
            let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            here |= own.attributes.apply(&target, context.check)?;
        }
        if here && !context.check {
            artifacts.push(absolute(&path));
        }
        changed |= here;
        if path.is_dir() && !is_link {
            changed |= recurse(own, &path, context, artifacts)?;
        }
    }
    Ok(changed)
}

fn touch(own: &FileArgs, context: &Context) -> ModuleResult {
    let path = followed(&own.path, own.follow);
    let previous = state_of(&path);
    let before = diff_fields(&path);
    let mut changed = false;
    if previous == "absent" {
        changed = true;
        if context.check {
            return Ok(finish(Outcome::new(true), &path, "dest", before, context));
        }
        File::options()
            .append(true)
            .create(true)
            .mode(0o666)
            .open(&path)
            .map_err(|error| refused("Error, could not touch target:", &path, &error))?;
    }
    changed |= own.attributes.apply(&path, context.check)?;
    changed |= times(own, &path, context, Moment::Now)?;
    Ok(finish(Outcome::new(changed), &path, "dest", before, context))
}

/// Sets the times where they differ. `default` is what a time not mentioned becomes.
fn times(own: &FileArgs, path: &Path, context: &Context, default: Moment) -> Result<bool, Failure> {
    let meta = fs::symlink_metadata(path).map_err(|error| refused("cannot stat", path, &error))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wanted = |moment: Moment, current: (i64, i64)| {
        let wanted = match if moment == Moment::Default { default } else { moment } {
            Moment::Now => (i64::try_from(now.as_secs()).unwrap_or_default(), i64::from(now.subsec_nanos())),
            Moment::At(seconds) if seconds != current.0 => (seconds, 0),
            _ => return None,
        };
        Some(wanted)
    };
    let access = wanted(own.access, (meta.atime(), meta.atime_nsec()));
    let modification = wanted(own.modification, (meta.mtime(), meta.mtime_nsec()));
    if access.is_none() && modification.is_none() {
        return Ok(false);
    }
    if !context.check {
        set_times(path, access, modification)
            .map_err(|error| refused("Error while updating modification or access time:", path, &error))?;
    }
    Ok(true)
}

fn link(own: &FileArgs, context: &Context) -> ModuleResult {
    let path = &own.path;
    let previous = state_of(path);
    let before = diff_fields(path);
    let old = fs::read_link(path).ok();
    let src = match (&own.src, &old) {
        (Some(src), _) => src.clone(),
        (None, Some(old)) => old.clone(),
        (None, None) => return Err(Failure::new("src is required for creating new symlinks").with("dest", text(path))),
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let target = folder.join(&src); // a relative src is relative to the link
    if own.src.is_some() && !target.exists() && !own.force {
        return Err(Failure::new(format!(
            "src file does not exist, use 'force=yes' if you really want to create the link: {}",
            target.display()
        ))
        .with("path", text(path))
        .with("src", text(&src)));
    }
    let is_folder = previous == "directory";
    if is_folder && !own.force {
        return Err(Failure::new(format!("refusing to convert from directory to symlink for {}", path.display())));
    }
    if is_folder && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(format!("the directory {} is not empty, refusing to convert it", path.display())));
    }
    if matches!(previous, "file" | "hard") && !own.force {
        return Err(Failure::new(format!(
            "{} already exists as a {previous}, use \"force=yes\" to replace it",
            path.display()
        )));
    }
    let mut changed = false;
    if old.as_deref() != Some(src.as_path()) {
        changed = true;
        if !context.check {
            replace(path, is_folder, |name| std::os::unix::fs::symlink(&src, name))?;
        }
    }
    let mut outcome = Outcome::new(changed).with("src", text(&src));
    if !(changed && context.check) {
        // As Ansible: with follow, attributes are those of the file behind the link.
        let of = if own.follow && path.exists() {
            fs::canonicalize(path).unwrap_or_else(|_| path.clone())
        } else {
            path.clone()
        };
        let attributes = own.attributes.apply(&of, context.check)?;
        let times = times(own, path, context, Moment::Preserve)?;
        outcome.set("changed", changed | attributes | times);
    }
    Ok(finish(outcome, path, "dest", before, context))
}

fn hard(own: &FileArgs, context: &Context) -> ModuleResult {
    let path = &own.path;
    let previous = state_of(path);
    let before = diff_fields(path);
    let Some(src) = &own.src else {
        if previous == "hard" {
            let changed = own.attributes.apply(path, context.check)? | times(own, path, context, Moment::Preserve)?;
            return Ok(finish(Outcome::new(changed), path, "dest", before, context));
        }
        return Err(Failure::new("src is required for creating new hardlinks").with("dest", text(path)));
    };
    let Ok(source) = fs::metadata(src) else {
        return Err(Failure::new(format!("src does not exist: {}", src.display())).with("dest", text(path)));
    };
    let same = fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == (source.dev(), source.ino()));
    let linked = same && !path.is_symlink();
    if !linked && previous == "directory" {
        return Err(Failure::new(format!("refusing to convert from directory to hard for {}", path.display())));
    }
    if !linked && matches!(previous, "file" | "hard") && !own.force {
        return Err(Failure::new(format!(
            "Cannot link, different hard link exists at destination: {}; use \"force=yes\" to replace it",
            path.display()
        )));
    }
    if !linked && !context.check {
        replace(path, false, |name| fs::hard_link(src, name))?;
    }
    let mut outcome = Outcome::new(!linked).with("src", text(src));
    if linked || !context.check {
        let attributes = own.attributes.apply(path, context.check)?;
        let times = times(own, path, context, Moment::Preserve)?;
        outcome.set("changed", !linked | attributes | times);
    }
    Ok(finish(outcome, path, "dest", before, context))
}

/// Makes a link beside `path` and renames it over: never a moment without the name.
fn replace(path: &Path, is_folder: bool, make: impl Fn(&Path) -> io::Result<()>) -> Result<(), Failure> {
    let failed = |error: io::Error| refused("Error while linking:", path, &error);
    if is_folder {
        fs::remove_dir(path).map_err(failed)?; // a rename cannot replace a folder by a link
    }
    let temporary = temporary_beside(path);
    make(&temporary).map_err(failed)?;
    fs::rename(&temporary, path).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(error)
    })?;
    let _ = fs::remove_file(&temporary); // rename of two links to one file leaves the first
    Ok(())
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = FileArgs::read(args);
}

#[cfg(test)]
mod tests;
