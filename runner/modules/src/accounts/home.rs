//! A home that is missing: made from the skeleton, as useradd makes it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::outcome::Failure;
use crate::users::User;

/// # Errors
/// When the system refuses.
pub(super) fn make(user: &User, skeleton: Option<&str>) -> Result<(), Failure> {
    let home = Path::new(&user.home);
    let failed = |error: io::Error| Failure::new(format!("cannot make the home {}: {error}", user.home));
    let skeleton = Path::new(skeleton.unwrap_or("/etc/skel"));
    fs::create_dir_all(home).map_err(failed)?;
    if skeleton.is_dir() {
        copy(skeleton, home).map_err(failed)?;
    }
    if let Ok(defaults) = fs::read_to_string("/etc/login.defs") {
        fs::set_permissions(home, fs::Permissions::from_mode(mode(&defaults))).map_err(failed)?;
    }
    give(home, user).map_err(failed)
}

/// HOME_MODE, or what UMASK leaves: login.defs(5).
pub(super) fn mode(defaults: &str) -> u32 {
    let setting = |name: &str| {
        let mut lines = defaults.lines().filter_map(|line| line.strip_prefix(name));
        lines.find_map(|rest| u32::from_str_radix(rest.trim(), 8).ok().filter(|_| rest.starts_with([' ', '\t'])))
    };
    setting("HOME_MODE").or_else(|| setting("UMASK").map(|umask| 0o777 & !umask)).unwrap_or(0o755)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, dest) = (entry.path(), to.join(entry.file_name()));
        let meta = fs::symlink_metadata(&source)?;
        if meta.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &dest)?;
        } else if meta.is_dir() {
            fs::create_dir_all(&dest)?;
            fs::set_permissions(&dest, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
            copy(&source, &dest)?;
        } else {
            fs::copy(&source, &dest)?;
        }
    }
    Ok(())
}

/// Everything below `path` to the user; what links lead to is not theirs.
fn give(path: &Path, user: &User) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    Ok(())
}
