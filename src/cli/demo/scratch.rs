//! A directory of this process alone, removed when it is dropped. Nobody else may read it: it holds
//! the secrets of three instances.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::cli::Exit;
use crate::support::clock;

/// The directory.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one, readable by its owner only.
    ///
    /// # Errors
    /// The system's temporary directory takes none.
    pub fn new() -> Result<Self, Exit> {
        let name = format!("cache-mirror-demo-{}-{}", std::process::id(), clock::wall_ms());
        let path = std::env::temp_dir().join(name);
        // Not recursive: a directory that existed under this name is not ours.
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Exit::Failed(format!("cannot make a directory {}: {error}", path.display()))
        })?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
