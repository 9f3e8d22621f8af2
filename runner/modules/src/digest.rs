//! Checksums of files and bytes, in Python's hexadecimal spelling.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "md5" => Self::Md5,
            "sha1" => Self::Sha1,
            "sha224" => Self::Sha224,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    /// # Errors
    /// When the source cannot be read.
    pub fn of(self, source: impl Read) -> io::Result<String> {
        match self {
            Self::Md5 => digest::<Md5>(source),
            Self::Sha1 => digest::<Sha1>(source),
            Self::Sha224 => digest::<Sha224>(source),
            Self::Sha256 => digest::<Sha256>(source),
            Self::Sha384 => digest::<Sha384>(source),
            Self::Sha512 => digest::<Sha512>(source),
        }
    }

    /// # Errors
    /// When the file cannot be read.
    pub fn of_file(self, path: &Path) -> io::Result<String> {
        self.of(File::open(path)?)
    }

    #[must_use]
    pub fn of_bytes(self, bytes: &[u8]) -> String {
        self.of(bytes).unwrap_or_default() // reading a slice cannot fail
    }
}

fn digest<D: Digest>(mut source: impl Read) -> io::Result<String> {
    let mut hash = D::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(Algorithm::Sha1.of_bytes(b"hello"), "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        assert_eq!(Algorithm::Md5.of_bytes(b"hello"), "5d41402abc4b2a76b9719d911017c592");
        assert!(Algorithm::Sha256.of_bytes(b"").starts_with("e3b0c44298fc1c14"));
    }
}
