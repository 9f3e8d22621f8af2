//! Owner, group and mode of a file, and what Ansible reports of one.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::args::Args;
use crate::mode::Mode;
use crate::outcome::{Failure, Fields, Outcome};
use crate::users;

/// What a task wants of a file. Names are looked up once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub mode: Option<Mode>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

impl Attributes {
    /// Reads `mode`, `owner` and `group`.
    ///
    /// # Errors
    /// A malformed mode, an unknown user or group.
    pub(crate) fn read(args: &Args) -> Result<Self, Failure> {
        Ok(Self {
            mode: args.value("mode").map(Mode::read).transpose()?,
            uid: args.text("owner").map(|name| uid_of(&name)).transpose()?,
            gid: args.text("group").map(|name| gid_of(&name)).transpose()?,
        })
    }

    /// Makes `path` as wanted; a symbolic link itself, not what it points to. True when something differed.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn apply(&self, path: &Path, check: bool) -> Result<bool, Failure> {
        let failed =
            |what: &str, error: io::Error| Failure::new(format!("{what} failed for {}: {error}", path.display()));
        let meta = fs::symlink_metadata(path).map_err(|error| failed("stat", error))?;
        let uid = self.uid.filter(|uid| *uid != meta.uid());
        let gid = self.gid.filter(|gid| *gid != meta.gid());
        let mut changed = uid.is_some() || gid.is_some();
        if changed && !check {
            std::os::unix::fs::lchown(path, uid, gid)
                .map_err(|error| failed(if uid.is_some() { "chown" } else { "chgrp" }, error))?;
        }
        let Some(mode) = &self.mode else { return Ok(changed) };
        if meta.is_symlink() {
            return Ok(changed); // Linux has no lchmod
        }
        let current = meta.mode() & 0o7777;
        let wanted = mode.resolve(current, meta.is_dir(), umask());
        if current != wanted {
            changed = true;
        }
        // chown may have taken setuid bits away, so what is there now counts
        let now = if check { wanted } else { fs::symlink_metadata(path).map_or(current, |meta| meta.mode() & 0o7777) };
        if now != wanted && !check {
            fs::set_permissions(path, fs::Permissions::from_mode(wanted)).map_err(|error| failed("chmod", error))?;
        }
        Ok(changed)
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.mode.is_none() && self.uid.is_none() && self.gid.is_none()
    }
}

fn uid_of(name: &str) -> Result<u32, Failure> {
    users::by_name(name)
        .map(|user| user.uid)
        .or_else(|| name.parse().ok())
        .ok_or_else(|| Failure::new(format!("chown failed: failed to look up user {name}")))
}

fn gid_of(name: &str) -> Result<u32, Failure> {
    users::group_by_name(name)
        .map(|group| group.gid)
        .or_else(|| name.parse().ok())
        .ok_or_else(|| Failure::new(format!("chgrp failed: failed to look up group {name}")))
}

#[must_use]
#[allow(clippy::useless_conversion)] // a mode is 16 bits on some targets
pub(crate) fn umask() -> u32 {
    // SAFETY: umask cannot fail; the runner has one thread, so nobody sees the zero in between.
    unsafe {
        let mask = libc::umask(0o022);
        libc::umask(mask);
        mask.into()
    }
}

/// Ansible's word for what lies at a path.
#[must_use]
pub(crate) fn state_of(path: &Path) -> &'static str {
    match fs::symlink_metadata(path) {
        Err(_) => "absent",
        Ok(meta) => state_of_meta(&meta),
    }
}

fn state_of_meta(meta: &Metadata) -> &'static str {
    if meta.is_symlink() {
        "link"
    } else if meta.is_dir() {
        "directory"
    } else if meta.nlink() > 1 {
        "hard"
    } else {
        "file"
    }
}

#[must_use]
pub(crate) fn owner_name(uid: u32) -> String {
    users::by_uid(uid).map_or_else(|| uid.to_string(), |user| user.name)
}

#[must_use]
pub(crate) fn group_name(gid: u32) -> String {
    users::group_by_gid(gid).map_or_else(|| gid.to_string(), |group| group.name)
}

/// As the file modules of Ansible write a mode: 0644, 01777 (stat has no zero before four digits).
fn mode_text(mode: u32) -> String {
    format!("0{:03o}", mode & 0o7777)
}

/// Adds what every file module of Ansible returns: uid, gid, owner, group, mode, state, size.
pub(crate) fn add_path_info(outcome: &mut Outcome, path: &Path) {
    let Ok(meta) = fs::symlink_metadata(path) else {
        outcome.set("state", "absent");
        return;
    };
    outcome.set("uid", meta.uid());
    outcome.set("gid", meta.gid());
    outcome.set("owner", owner_name(meta.uid()));
    outcome.set("group", group_name(meta.gid()));
    outcome.set("mode", mode_text(meta.mode()));
    outcome.set("state", state_of_meta(&meta));
    outcome.set("size", meta.len());
}

/// Sets access and modification time; None leaves one as it is.
///
/// # Errors
/// When the system refuses.
pub(crate) fn set_times(path: &Path, access: Option<(i64, i64)>, modification: Option<(i64, i64)>) -> io::Result<()> {
    let spec = |time: Option<(i64, i64)>| libc::timespec {
        tv_sec: time.map_or(0, |(seconds, _)| seconds as libc::time_t),
        #[allow(clippy::unnecessary_cast)] // a long is 32 bits on some targets
        tv_nsec: time.map_or(libc::UTIME_OMIT, |(_, nanos)| nanos as libc::c_long),
    };
    let times = [spec(access), spec(modification)];
    let name = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name ends with a NUL and the array has the two entries that utimensat reads.
    let status = unsafe { libc::utimensat(libc::AT_FDCWD, name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What `diff` says of a file's attributes before and after.
#[must_use]
pub(crate) fn diff_fields(path: &Path) -> Fields {
    let mut fields = Fields::new();
    fields.insert("path".to_owned(), path.to_string_lossy().into_owned().into());
    fields.insert("state".to_owned(), state_of(path).into());
    if let Ok(meta) = fs::symlink_metadata(path) {
        fields.insert("mode".to_owned(), mode_text(meta.mode()).into());
        fields.insert("owner".to_owned(), meta.uid().into());
        fields.insert("group".to_owned(), meta.gid().into());
    }
    fields
}
