//! A member against what lies at its path.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::member::{Kind, Member};
use crate::attributes::{Attributes, umask};
use crate::outcome::Failure;
use crate::users;

/// What of a member differs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Differences {
    /// Nothing is there, or something of another kind.
    pub absent: bool,
    pub content: bool,
    pub size: bool,
    pub mtime: bool,
    pub mode: bool,
    pub owner: bool,
    pub group: bool,
}

impl Differences {
    pub(super) fn any(self) -> bool {
        self != Self::default()
    }

    /// Whether the file is to be written anew: a time alone can be set, content cannot.
    pub(super) fn whole(self) -> bool {
        self.absent || self.content || self.size
    }

    /// Rsync's itemized words, as Ansible has them.
    pub(super) fn line(self, member: &Member) -> String {
        let kind = match member.kind {
            Kind::Folder => 'd',
            Kind::Symlink(_) => 'L',
            _ => 'f',
        };
        if self.absent {
            return format!(">{kind}++++++.?? {}\n", member.name);
        }
        let letter = |set: bool, letter: char| if set { letter } else { '.' };
        let flags = [
            (self.content, 'c'),
            (self.size, 's'),
            (self.mtime, 't'),
            (self.mode, 'p'),
            (self.owner, 'o'),
            (self.group, 'g'),
        ];
        let flags: String = flags.into_iter().map(|(set, name)| letter(set, name)).collect();
        format!(".{kind}{flags}.?? {}\n", member.name)
    }
}

/// What members are compared with.
pub(super) struct Known<'a> {
    dest: &'a Path,
    attributes: &'a Attributes,
    keep_newer: bool,
    root: bool,
    umask: u32,
}

impl<'a> Known<'a> {
    pub(super) fn new(dest: &'a Path, attributes: &'a Attributes, keep_newer: bool) -> Self {
        Self { dest, attributes, keep_newer, root: users::effective_uid() == 0, umask: umask() }
    }

    /// # Errors
    /// When one of the two cannot be read.
    pub(super) fn differences(&mut self, member: &Member, data: &mut dyn Read) -> Result<Differences, Failure> {
        let path = self.dest.join(&member.path);
        let absent = Differences { absent: true, ..Differences::default() };
        let Ok(meta) = fs::symlink_metadata(&path) else { return Ok(absent) };
        let same_kind = match &member.kind {
            Kind::Folder => meta.is_dir() || path.is_dir(), // a link of the host's own to a folder will do, as for tar
            Kind::File { .. } => meta.is_file(),
            Kind::Symlink(target) => fs::read_link(&path).is_ok_and(|now| now == *target),
            Kind::Hardlink(target) => is_same(&meta, &self.dest.join(target)),
        };
        if !same_kind {
            return Ok(absent);
        }
        let mut found = match member.kind {
            Kind::File { size } => {
                if self.keep_newer && meta.mtime() > member.mtime {
                    return Ok(Differences::default());
                }
                let size_differs = meta.len() != size;
                let content = size_differs || !equal(&path, data).map_err(|error| unreadable(&path, &error))?;
                Differences {
                    content,
                    size: size_differs,
                    mtime: meta.mtime() != member.mtime,
                    ..Differences::default()
                }
            }
            Kind::Folder => Differences::default(),
            Kind::Symlink(_) | Kind::Hardlink(_) => return Ok(Differences::default()),
        };
        self.add_attributes(member, &meta, &mut found);
        Ok(found)
    }

    /// What the task sets itself is no difference: it is looked after by itself.
    fn add_attributes(&self, member: &Member, meta: &Metadata, found: &mut Differences) {
        if meta.is_symlink() {
            return;
        }
        let wanted = if self.root { member.mode } else { member.mode & !self.umask };
        found.mode = self.attributes.mode.is_none() && meta.mode() & 0o7777 != wanted;
        found.owner = self.root && self.attributes.uid.is_none() && meta.uid() != member.uid;
        found.group = self.root && self.attributes.gid.is_none() && meta.gid() != member.gid;
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} or its member cannot be read: {error}", path.display()))
}

fn is_same(meta: &Metadata, other: &Path) -> bool {
    fs::symlink_metadata(other).is_ok_and(|other| (other.dev(), other.ino()) == (meta.dev(), meta.ino()))
}

fn equal(path: &Path, data: &mut dyn Read) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let count = fill(&mut file, &mut left)?;
        if count != fill(data, &mut right)? || left[..count] != right[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match source.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
