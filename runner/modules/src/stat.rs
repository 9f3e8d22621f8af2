//! stat: what there is to know of a path.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::args::Args;
use crate::attributes::{group_name, owner_name};
use crate::context::Context;
use crate::digest::Algorithm;
use crate::outcome::{Failure, ModuleResult, Outcome};

struct StatArgs {
    path: PathBuf,
    follow: bool,
    checksum: Option<Algorithm>,
}

impl StatArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let algorithm = args.text("checksum_algorithm").unwrap_or_else(|| "sha1".to_owned());
        let wanted = args.flag("get_checksum", true)?;
        Ok(Self {
            path: args.required_path("path")?,
            follow: args.flag("follow", false)?,
            checksum: Algorithm::named(&algorithm).filter(|_| wanted),
        })
    }
}

/// # Errors
/// When the path cannot be looked at, for want of rights for example.
pub(crate) fn run(args: &Args, _context: &Context) -> ModuleResult {
    let own = StatArgs::read(args)?;
    let found = if own.follow { fs::metadata(&own.path) } else { fs::symlink_metadata(&own.path) };
    let meta = match found {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Outcome::new(false).with("stat", json!({"exists": false})));
        }
        Err(error) => return Err(Failure::new(format!("{error}: '{}'", own.path.display()))),
    };
    Ok(Outcome::new(false).with("stat", describe(&own, &meta)))
}

fn describe(own: &StatArgs, meta: &fs::Metadata) -> Value {
    let mode = meta.mode();
    let kind = meta.file_type();
    let has = |bits: u32| mode & bits != 0;
    let time = |seconds: i64, nanos: i64| seconds as f64 + nanos as f64 / 1e9;
    let mut stat = json!({
        "exists": true,
        "path": own.path.to_string_lossy(),
        "mode": format!("{:04o}", mode & 0o7777),
        "isdir": kind.is_dir(), "isreg": kind.is_file(), "islnk": kind.is_symlink(),
        "ischr": kind.is_char_device(), "isblk": kind.is_block_device(),
        "isfifo": kind.is_fifo(), "issock": kind.is_socket(),
        "uid": meta.uid(), "gid": meta.gid(), "size": meta.len(),
        "inode": meta.ino(), "dev": meta.dev(), "nlink": meta.nlink(),
        "atime": time(meta.atime(), meta.atime_nsec()),
        "mtime": time(meta.mtime(), meta.mtime_nsec()),
        "ctime": time(meta.ctime(), meta.ctime_nsec()),
        "blocks": meta.blocks(), "block_size": meta.blksize(), "device_type": meta.rdev(),
        "rusr": has(0o400), "wusr": has(0o200), "xusr": has(0o100),
        "rgrp": has(0o040), "wgrp": has(0o020), "xgrp": has(0o010),
        "roth": has(0o004), "woth": has(0o002), "xoth": has(0o001),
        "isuid": has(0o4000), "isgid": has(0o2000),
        "pw_name": owner_name(meta.uid()), "gr_name": group_name(meta.gid()),
        "readable": allowed(&own.path, libc::R_OK),
        "writeable": allowed(&own.path, libc::W_OK),
        "executable": allowed(&own.path, libc::X_OK),
    });
    if kind.is_symlink()
        && let Ok(target) = fs::read_link(&own.path)
    {
        stat["lnk_target"] = target.to_string_lossy().into();
        let source = fs::canonicalize(&own.path).unwrap_or_else(|_| own.path.with_file_name(&target));
        stat["lnk_source"] = source.to_string_lossy().into();
    }
    if kind.is_file()
        && let Some(algorithm) = own.checksum
        && let Ok(checksum) = algorithm.of_file(&own.path)
    {
        stat["checksum"] = checksum.into();
    }
    stat
}

fn allowed(path: &Path, how: libc::c_int) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(name) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the name ends with a NUL.
    unsafe { libc::access(name.as_ptr(), how) == 0 }
}

/// Reads every argument: see `crate::survey`.
pub(crate) fn survey(args: &Args) {
    let _ = StatArgs::read(args);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(value: &Value) -> Value {
        let args = Args::new("stat", value.as_object().unwrap().clone()).unwrap();
        run(&args, &Context::default()).unwrap().fields["stat"].clone()
    }

    #[test]
    fn files_links_and_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "hello").unwrap();
        let told = stat(&json!({"path": file}));
        assert_eq!((&told["exists"], &told["isreg"], &told["size"]), (&json!(true), &json!(true), &json!(5)));
        assert_eq!(told["checksum"], "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        assert_eq!(stat(&json!({"path": file, "checksum": "md5"}))["checksum"], "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(stat(&json!({"path": file, "get_checksum": "no"})).get("checksum"), None);
        let link = folder.path().join("l");
        std::os::unix::fs::symlink("f", &link).unwrap();
        assert_eq!(stat(&json!({"path": link}))["lnk_target"], "f");
        assert_eq!(stat(&json!({"path": link, "follow": true}))["isreg"], true);
        assert_eq!(stat(&json!({"path": folder.path().join("no")})), json!({"exists": false}));
        assert_eq!(stat(&json!({"path": file.join("below")})), json!({"exists": false}));
    }
}
