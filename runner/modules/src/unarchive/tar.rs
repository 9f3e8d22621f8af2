//! Members of a tar.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tar::{Archive, Entry, EntryType};

use super::member::{Choice, Kind, Member, inside};
use super::source::Visit;
use crate::outcome::Failure;
use crate::users;

pub(super) fn walk<R: Read>(bytes: R, choice: &Choice, visit: &mut Visit) -> Result<(), Failure> {
    let mut archive = Archive::new(bytes);
    for entry in archive.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        if let Some(member) = member(&entry, choice)? {
            visit(member, &mut entry)?;
        }
    }
    Ok(())
}

fn broken(error: &io::Error) -> Failure {
    Failure::new(format!("this is no archive, or a broken one: {error}"))
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// None for what is not meant.
fn member<R: Read>(entry: &Entry<R>, choice: &Choice) -> Result<Option<Member>, Failure> {
    let name = entry.path_bytes();
    let whole = inside(path_of(&name))?;
    let Some(path) = choice.takes(&whole).then(|| choice.stripped(&whole)).flatten() else { return Ok(None) };
    let header = entry.header();
    let link = entry.link_name_bytes().unwrap_or_default();
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Folder,
        // Some tars of old write a folder as a file whose name ends with a slash.
        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Kind::Folder,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File { size: entry.size() },
        EntryType::Symlink => Kind::Symlink(path_of(&link).to_path_buf()),
        EntryType::Link => match choice.stripped(&inside(path_of(&link))?) {
            Some(target) => Kind::Hardlink(target),
            None => return Ok(None),
        },
        EntryType::XGlobalHeader => return Ok(None),
        other => {
            let words =
                format!("the archive's member '{}' is of a kind that is not unpacked: {other:?}", whole.display());
            return Err(Failure::new(words));
        }
    };
    let slash = if kind == Kind::Folder { "/" } else { "" };
    let listed = if choice.strips() {
        format!("{}{slash}", path.display())
    } else {
        String::from_utf8_lossy(&name).into_owned()
    };
    Ok(Some(Member {
        name: listed,
        path,
        kind,
        mode: header.mode().map_err(|error| broken(&error))? & 0o7777,
        mtime: header.mtime().map_err(|error| broken(&error))?.cast_signed(),
        uid: id(header.username_bytes(), header.uid(), |name| users::by_name(name).map(|user| user.uid))?,
        gid: id(header.groupname_bytes(), header.gid(), |name| users::group_by_name(name).map(|group| group.gid))?,
    }))
}

/// As tar: by name where the host knows it, by number otherwise.
fn id(name: Option<&[u8]>, number: io::Result<u64>, lookup: impl Fn(&str) -> Option<u32>) -> Result<u32, Failure> {
    let name = name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| !name.is_empty());
    if let Some(id) = name.and_then(lookup) {
        return Ok(id);
    }
    Ok(u32::try_from(number.map_err(|error| broken(&error))?).unwrap_or(u32::MAX - 1))
}
