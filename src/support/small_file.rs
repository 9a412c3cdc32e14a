//! A small file of JSON that appears whole or not at all, for this user only.
//!
//! A crash leaves the old file or the new one, never half of one; what was written is on disk when
//! the call returns. It blocks, so async callers take a blocking thread. Two writers at a time are
//! the caller's to prevent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads it; `None` where there is none yet.
///
/// # Errors
/// Why it is of no use: what the system says, or what is wrong with its text. Of a file longer than
/// `bytes_max` only the beginning is looked at.
pub fn read<T: DeserializeOwned>(path: &Path, bytes_max: u64) -> Result<Option<T>, String> {
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(bytes_max).read_to_string(&mut text));
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(_) => serde_json::from_str(&text).map(Some).map_err(|error| error.to_string()),
    }
}

/// Replaces it.
///
/// # Errors
/// The system's; the old file is then still there.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(value).map_err(io::Error::other)?;
    let new = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}
