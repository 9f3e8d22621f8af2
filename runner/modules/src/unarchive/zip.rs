//! Members of a zip.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use zip::extra_fields::ExtraField;
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{DateTime, ZipArchive};

use super::member::{Choice, Kind, Member, inside};
use super::source::Visit;
use crate::attributes::umask;
use crate::clock;
use crate::outcome::Failure;
use crate::users;

const LONGEST_LINK: u64 = 4096;

pub(super) fn walk<R: Read + Seek>(bytes: R, choice: &Choice, visit: &mut Visit) -> Result<(), Failure> {
    let mut archive = ZipArchive::new(bytes).map_err(|error| broken(&error))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| broken(&error))?;
        if let Some(member) = member(&mut entry, choice)? {
            visit(member, &mut entry)?;
        }
    }
    Ok(())
}

fn broken(error: &ZipError) -> Failure {
    Failure::new(format!("this is no archive, or a broken one: {error}"))
}

fn member<R: Read>(entry: &mut ZipFile<R>, choice: &Choice) -> Result<Option<Member>, Failure> {
    let name = entry.name().to_owned();
    let path = inside(Path::new(&name))?;
    if !choice.takes(&path) {
        return Ok(None);
    }
    let kind = if entry.is_dir() {
        Kind::Folder
    } else if entry.is_symlink() {
        Kind::Symlink(link(entry)?)
    } else {
        Kind::File { size: entry.size() }
    };
    // What has no mode of Unix is for all, less what the umask takes away; unzip sets no set-id bits.
    let bare = if kind == Kind::Folder { 0o777 } else { 0o666 };
    let mode = entry.unix_mode().map_or(bare & !umask(), |mode| mode & 0o777);
    Ok(Some(Member {
        name,
        path,
        kind,
        mode,
        mtime: mtime(entry),
        uid: users::effective_uid(),
        gid: users::effective_gid(),
    }))
}

fn link<R: Read>(entry: &mut ZipFile<R>) -> Result<PathBuf, Failure> {
    let mut target = String::new();
    let read = entry.take(LONGEST_LINK).read_to_string(&mut target);
    read.map_err(|error| Failure::new(format!("a symbolic link of the archive cannot be read: {error}")))?;
    Ok(PathBuf::from(target))
}

/// The time in UTC, where the archive has it; the other is a local one, in steps of two seconds.
fn mtime<R: Read>(entry: &ZipFile<R>) -> i64 {
    let exact = entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time(),
        _ => None,
    });
    exact.map_or_else(|| entry.last_modified().and_then(local).unwrap_or_default(), i64::from)
}

fn local(time: DateTime) -> Option<i64> {
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    clock::parse_local(&text, "%Y%m%d%H%M%S")
}
