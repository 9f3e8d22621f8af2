//! The payload at the end of the executable: docs/runner-contract.md, "The payload".

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use runner_modules::digest::Algorithm;

pub const MAGIC: &[u8; 16] = b"HARNESS-PAYLOAD1";
const TRAILER: u64 = 8 + 32 + 16;

/// The payload's bytes, and their sha256 in hexadecimal.
#[derive(Debug)]
pub struct Embedded {
    pub bytes: Vec<u8>,
    pub sha256: String,
}

/// # Errors
/// Words for a binary that carries no payload, or a damaged one.
pub fn read(executable: &Path) -> Result<Embedded, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", executable.display());
    let mut file = File::open(executable).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let none = "this runner carries no payload: it is a stub that a plan is appended to";
    let Some(begin) = size.checked_sub(TRAILER) else { return Err(none.to_owned()) };
    let mut trailer = [0; TRAILER as usize];
    file.seek(SeekFrom::Start(begin)).map_err(failed)?;
    file.read_exact(&mut trailer).map_err(failed)?;
    let (length, rest) = trailer.split_at(8);
    let (hash, magic) = rest.split_at(32);
    if magic != MAGIC {
        return Err(none.to_owned());
    }
    let length = length.iter().rev().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
    let Some(start) = begin.checked_sub(length) else {
        return Err(format!("the payload is damaged: it claims {length} bytes and the whole file has {size}"));
    };
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(failed)?;
    let sha256 = Algorithm::Sha256.of_bytes(&bytes);
    if sha256 != runner_modules::digest::hex(hash) {
        return Err("the payload is damaged: its sha256 is not the one written beside it".to_owned());
    }
    Ok(Embedded { bytes, sha256 })
}
