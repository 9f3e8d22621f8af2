//! Symbolic and hard links.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{FileArgs, Moment, finish, refused, text, times};
use crate::attributes::{diff_fields, state_of};
use crate::context::Context;
use crate::outcome::{Failure, ModuleResult, Outcome};
use crate::paths::temporary_beside;

pub(super) fn link(own: &FileArgs, context: &Context) -> ModuleResult {
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

pub(super) fn hard(own: &FileArgs, context: &Context) -> ModuleResult {
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
