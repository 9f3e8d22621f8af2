//! A file's new content, put in place in one step: copy, template and lineinfile share it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;

use crate::args::Args;
use crate::attributes::{Attributes, umask};
use crate::clock;
use crate::command::split_words;
use crate::context::Context;
use crate::outcome::{Failure, Outcome};
use crate::paths::Staged;
use crate::process::{Invocation, tool};

/// What the modules that write a file have in common.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    pub attributes: Attributes,
    pub backup: bool,
    pub validate: Option<String>,
}

impl Writing {
    /// # Errors
    /// Malformed arguments.
    pub(crate) fn read(args: &Args) -> Result<Self, Failure> {
        let validate = args.text("validate");
        if let Some(command) = &validate
            && !command.contains("%s")
        {
            return Err(Failure::new(format!("validate must contain %s: {command}")));
        }
        Ok(Self { attributes: Attributes::read(args)?, backup: args.flag("backup", false)?, validate })
    }

    /// Replaces what `dest` holds by `data`. A file that is there keeps its mode and owner; a new one gets the
    /// umask's. Returns the backup's path where one was asked for and there was something to keep.
    ///
    /// # Errors
    /// When validation fails or the system refuses; `dest` is as it was then.
    pub(crate) fn replace(&self, dest: &Path, data: &[u8], context: &Context) -> Result<Option<PathBuf>, Failure> {
        let staged = Staged::write(dest, data)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", dest.display())))?;
        self.put(staged, dest, context)
    }

    /// The same, with a file that holds the data already.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub(crate) fn put(&self, staged: Staged, dest: &Path, context: &Context) -> Result<Option<PathBuf>, Failure> {
        let failed = |what: &str, error: std::io::Error| Failure::new(format!("{what} {}: {error}", dest.display()));
        self.check(staged.path(), context)?;
        let backup = if self.backup && dest.exists() { Some(back_up(dest)?) } else { None };
        let (mode, owner) = match fs::symlink_metadata(dest) {
            Ok(meta) if meta.is_file() => (meta.mode() & 0o7777, Some((meta.uid(), meta.gid()))),
            _ => (0o666 & !umask(), None),
        };
        if let Some((uid, gid)) = owner {
            // Only root may give files away; who may not becomes their owner, as with any editor.
            let _ = std::os::unix::fs::chown(staged.path(), Some(uid), Some(gid));
        }
        fs::set_permissions(staged.path(), fs::Permissions::from_mode(mode))
            .map_err(|error| failed("cannot set the mode of", error))?;
        // Before it is in place, so that a secret is never readable for longer than the task wants.
        self.attributes.apply(staged.path(), false)?;
        staged.place(dest).map_err(|error| failed("cannot replace", error))?;
        Ok(backup)
    }

    fn check(&self, file: &Path, context: &Context) -> Result<(), Failure> {
        let Some(command) = &self.validate else { return Ok(()) };
        let line = command.replace("%s", &file.to_string_lossy());
        let argv = split_words(&line).filter(|words| !words.is_empty());
        let argv = argv.ok_or_else(|| Failure::new(format!("validate is no command: {command}")))?;
        let done = tool(&Invocation::new(argv), context)?;
        if done.rc == 0 {
            return Ok(());
        }
        Err(Failure::new("failed to validate")
            .with("exit_status", done.rc)
            .with("stdout", done.out())
            .with("stderr", done.err()))
    }
}

fn back_up(dest: &Path) -> Result<PathBuf, Failure> {
    let t = clock::local(SystemTime::now());
    let name = format!(
        "{}.{}.{:04}-{:02}-{:02}@{:02}:{:02}:{:02}~",
        dest.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id(),
        t.year,
        t.month,
        t.day,
        t.hour,
        t.minute,
        t.second
    );
    let backup = dest.with_file_name(name);
    let failed =
        |error| Failure::new(format!("Could not make backup of {} to {}: {error}", dest.display(), backup.display()));
    fs::copy(dest, &backup).map_err(failed)?;
    if let Ok(meta) = fs::metadata(dest) {
        let _ = std::os::unix::fs::chown(&backup, Some(meta.uid()), Some(meta.gid()));
    }
    Ok(backup)
}

/// Ansible's diff of a file's text. What is no text, or too long to read, is only named.
pub(crate) fn add_text_diff(outcome: &mut Outcome, dest: &Path, before: Option<&[u8]>, after: &[u8]) {
    const MOST: usize = 100 * 1024; // Ansible's MAX_FILE_SIZE_FOR_DIFF
    let shown = |bytes: &[u8]| {
        if bytes.len() > MOST {
            return "(longer than 100 KiB: not shown)\n".to_owned();
        }
        std::str::from_utf8(bytes).map_or_else(|_| "(binary: not shown)\n".to_owned(), str::to_owned)
    };
    outcome.set(
        "diff",
        json!([{
            "before_header": dest.to_string_lossy(),
            "after_header": dest.to_string_lossy(),
            "before": before.map(shown).unwrap_or_default(),
            "after": shown(after),
        }]),
    );
}
