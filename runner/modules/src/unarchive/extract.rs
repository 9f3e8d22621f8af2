//! Members put in place: each file beside its target first, folders' times and modes last.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::compare::Differences;
use super::member::{Choice, Kind, Member};
use super::source::Source;
use crate::attributes::{set_times, umask};
use crate::outcome::{Failure, Outcome};
use crate::paths::Staged;
use crate::process::{INTERRUPTED, interrupted};
use crate::users;

/// Writes every member that differs. `found` is what the walk through the same source has found before.
pub(super) fn extract(
    source: &Source,
    choice: &Choice,
    dest: &Path,
    found: &[(Member, Differences)],
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let mut wanted = found.iter();
    let mut folders: Vec<&Member> = Vec::new();
    source.walk(choice, &mut |member, data| {
        let Some((known, differences)) = wanted.next().filter(|(known, _)| known.path == member.path) else {
            return Err(Failure::new("the archive has changed while it was unpacked"));
        };
        if interrupted().is_some() {
            return Err(Failure::new(INTERRUPTED));
        }
        if !differences.any() {
            return Ok(());
        }
        let path = dest.join(&member.path);
        put(&member, *differences, &path, dest, data)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
        if member.kind == Kind::Folder {
            folders.push(known);
        }
        outcome.artifacts.push(path);
        Ok(())
    })?;
    // From within outwards: a folder that nobody may write to is filled by then.
    for member in folders.into_iter().rev() {
        let path = dest.join(&member.path);
        finish(member, &path)
            .map_err(|error| Failure::new(format!("cannot set the attributes of {}: {error}", path.display())))?;
    }
    Ok(())
}

fn put(member: &Member, differences: Differences, path: &Path, dest: &Path, data: &mut dyn Read) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match &member.kind {
        Kind::Folder if path.is_dir() => Ok(()),
        Kind::Folder => {
            remove(path)?;
            fs::create_dir(path)
        }
        Kind::File { .. } if !differences.whole() => finish(member, path),
        Kind::File { .. } => {
            let (staged, mut file) = Staged::create(path)?;
            io::copy(data, &mut file)?;
            finish(member, staged.path())?;
            staged.place(path)
        }
        Kind::Symlink(target) => {
            let beside = crate::paths::temporary_beside(path);
            std::os::unix::fs::symlink(target, &beside)?;
            if users::effective_uid() == 0 {
                std::os::unix::fs::lchown(&beside, Some(member.uid), Some(member.gid))?;
            }
            rename(beside, path)
        }
        Kind::Hardlink(target) => {
            let beside = crate::paths::temporary_beside(path);
            fs::hard_link(dest.join(target), &beside)?;
            rename(beside, path)
        }
    }
}

fn rename(from: PathBuf, to: &Path) -> io::Result<()> {
    fs::rename(&from, to).inspect_err(|_| {
        let _ = fs::remove_file(&from);
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Owner, mode and time, in an order in which none undoes another.
fn finish(member: &Member, path: &Path) -> io::Result<()> {
    let mut mode = member.mode;
    if users::effective_uid() == 0 {
        std::os::unix::fs::chown(path, Some(member.uid), Some(member.gid))?;
    } else {
        mode &= !umask();
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    set_times(path, None, Some((member.mtime, 0)))
}
