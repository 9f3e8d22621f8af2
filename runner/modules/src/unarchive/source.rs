//! An archive: its bytes, what it is, and the walk through its members.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flate2::read::MultiGzDecoder;

use super::member::{Choice, Member};
use super::{tar, zip};
use crate::context::Context;
use crate::fetch::{Request, Url, fetch};
use crate::outcome::Failure;
use crate::paths::Staged;
use crate::process::find_program;

pub(super) trait Bytes: Read + Seek {}
impl<T: Read + Seek> Bytes for T {}

/// Called with each member that is meant and, for a file, its content.
pub(super) type Visit<'a> = dyn FnMut(Member, &mut dyn Read) -> Result<(), Failure> + 'a;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Zip,
    Tar,
    Gzip,
    /// Unpacked by this program of the host.
    By(&'static str),
}

#[derive(Debug)]
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
    Fetched(Staged),
}

#[derive(Debug)]
pub(super) struct Source {
    name: String,
    content: Content,
    form: Form,
}

impl Source {
    pub(super) fn of_bytes(name: String, data: Vec<u8>) -> Result<Self, Failure> {
        Self::new(name, Content::Bytes(data))
    }

    /// Brings an archive to a file of its own, which is removed again at the end.
    pub(super) fn fetched(address: &str, validate_certs: bool, context: &Context) -> Result<Self, Failure> {
        let url = Url::read(address)?;
        let failed = |error: io::Error| Failure::new(format!("cannot keep {}: {error}", url.shown()));
        let staged = Staged::write(&std::env::temp_dir().join("archive"), b"").map_err(failed)?;
        let request = Request { validate_certs, ..Request::new(url.clone()) };
        let reply = fetch(&request, staged.path(), context)?;
        if reply.status != 200 {
            return Err(Failure::new(format!("{} answers {} {}", url.shown(), reply.status, reply.reason)));
        }
        Self::new(url.shown(), Content::Fetched(staged))
    }

    pub(super) fn of_file(path: PathBuf) -> Result<Self, Failure> {
        Self::new(path.to_string_lossy().into_owned(), Content::File(path))
    }

    fn new(name: String, content: Content) -> Result<Self, Failure> {
        let mut source = Self { name, content, form: Form::Tar };
        let mut head = Vec::new();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::new(format!("Source '{}' does not exist", source.name)),
            _ => Failure::new(format!("Source '{}' not readable, {error}", source.name)),
        };
        source.open().and_then(|bytes| bytes.take(8).read_to_end(&mut head)).map_err(failed)?;
        if head.is_empty() {
            return Err(Failure::new(format!("Invalid archive '{}', the file is 0 bytes", source.name)));
        }
        source.form = form(&head);
        Ok(source)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name that Ansible has for what reads it.
    pub(super) fn handler(&self) -> &'static str {
        match self.form {
            Form::Zip => "ZipArchive",
            Form::Tar => "TarArchive",
            Form::Gzip => "TgzArchive",
            Form::By("bzip2") => "TarBzipArchive",
            Form::By("xz") => "TarXzArchive",
            Form::By(_) => "TarZstdArchive",
        }
    }

    fn open(&self) -> io::Result<Box<dyn Bytes + '_>> {
        Ok(match &self.content {
            Content::File(path) => Box::new(BufReader::new(File::open(path)?)),
            Content::Bytes(data) => Box::new(Cursor::new(data)),
            Content::Fetched(staged) => Box::new(BufReader::new(File::open(staged.path())?)),
        })
    }

    /// # Errors
    /// What is no archive, and the visitor's own.
    pub(super) fn walk(&self, choice: &Choice, visit: &mut Visit) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::new(format!("Source '{}' not readable, {error}", self.name));
        let result = match self.form {
            Form::Zip if choice.strips() => Err(Failure::new("extra_opts: unzip has no --strip-components")),
            Form::Zip => zip::walk(self.open().map_err(failed)?, choice, visit),
            Form::Tar => tar::walk(self.open().map_err(failed)?, choice, visit),
            Form::Gzip => tar::walk(MultiGzDecoder::new(self.open().map_err(failed)?), choice, visit),
            Form::By(program) => {
                let mut unpacker = Unpacker::start(program, self)?;
                let walked = tar::walk(&mut unpacker, choice, visit);
                unpacker.end(walked)
            }
        };
        result.map_err(|failure| Failure {
            message: format!("failed to unpack {}: {}", self.name, failure.message),
            fields: failure.fields,
        })
    }
}

/// By its first bytes, not by its name.
fn form(head: &[u8]) -> Form {
    match head {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Form::Zip,
        [0x1f, 0x8b, ..] => Form::Gzip,
        [b'B', b'Z', b'h', ..] => Form::By("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Form::By("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Form::By("zstd"),
        _ => Form::Tar,
    }
}

/// A program of the host that unpacks what it is given.
struct Unpacker {
    program: &'static str,
    child: Child,
    _held: Option<Staged>,
}

impl Unpacker {
    fn start(program: &'static str, source: &Source) -> Result<Self, Failure> {
        let path = find_program(program)
            .ok_or_else(|| Failure::new(format!("this host has no {program}, which unpacks {}", source.name)))?;
        let failed = |error: io::Error| Failure::new(format!("cannot run {program}: {error}"));
        let (file, held) = match &source.content {
            Content::File(path) => (File::open(path).map_err(failed)?, None),
            Content::Fetched(staged) => (File::open(staged.path()).map_err(failed)?, None),
            Content::Bytes(data) => {
                let staged = Staged::write(&std::env::temp_dir().join(Path::new("archive")), data).map_err(failed)?;
                (File::open(staged.path()).map_err(failed)?, Some(staged))
            }
        };
        let mut command = Command::new(path);
        command.arg("-dc").stdin(Stdio::from(file)).stdout(Stdio::piped()).stderr(Stdio::null());
        Ok(Self { program, child: command.spawn().map_err(failed)?, _held: held })
    }

    /// The walk's result, unless the program failed: then that is the reason of what the walk met.
    fn end(mut self, walked: Result<(), Failure>) -> Result<(), Failure> {
        if walked.is_ok() {
            // What follows the archive's end is read too, so that the program can end.
            let _ = io::copy(&mut self, &mut io::sink());
        }
        drop(self.child.stdout.take());
        match self.child.wait() {
            Ok(status) if walked.is_ok() && !status.success() => {
                Err(Failure::new(format!("{} failed: {status}", self.program)))
            }
            _ => walked,
        }
    }
}

impl Read for Unpacker {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.child.stdout.as_mut().map_or(Ok(0), |output| output.read(buffer))
    }
}
