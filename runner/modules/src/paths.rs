//! Paths as Ansible reads them, and files replaced in one step.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// `~`, `~user`, `$NAME` and `${NAME}`, as Python's expanduser and expandvars; what is not set stays as it is.
#[must_use]
pub fn expand(text: &str) -> String {
    expand_user(&expand_variables(text))
}

fn expand_user(text: &str) -> String {
    let Some(rest) = text.strip_prefix('~') else { return text.to_owned() };
    let (user, tail) = rest.split_once('/').map_or((rest, None), |(user, tail)| (user, Some(tail)));
    let home = if user.is_empty() {
        std::env::var("HOME").ok().or_else(|| crate::users::current().map(|user| user.home))
    } else {
        crate::users::by_name(user).map(|user| user.home)
    };
    match (home, tail) {
        (None, _) => text.to_owned(),
        (Some(home), None) => home,
        (Some(home), Some(tail)) => format!("{}/{tail}", home.trim_end_matches('/')),
    }
}

/// `$NAME` and `${NAME}` replaced where the variable is set.
#[must_use]
pub fn expand_variables(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let (name, consumed) = match after.strip_prefix('{') {
            Some(braced) => match braced.find('}') {
                Some(end) => (&braced[..end], end + 2),
                None => ("", 0),
            },
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match std::env::var(name) {
            Ok(value) if !name.is_empty() => out.push_str(&value),
            _ => out.push_str(&rest[dollar..=dollar + consumed]),
        }
        rest = &after[consumed..];
    }
    out.push_str(rest);
    out
}

/// Absolute and without `.` and `..`, by text alone (symbolic links are not followed), as Python's abspath.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut clean = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

/// A name beside `path` that nothing else uses.
#[must_use]
pub fn temporary_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let short: String = name.chars().take(80).collect();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".runner_tmp_{}_{number}_{short}", std::process::id()))
}

/// A file that is removed again unless it is put in place.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    placed: bool,
}

impl Staged {
    /// Writes `data` beside `target`, readable by its owner alone until it is put in place.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(target: &Path, data: &[u8]) -> io::Result<Self> {
        let (staged, mut file) = Self::create(target)?;
        file.write_all(data)?;
        Ok(staged)
    }

    /// The same, for what is written bit by bit.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(target: &Path) -> io::Result<(Self, File)> {
        let path = temporary_beside(target);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(&path)?;
        Ok((Self { path, placed: false }, file))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it over `target`.
    ///
    /// # Errors
    /// When the rename fails, for a file that is a mount point for example.
    pub fn place(mut self, target: &Path) -> io::Result<()> {
        match fs::rename(&self.path, target) {
            Ok(()) => {
                self.placed = true;
                Ok(())
            }
            // A bind-mounted file (a container's /etc/hosts) cannot be replaced, only rewritten.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                let data = fs::read(&self.path)?;
                File::options().write(true).truncate(true).open(target)?.write_all(&data)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}
