//! The bytes of archives: tar, gzip and zip by ourselves, the rest by the host's programs.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::attributes::{group_name, owner_name};
use crate::clock;
use crate::context::Context;
use crate::outcome::Failure;
use crate::paths::Staged;
use crate::process::{INTERRUPTED, find_program, interrupted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Tar,
    Gzip,
    Zip,
    /// By this program of the host.
    By(&'static str),
}

impl Format {
    /// By the words that honours.json lets through.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "tar" => Self::Tar,
            "zip" => Self::Zip,
            "bz2" => Self::By("bzip2"),
            "xz" => Self::By("xz"),
            "zstd" => Self::By("zstd"),
            _ => Self::Gzip,
        }
    }
}

pub(super) struct Entry {
    pub path: PathBuf,
    /// In the archive.
    pub name: String,
    meta: Metadata,
}

impl Entry {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_path_buf(), name: String::new(), meta: fs::symlink_metadata(path)? })
    }

    pub(super) fn is_folder(&self) -> bool {
        self.meta.is_dir()
    }
}

/// # Errors
/// What cannot be read or written, a program that the host lacks.
pub(super) fn archive(format: Format, entries: &[Entry], into: &Staged, context: &Context) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("Error when writing the archive: {error}"));
    let file = File::create(into.path()).map_err(failed)?;
    match format {
        Format::Zip => zip(entries, file).map_err(failed),
        Format::Tar => tar(entries, BufWriter::new(file)).and_then(|mut file| file.flush()).map_err(failed),
        Format::Gzip => {
            let packed = tar(entries, GzEncoder::new(BufWriter::new(file), Compression::default()));
            packed.and_then(GzEncoder::finish).and_then(|mut file| file.flush()).map_err(failed)
        }
        Format::By(_) => {
            let bare = Staged::write(into.path(), b"").map_err(failed)?;
            let bytes = BufWriter::new(File::create(bare.path()).map_err(failed)?);
            tar(entries, bytes).and_then(|mut file| file.flush()).map_err(failed)?;
            compress(format, bare.path(), into, context)
        }
    }
}

/// One file, compressed alone.
pub(super) fn compress(format: Format, source: &Path, into: &Staged, context: &Context) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("Unable to write to compressed file: {error}"));
    let mut file = File::open(source).map_err(failed)?;
    let output = File::create(into.path()).map_err(failed)?;
    let Format::By(program) = format else {
        let mut encoder = GzEncoder::new(BufWriter::new(output), Compression::default());
        io::copy(&mut file, &mut encoder).map_err(failed)?;
        return encoder.finish().and_then(|mut file| file.flush()).map_err(failed);
    };
    let path = find_program(program)
        .ok_or_else(|| Failure::new(format!("this host has no {program}, which makes such an archive")))?;
    let mut command = Command::new(path);
    command.arg("-c").stdin(Stdio::from(file)).stdout(Stdio::from(output)).stderr(Stdio::null());
    command.envs(context.environment.iter().map(|(name, value)| (name, value)));
    let status = command.status().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{program} failed: {status}"))) }
}

fn unless_interrupted() -> io::Result<()> {
    if interrupted().is_some() { Err(io::Error::other(INTERRUPTED)) } else { Ok(()) }
}

fn tar<W: Write>(entries: &[Entry], into: W) -> io::Result<W> {
    let mut builder = Builder::new(into);
    for entry in entries {
        unless_interrupted()?;
        let mut header = Header::new_gnu();
        header.set_metadata(&entry.meta);
        let (owner, group) = (owner_name(entry.meta.uid()), group_name(entry.meta.gid()));
        header.set_username(&owner)?;
        header.set_groupname(&group)?;
        if entry.meta.is_symlink() {
            header.set_size(0);
            builder.append_link(&mut header, &entry.name, fs::read_link(&entry.path)?)?;
        } else if entry.is_folder() {
            header.set_size(0);
            builder.append_data(&mut header, format!("{}/", entry.name), io::empty())?;
        } else if entry.meta.is_file() {
            // A file that grows meanwhile is taken as long as its header says.
            let size = entry.meta.len();
            builder.append_data(&mut header, &entry.name, File::open(&entry.path)?.take(size))?;
        } else {
            return Err(io::Error::other(format!(
                "{} is neither a file nor a folder nor a link",
                entry.path.display()
            )));
        }
    }
    builder.into_inner()
}

fn zip(entries: &[Entry], into: File) -> io::Result<()> {
    let mut writer = ZipWriter::new(BufWriter::new(into));
    for entry in entries {
        unless_interrupted()?;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .large_file(entry.meta.len() > u32::MAX.into())
            .last_modified_time(time(&entry.meta))
            .unix_permissions(entry.meta.mode() & 0o7777);
        if entry.meta.is_symlink() {
            writer.add_symlink(&entry.name, fs::read_link(&entry.path)?.to_string_lossy(), options)?;
        } else if entry.is_folder() {
            writer.add_directory(&entry.name, options)?;
        } else {
            writer.start_file(&entry.name, options)?;
            io::copy(&mut File::open(&entry.path)?, &mut writer)?;
        }
    }
    writer.finish()?.flush()
}

/// A local time in steps of two seconds, from 1980 on.
fn time(meta: &Metadata) -> DateTime {
    let t = clock::local(UNIX_EPOCH + Duration::from_secs(meta.mtime().max(0).unsigned_abs()));
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    let year = u16::try_from(t.year).unwrap_or_default();
    DateTime::from_date_and_time(year, small(t.month), small(t.day), small(t.hour), small(t.minute), small(t.second))
        .unwrap_or_default()
}
