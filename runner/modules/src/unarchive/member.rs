//! What an archive holds, which of it is meant, and where it may lie.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use glob::Pattern;

use crate::outcome::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File {
        size: u64,
    },
    Symlink(PathBuf),
    /// Another name of a member, by its path below the destination.
    Hardlink(PathBuf),
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    /// As listed.
    pub name: String,
    /// Below the destination, without `.`.
    pub path: PathBuf,
    pub kind: Kind,
    pub mode: u32,
    /// Seconds since the epoch.
    pub mtime: i64,
    pub uid: u32,
    pub gid: u32,
}

/// `include`, `exclude`, and tar's `--strip-components`.
#[derive(Debug, Default)]
pub(super) struct Choice {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    strip: usize,
}

impl Choice {
    pub(super) fn read(include: Vec<String>, exclude: Vec<String>, options: Vec<String>) -> Result<Self, Failure> {
        if !include.is_empty() && !exclude.is_empty() {
            return Err(Failure::new("parameters are mutually exclusive: include|exclude"));
        }
        let patterns = |words: Vec<String>| -> Result<Vec<Pattern>, Failure> {
            let read = words.iter().map(|word| Pattern::new(word.trim_end_matches('/')));
            read.collect::<Result<_, _>>().map_err(|error| Failure::new(format!("include or exclude: {error}")))
        };
        let mut own = Self { include: patterns(include)?, exclude: patterns(exclude)?, strip: 0 };
        for option in options {
            // honours.json lets no others through
            let count = option.split_once('=').and_then(|(_, count)| count.parse().ok());
            own.strip = count.ok_or_else(|| Failure::new(format!("extra_opts: {option} is not honoured")))?;
        }
        Ok(own)
    }

    pub(super) fn is_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty() && self.strip == 0
    }

    pub(super) fn strips(&self) -> bool {
        self.strip > 0
    }

    /// Whether a member is meant: by its name, or by that of a folder it lies in.
    pub(super) fn takes(&self, path: &Path) -> bool {
        let names: Vec<String> = path.ancestors().map(|folder| folder.to_string_lossy().into_owned()).collect();
        let fits = |pattern: &Pattern, name: &str| pattern.matches(name);
        if !self.include.is_empty() {
            return self.include.iter().any(|pattern| names.iter().any(|name| fits(pattern, name)));
        }
        // tar's patterns begin at any part of a name
        let tails = |name: &str| {
            let starts: Vec<usize> = name.match_indices('/').map(|(at, _)| at + 1).collect();
            std::iter::once(0).chain(starts).map(|at| name[at..].to_owned()).collect::<Vec<_>>()
        };
        !self.exclude.iter().any(|pattern| names.iter().any(|name| tails(name).iter().any(|tail| fits(pattern, tail))))
    }

    /// A path with its first parts stripped. None where nothing is left of it.
    pub(super) fn stripped(&self, path: &Path) -> Option<PathBuf> {
        let rest: PathBuf = path.components().skip(self.strip).collect();
        (self.strip == 0 || !rest.as_os_str().is_empty()).then_some(rest)
    }
}

/// A member's name as a path below the destination.
///
/// # Errors
/// A name that leads out of it.
pub(super) fn inside(name: &Path) -> Result<PathBuf, Failure> {
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Failure::new(format!(
                    "the archive's member '{}' would lie outside dest: nothing was unpacked",
                    name.display()
                )));
            }
        }
    }
    Ok(path)
}

/// Refuses what would be written through a symbolic link of the archive's own.
#[derive(Debug, Default)]
pub(super) struct Safe {
    links: BTreeSet<PathBuf>,
}

impl Safe {
    pub(super) fn check(&mut self, member: &Member) -> Result<(), Failure> {
        let beyond = |path: &Path| path.ancestors().skip(1).any(|folder| self.links.contains(folder));
        let through = match &member.kind {
            Kind::Hardlink(target) => beyond(target) || self.links.contains(target),
            Kind::Folder => self.links.contains(&member.path),
            _ => false,
        };
        if through || beyond(&member.path) {
            let words = "would be written through a symbolic link of the archive: nothing was unpacked";
            return Err(Failure::new(format!("the archive's member '{}' {words}", member.name)));
        }
        if matches!(member.kind, Kind::Symlink(_)) {
            self.links.insert(member.path.clone());
        }
        Ok(())
    }
}
