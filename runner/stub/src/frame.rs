//! Secrets, and then the part that is to be run, come in a frame each on stdin: a length (4 bytes, big endian) and
//! that many bytes of JSON.

use std::collections::BTreeMap;
use std::io::Read;

/// More than any of them needs; a wrong length must not make the runner wait for gigabytes.
const MOST: u32 = 64 * 1024 * 1024;

/// One frame's bytes; None where stdin ends before it is whole.
///
/// # Errors
/// Words for a length that cannot be meant.
fn one(input: &mut impl Read, what: &str) -> Result<Option<Vec<u8>>, String> {
    let mut length = [0; 4];
    if input.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let length = u32::from_be_bytes(length);
    if length > MOST {
        return Err(format!("the frame of {what} claims {length} bytes"));
    }
    let mut bytes = vec![0; length as usize];
    Ok(input.read_exact(&mut bytes).is_ok().then_some(bytes))
}

/// The frame of a part, behind that of the secrets.
///
/// # Errors
/// Words for a frame that is missing.
pub(crate) fn part(mut input: impl Read) -> Result<Vec<u8>, String> {
    one(&mut input, "the part")?.ok_or_else(|| "--part needs the part on stdin, as a length and JSON".to_owned())
}

/// Reads the frame where the payload names secrets; touches stdin in no other case.
///
/// # Errors
/// Words for a frame that is missing, malformed or lacks a secret.
pub(crate) fn read(mut input: impl Read, names: &[String]) -> Result<BTreeMap<String, String>, String> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted = names.join(", ");
    let missing = || format!("this plan needs secrets on stdin ({wanted}), as a length and JSON");
    let bytes = one(&mut input, "secrets")?.ok_or_else(missing)?;
    // The error of the parser could quote a secret, so it is not passed on.
    let secrets: BTreeMap<String, String> = serde_json::from_slice(&bytes)
        .map_err(|_| "the frame of secrets is not a JSON object of strings".to_owned())?;
    let absent: Vec<&str> = names.iter().filter(|name| !secrets.contains_key(*name)).map(String::as_str).collect();
    if absent.is_empty() { Ok(secrets) } else { Err(format!("missing secrets: {}", absent.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(json: &str) -> Vec<u8> {
        let length = u32::try_from(json.len()).unwrap();
        [&length.to_be_bytes(), json.as_bytes()].concat()
    }

    #[test]
    fn frames() {
        let names = ["A".to_owned()];
        assert_eq!(read(framed(r#"{"A": "x"}"#).as_slice(), &names).unwrap()["A"], "x");
        assert!(read(framed(r#"{"B": "x"}"#).as_slice(), &names).unwrap_err().contains("missing secrets: A"));
        let error = read(framed(r#"{"A": hunter2"#).as_slice(), &names).unwrap_err();
        assert!(!error.contains("hunter2"));
        assert!(read([0, 0].as_slice(), &names).is_err() && read([255; 8].as_slice(), &names).is_err());
        assert!(read([].as_slice(), &[]).unwrap().is_empty());
    }
}
