//! What a running instance goes by when it judges tokens, for commands on the same host.
//!
//! Flags and variables of the process that runs are not those of the shell in which somebody makes
//! a token. So an instance writes what it uses into its data directory, at each start and reload.
//! Nothing in the file is secret: it names keys as every token does.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::support::small_file;

/// The file, in the data directory.
const FILE: &str = "in-use.json";

/// Far more than names and roles take.
const BYTES_MAX: u64 = 64 * 1024;

/// What the instance of a data directory goes by, as of its last start or reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InUse {
    /// `instance.name`.
    pub name: String,
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of its tokens.
    pub audience: String,
    /// Where the role is in a token.
    pub role_claim: String,
    /// Roles that may do everything.
    pub admin_roles: Vec<String>,
    /// Roles that may invalidate and read.
    pub editor_roles: Vec<String>,
    /// Its own keys by the names that tokens call them: the one that signs comes first.
    pub keys: Vec<String>,
}

impl InUse {
    /// What these settings say. They are complete.
    pub fn of(settings: &Settings) -> Self {
        let gate = &settings.gate;
        Self {
            name: settings.instance.name.clone(),
            issuer: gate.issuer.clone(),
            audience: gate.audience.clone(),
            role_claim: gate.role_claim.clone(),
            admin_roles: gate.admin_roles.clone(),
            editor_roles: gate.editor_roles.clone(),
            keys: gate.key_names(),
        }
    }

    /// Where it is kept.
    pub fn file(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// What the last instance of this data directory wrote; `None` where there was none.
    ///
    /// # Errors
    /// Why the file is of no use.
    pub fn read(dir: &Path) -> Result<Option<Self>, String> {
        small_file::read(&Self::file(dir), BYTES_MAX)
    }

    /// Writes it, for the instance that holds the data directory. It blocks.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        small_file::write(&Self::file(dir), self)
    }
}
