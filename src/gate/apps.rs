//! Tokens of applications: they have a name, do not expire, and are valid while they are listed.
//!
//! The list is a file in the data directory that `token mint --app` and `token revoke` change.
//! Every request with such a token checks whether the file changed and reads it again if so: a
//! revocation takes effect at once. If the list cannot be read, no application token is valid.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::BadToken;
use crate::support::{plain_file, small_file};

/// The list, in the data directory.
const FILE: &str = "app-tokens.json";
/// Held while the list is changed.
const LOCK: &str = "app-tokens.lock";
/// The format that this version reads and writes.
const FORMAT: u32 = 1;
/// Bytes of the list.
const BYTES_MAX: u64 = 1024 * 1024;
/// Tokens on the list, revoked ones included.
pub const APP_TOKENS_MAX: usize = 1_000;
/// Bytes of an application's name.
const NAME_BYTES_MAX: usize = 64;

/// A listed token of an application. The token itself is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppToken {
    /// The application's name.
    pub app: String,
    /// `jti` of the token.
    pub jti: String,
    /// Its role.
    pub role: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    format: u32,
    tokens: Vec<AppToken>,
}

/// The list of a data directory.
pub struct AppTokens {
    dir: PathBuf,
    read: Mutex<Option<(Mark, Arc<Vec<AppToken>>)>>,
}

/// Identifies one state of a file: device, inode, length, times of modification and change.
type Mark = (u64, u64, u64, i64, i64, i64, i64);

fn mark(of: &Metadata) -> Mark {
    let times = (of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec());
    (of.dev(), of.ino(), of.len(), times.0, times.1, times.2, times.3)
}

/// Whether an application may have this name. Names appear in log lines and command lines.
pub fn is_app_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

impl AppTokens {
    /// The list in this data directory; it need not exist.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), read: Mutex::new(None) }
    }

    /// Every token on the list, revoked ones included.
    ///
    /// # Errors
    /// Why the list cannot be read.
    pub fn list(&self) -> Result<Arc<Vec<AppToken>>, String> {
        let path = self.dir.join(FILE);
        let found = match std::fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(error) => return Err(error.to_string()),
        };
        if !found.is_file() {
            return Err("not a plain file".into());
        }
        let found = mark(&found);
        let mut read = self.read.lock();
        if let Some((_, tokens)) = read.as_ref().filter(|(mark, _)| *mark == found) {
            return Ok(Arc::clone(tokens));
        }
        *read = None;
        let list: List = small_file::read(&path, BYTES_MAX)?.ok_or("it has gone")?;
        if list.format != FORMAT {
            return Err(format!("format {}; this version knows {FORMAT}", list.format));
        }
        let tokens = Arc::new(list.tokens);
        // The mark was taken before the read: if the file changed since, the next check reads
        // again.
        *read = Some((found, Arc::clone(&tokens)));
        Ok(tokens)
    }

    /// Whether a list with tokens was read before and is gone now.
    pub(super) fn is_lost(&self) -> bool {
        let found = self.list();
        let had_some = self.read.lock().as_ref().is_some_and(|(_, tokens)| !tokens.is_empty());
        had_some && found.is_ok_and(|tokens| tokens.is_empty())
    }

    /// Checks that the token with this name and `jti` is valid now.
    pub(super) fn check(&self, app: &str, jti: &str) -> Result<(), BadToken> {
        let tokens = self.list().map_err(|why| {
            BadToken(format!("the list of application tokens cannot be read: {why}"))
        })?;
        match tokens.iter().find(|token| token.jti == jti && token.app == app) {
            None => Err(BadToken(format!("no application token of {app} is listed here"))),
            Some(token) if token.revoked_ms.is_some() => {
                Err(BadToken(format!("the application token of {app} was revoked")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Changes the list under a lock between processes. The change is on disk when it returns.
    ///
    /// # Errors
    /// Why it cannot be read or written. Nothing was changed then.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<AppToken>) -> Result<T, String>,
    ) -> Result<T, String> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(plain_file::flags())
            .open(self.dir.join(LOCK));
        let lock: File = lock.map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        let mut tokens = (*self.list()?).clone();
        let done = change(&mut tokens)?;
        let list = List { format: FORMAT, tokens };
        small_file::write(&self.dir.join(FILE), &list).map_err(|error| error.to_string())?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(app: &str, jti: &str) -> AppToken {
        AppToken {
            app: app.into(),
            jti: jti.into(),
            role: "TRAINER".into(),
            created_ms: 1,
            revoked_ms: None,
        }
    }

    #[test]
    fn a_token_is_valid_while_it_is_listed_and_not_revoked() {
        let dir = tempfile::tempdir().expect("a directory");
        let (running, command) = (AppTokens::new(dir.path()), AppTokens::new(dir.path()));
        assert!(running.check("shop", "1").is_err(), "no list yet");
        let add = |tokens: &mut Vec<AppToken>| {
            tokens.extend([token("shop", "1"), token("shop", "2")]);
            Ok(())
        };
        command.change(add).expect("written");
        assert_eq!(running.check("shop", "1"), Ok(()));
        assert_eq!(running.check("shop", "2"), Ok(()));
        assert!(running.check("other", "1").is_err(), "of another application");
        command
            .change(|tokens| {
                tokens[0].revoked_ms = Some(2);
                Ok(())
            })
            .expect("written");
        assert!(running.check("shop", "1").is_err());
        assert_eq!(running.check("shop", "2"), Ok(()));
        let kept = command.change(|_| Err::<(), _>("no".into()));
        assert_eq!(kept, Err("no".into()));
        assert_eq!(running.check("shop", "2"), Ok(()));
        std::fs::remove_file(dir.path().join(FILE)).expect("removed");
        assert!(running.check("shop", "2").is_err());
    }

    #[test]
    fn a_list_that_cannot_be_read_makes_no_token_valid() {
        let dir = tempfile::tempdir().expect("a directory");
        let tokens = AppTokens::new(dir.path());
        let add = |tokens: &mut Vec<AppToken>| {
            tokens.push(token("shop", "1"));
            Ok(())
        };
        tokens.change(add).expect("written");
        assert_eq!(tokens.check("shop", "1"), Ok(()));
        let path = dir.path().join(FILE);
        for text in ["", "{", "[]", r#"{"format":2,"tokens":[]}"#, r#"{"format":1}"#] {
            std::fs::write(&path, text).expect("written");
            assert!(tokens.check("shop", "1").is_err(), "{text}");
            assert!(tokens.change(add).is_err(), "nothing is written over it: {text}");
        }
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("made");
        assert!(tokens.check("shop", "1").is_err());
    }

    #[test]
    fn a_name_is_plain() {
        for name in ["shop", "eu-1.shop_2", &"a".repeat(NAME_BYTES_MAX)] {
            assert!(is_app_name(name), "{name}");
        }
        for name in ["", "a b", "a@b", "é", "a\n", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(!is_app_name(name), "{name}");
        }
    }
}
