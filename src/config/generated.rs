//! Secrets that are not configured: generated once, kept in the data directory, and reused.
//!
//! A file appears whole or not at all and is readable by its owner only; of two processes that
//! start at once both end up with the same secret. `config check` never comes here, so it writes
//! nothing.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::auth::{ADMIN_TOKEN_BYTES_MIN, JWT_SECRET_BYTES_MIN};
use super::invalid::Invalid;
use super::layer::{SECRET_BYTES_MAX, invalid, secret_text};
use super::{Instance, Settings};
use crate::support::plain_file::{self, Origin};
use crate::support::{Secret, random};

/// The generated admin token, in the data directory.
pub const ADMIN_TOKEN: &str = "admin.token";

/// The generated signing key, in the data directory.
pub const JWT_SECRET: &str = "jwt.secret";

/// 256 bits: as strong as anything they are used with.
const RANDOM_BYTES: usize = 32;

/// The generated secrets that this process works with, to be written again where they are lost.
#[derive(Debug, Clone, Default)]
pub struct Held {
    dir: PathBuf,
    admin_token: Option<Secret>,
    jwt_secret: Option<Secret>,
}

impl Held {
    /// Writes each whose file is gone, into a directory that is there; gives the names of those.
    ///
    /// # Errors
    /// The system's; the rest is then not written.
    pub fn write_back(&self) -> io::Result<Vec<&'static str>> {
        let mut written = Vec::new();
        for (file, held) in [(ADMIN_TOKEN, &self.admin_token), (JWT_SECRET, &self.jwt_secret)] {
            if let Some(held) = held
                && is_gone(&self.dir, file)
            {
                create(&self.dir, file, held.expose())?;
                written.push(file);
            }
        }
        Ok(written)
    }
}

impl Instance {
    /// Where a generated admin token is kept, for client commands on this host.
    pub fn admin_token_file(&self) -> PathBuf {
        self.data_dir.join(ADMIN_TOKEN)
    }
}

impl Settings {
    /// Puts in the secrets that were not configured, making them on the first start. Run it once,
    /// before anything uses [`Settings::gate`].
    ///
    /// # Errors
    /// The data directory cannot be written to, or holds a file that is no such secret.
    pub fn complete(&mut self) -> Result<(), Invalid> {
        let dir = &self.instance.data_dir;
        self.held.dir.clone_from(dir);
        if self.needs.admin_token {
            let token = match &self.held.admin_token {
                Some(held) if is_gone(dir, ADMIN_TOKEN) => held.clone(),
                _ => secret(dir, ADMIN_TOKEN, "auth.admin_token", ADMIN_TOKEN_BYTES_MIN)?,
            };
            self.held.admin_token = Some(token.clone());
            self.gate.admin_tokens.insert(0, token);
        }
        if self.needs.jwt_secret {
            let key = match &self.held.jwt_secret {
                Some(held) if is_gone(dir, JWT_SECRET) => held.clone(),
                _ => secret(dir, JWT_SECRET, "auth.jwt_secret", JWT_SECRET_BYTES_MIN)?,
            };
            self.held.jwt_secret = Some(key.clone());
            self.gate.jwt_secrets.insert(0, key);
        }
        self.needs = Needs::default();
        Ok(())
    }

    /// Goes on with the generated secrets of a running instance where their files are gone: its
    /// data directory may be away, and tokens that it signed must stay valid. To be called before
    /// [`Settings::complete`].
    pub(super) fn hold(&mut self, running: &Self) {
        let held = running.held.clone();
        self.held.admin_token = held.admin_token.filter(|_| self.needs.admin_token);
        self.held.jwt_secret = held.jwt_secret.filter(|_| self.needs.jwt_secret);
    }

    /// The generated secrets that are in use.
    pub fn held(&self) -> Held {
        self.held.clone()
    }
}

impl Settings {
    /// The same for commands that only look: puts in what an instance made here before, makes
    /// nothing.
    ///
    /// # Errors
    /// The data directory holds a file that is no such secret.
    pub fn recall(&mut self) -> Result<(), Invalid> {
        let dir = &self.instance.data_dir;
        let is_there = |file: &str| dir.join(file).try_exists().unwrap_or(false);
        if self.needs.admin_token && is_there(ADMIN_TOKEN) {
            let token = secret(dir, ADMIN_TOKEN, "auth.admin_token", ADMIN_TOKEN_BYTES_MIN)?;
            self.gate.admin_tokens.insert(0, token);
        }
        if self.needs.jwt_secret && is_there(JWT_SECRET) {
            let key = secret(dir, JWT_SECRET, "auth.jwt_secret", JWT_SECRET_BYTES_MIN)?;
            self.gate.jwt_secrets.insert(0, key);
        }
        Ok(())
    }
}

/// Which secrets are still to come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    pub(super) admin_token: bool,
    pub(super) jwt_secret: bool,
}

fn is_gone(dir: &Path, file: &str) -> bool {
    fs::symlink_metadata(dir.join(file)).is_err()
}

fn secret(dir: &Path, file: &str, key: &str, bytes_min: usize) -> Result<Secret, Invalid> {
    let path = dir.join(file);
    let wrong = |expected: String| {
        let origin = path.display().to_string();
        invalid(key, String::new(), &origin, expected)
    };
    if !path.try_exists().unwrap_or(false) {
        make(dir).map_err(|error| {
            let expected = format!("expected a directory that can be made and read: {error}");
            invalid("instance.data_dir", format!("{dir:?}"), &format!("for {key}"), expected)
        })?;
        random_text(RANDOM_BYTES).and_then(|text| create(dir, file, &text)).map_err(|error| {
            wrong(format!("cannot be generated into the data directory: {error}"))
        })?;
    }
    let read = plain_file::read_text(&path, SECRET_BYTES_MAX, Origin::Own);
    let text = secret_text(read).map_err(wrong)?;
    if text.len() < bytes_min {
        return Err(wrong(format!("expected at least {bytes_min} bytes; delete it for a new one")));
    }
    Ok(Secret::new(text))
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes a new secret beside the file and links it into place, which fails if another process was
/// first: then theirs is the one.
fn create(dir: &Path, file: &str, text: &str) -> io::Result<()> {
    let new = dir.join(format!(".{file}.{}", random_text(8)?));
    let written = write_new(&new, text).and_then(|()| match fs::hard_link(&new, dir.join(file)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // A file system without links: at worst the later of two starts wins.
            fs::rename(&new, dir.join(file))
        }
        _ => Ok(()),
    });
    let _ = fs::remove_file(&new);
    written?;
    File::open(dir)?.sync_all()
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn random_text(bytes: usize) -> io::Result<String> {
    let mut text = vec![0_u8; bytes];
    random::fill(&mut text).map_err(|_| io::Error::other("no random bytes to be had"))?;
    Ok(URL_SAFE_NO_PAD.encode(text))
}
