//! A small file of JSON that appears whole or not at all, for this user only.
//!
//! A crash leaves the old file or the new one, never half of one; what was written is on disk when
//! the call returns. It blocks, so async callers take a blocking thread. Two writers at a time are
//! the caller's to prevent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::plain_file::{self, Origin};

/// Reads it; `None` where there is none yet.
///
/// # Errors
/// Why it is of no use: what the system says, what was found instead of a plain file of at most
/// `bytes_max` bytes, or what is wrong with its text.
pub fn read<T: DeserializeOwned>(path: &Path, bytes_max: u64) -> Result<Option<T>, String> {
    match plain_file::read(path, bytes_max, Origin::Own) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string()),
    }
}

/// Replaces it.
///
/// # Errors
/// The system's; the old file is then still there.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(value).map_err(io::Error::other)?;
    let new = path.with_extension("new");
    // Left by a crash or put there by another program; a link would lead the write elsewhere.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}
