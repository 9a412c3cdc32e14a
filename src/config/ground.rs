//! Whether the data directory can be trusted: who may have put what is in it.
//!
//! A user who can write there can set the admin token, so a start checks first. Refused is what no
//! instance makes and what would give another user control: links, pipes, directories and devices
//! in the place of our files, secrets that everybody may write, secrets of another user. Only a
//! warning is given for what volumes of containers look like: directories that a group or everybody
//! may write, and secrets that others may read. A user of the system is one of three here: us,
//! root, or the owner of the directory.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Settings;
use super::generated::{ADMIN_TOKEN, JWT_SECRET};
use super::invalid::Invalid;
use super::layer::{SECRET_BYTES_MAX, invalid};
use crate::support::plain_file::kind;

/// The files that an instance makes in its data directory; those of `journal/` come on top.
const FILES: [&str; 12] = [
    ADMIN_TOKEN,
    JWT_SECRET,
    "app-tokens.json",
    "app-tokens.lock",
    "end.mark",
    "format",
    "in-use.json",
    "kinds.json",
    "lock",
    "overflow.slot",
    "pauses.json",
    "schedules.json",
];

/// What decides who may do what here.
const SECRETS: [&str; 3] = [ADMIN_TOKEN, JWT_SECRET, "app-tokens.json"];

const ROOT: u32 = 0;

/// What was found out about a data directory.
#[derive(Debug, Default)]
pub struct Ground {
    /// Why no instance starts on it.
    pub refused: Vec<Invalid>,
    /// What works but is not safe.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Looks at the data directory without changing it or opening what is in it.
    pub fn ground(&self) -> Ground {
        Ground::look(&self.instance.data_dir, effective_user())
    }
}

impl Ground {
    /// For the user `us`; where that is not known, owners are not compared.
    fn look(dir: &Path, us: Option<u32>) -> Self {
        let mut ground = Self::default();
        let Some(owner) = ground.look_at_dir(dir, us) else { return ground };
        let is_trusted = |found: &Metadata| match us {
            Some(us) => [us, ROOT, owner].contains(&found.uid()),
            None => true,
        };
        for name in FILES {
            let path = dir.join(name);
            let Some(found) = ground.find(&path) else { continue };
            if !found.is_file() {
                ground.refuse(&path, &format!("found {}", kind(found.file_type())), "a plain file");
            } else if SECRETS.contains(&name) {
                ground.look_at_secret(&path, &found, is_trusted(&found), name);
            } else if !is_trusted(&found) {
                ground.warn(&path, &owned(&found), "a file of the user of the service");
            } else if found.mode() & 0o002 != 0 {
                ground.warn(&path, &mode(&found), "mode 0600");
            }
        }
        ground.look_at_segments(&dir.join("journal"));
        ground
    }

    /// Its owner, where it is a directory.
    fn look_at_dir(&mut self, dir: &Path, us: Option<u32>) -> Option<u32> {
        let link = self.find(dir)?;
        let Ok(found) = fs::metadata(dir) else {
            self.refuse(dir, "found a link that leads nowhere", "a directory");
            return None;
        };
        if !found.is_dir() {
            self.refuse(dir, &format!("found {}", kind(found.file_type())), "a directory");
            return None;
        }
        let is_ours = |uid: u32| us.is_none_or(|us| us == uid) || uid == ROOT;
        if link.is_symlink() && !is_ours(link.uid()) {
            let what = format!("found a link, {}", owned(&link));
            self.refuse(dir, &what, "a directory, or a link of root or of the user of the service");
            return None;
        }
        if link.is_symlink() {
            let to = fs::canonicalize(dir).unwrap_or_default();
            let what = format!("found a link to {}", to.display());
            self.warn(dir, &what, "a directory (name the one behind the link)");
        }
        // Root runs in containers on directories of the host's users.
        if us != Some(ROOT) && !is_ours(found.uid()) {
            self.warn(dir, &owned(&found), "a directory of the user of the service");
        }
        let bits = found.mode();
        // A volume of Kubernetes with `fsGroup` belongs to root and has the group bit; a user may
        // have a group of their own.
        let is_group = bits & 0o020 != 0
            && bits & 0o2000 == 0
            && found.uid() != ROOT
            && found.uid() != found.gid();
        if bits & 0o002 != 0 || is_group {
            self.warn(dir, &mode(&found), "mode 0700, so that no other user can put files there");
        }
        Some(found.uid())
    }

    fn look_at_secret(&mut self, path: &Path, found: &Metadata, is_trusted: bool, name: &str) {
        let is_text = name == ADMIN_TOKEN || name == JWT_SECRET;
        if !is_trusted {
            self.refuse(path, &owned(found), "a file of the user of the service");
        } else if is_text && found.len() > SECRET_BYTES_MAX {
            let what = format!("found {} bytes", found.len());
            self.refuse(path, &what, &format!("at most {SECRET_BYTES_MAX} bytes"));
        } else if found.mode() & 0o002 != 0 {
            self.refuse(path, &mode(found), "mode 0600: anybody may have written it");
        } else if found.mode() & 0o004 != 0 && is_text {
            self.warn(path, &mode(found), "mode 0600: every user of this host can read it");
        }
    }

    fn look_at_segments(&mut self, dir: &Path) {
        let Some(found) = self.find(dir) else { return };
        if !found.is_dir() {
            let what = format!("found {}", kind(found.file_type()));
            return self.refuse(dir, &what, "a directory");
        }
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let is_segment = entry.file_name().to_str().is_some_and(|name| name.ends_with(".seg"));
            if let Ok(found) = entry.file_type()
                && is_segment
                && !found.is_file()
            {
                self.refuse(&entry.path(), &format!("found {}", kind(found)), "a plain file");
            }
        }
    }

    /// What is at a path, the link itself where it is one.
    fn find(&mut self, path: &Path) -> Option<Metadata> {
        match fs::symlink_metadata(path) {
            Ok(found) => Some(found),
            // Where we may not look, opening it says so.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) =>
            {
                None
            }
            Err(error) => {
                self.refuse(path, &error.to_string(), "a path that can be read");
                None
            }
        }
    }

    fn refuse(&mut self, path: &Path, found: &str, expected: &str) {
        let value = format!("{:?}", path.display().to_string());
        let expected = format!("expected {expected}");
        self.refused.push(invalid("instance.data_dir", value, &found, expected));
    }

    fn warn(&mut self, path: &Path, found: &str, expected: &str) {
        self.warnings.push(format!("{} ({found}): expected {expected}", path.display()));
    }
}

fn owned(found: &Metadata) -> String {
    format!("found owner {}", found.uid())
}

fn mode(found: &Metadata) -> String {
    format!("found mode {:04o}", found.mode() & 0o7777)
}

/// Whom the system checks when we open a file.
fn effective_user() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Command;

    use super::*;

    /// A directory as an instance leaves it, after a change.
    fn after(change: impl FnOnce(&Path)) -> (Vec<String>, Vec<String>) {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("data");
        fs::create_dir_all(dir.join("journal")).unwrap();
        chmod(&dir, 0o700);
        for name in FILES {
            fs::write(dir.join(name), "x").unwrap();
            chmod(&dir.join(name), 0o600);
        }
        fs::write(dir.join("journal/1.seg"), "x").unwrap();
        change(&dir);
        let ground = Ground::look(&dir, effective_user());
        (ground.refused.iter().map(ToString::to_string).collect(), ground.warnings)
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn pipe(path: &Path) {
        let _ = fs::remove_file(path);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn a_directory_of_an_instance_is_trusted() {
        assert_eq!(after(|_| ()), (vec![], vec![]));
        let nothing = Ground::look(Path::new("/nowhere/at/all"), effective_user());
        assert!(nothing.refused.is_empty() && nothing.warnings.is_empty());
        // As `fsGroup` leaves it after a restart: the group may read and write everything.
        let volume = after(|dir| {
            chmod(dir, 0o2770);
            FILES.iter().for_each(|name| chmod(&dir.join(name), 0o660));
        });
        assert_eq!(volume, (vec![], vec![]));
    }

    #[test]
    fn what_no_instance_makes_is_refused_by_its_path() {
        for name in FILES.into_iter().chain(["journal/1.seg"]) {
            type Change = fn(&Path);
            let changes: [(&str, Change); 3] = [
                ("found a named pipe", pipe),
                ("found a link", |path| {
                    fs::rename(path, path.with_extension("moved")).unwrap();
                    symlink(path.with_extension("moved"), path).unwrap();
                }),
                ("found a directory", |path| {
                    fs::remove_file(path).unwrap();
                    fs::create_dir(path).unwrap();
                }),
            ];
            for (found, change) in changes {
                let (refused, _) = after(|dir| change(&dir.join(name)));
                assert_eq!(refused.len(), 1, "{name}: {refused:?}");
                assert!(
                    refused[0].contains(name) && refused[0].contains(found),
                    "{name}: {refused:?}"
                );
                assert!(refused[0].contains("expected a plain file"), "{refused:?}");
            }
        }
        type Change = fn(&Path);
        let changes: [(&str, Change); 5] = [
            ("journal\" (found a link): expected a directory", |dir| {
                fs::rename(dir.join("journal"), dir.join("moved")).unwrap();
                symlink("moved", dir.join("journal")).unwrap();
            }),
            ("admin.token\" (found 65537 bytes)", |dir| {
                fs::write(dir.join(ADMIN_TOKEN), vec![b'x'; 65_537]).unwrap();
            }),
            ("jwt.secret\" (found mode 0602)", |dir| chmod(&dir.join(JWT_SECRET), 0o602)),
            ("data\" (found a plain file): expected a directory", |dir| {
                fs::remove_dir_all(dir).unwrap();
                fs::write(dir, "x").unwrap();
            }),
            ("data\" (found a link that leads nowhere)", |dir| {
                fs::remove_dir_all(dir).unwrap();
                symlink("nowhere", dir).unwrap();
            }),
        ];
        for (expected, change) in changes {
            let (refused, _) = after(change);
            assert!(refused.len() == 1 && refused[0].contains(expected), "{refused:?}");
        }
    }

    #[test]
    fn what_is_usual_but_not_safe_is_a_warning() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 4] = [
            ("data (found mode 0777): expected mode 0700", |dir| chmod(dir, 0o777)),
            ("admin.token (found mode 0644): expected mode 0600", |dir| {
                chmod(&dir.join(ADMIN_TOKEN), 0o644);
            }),
            ("format (found mode 0666): expected mode 0600", |dir| {
                chmod(&dir.join("format"), 0o666);
            }),
            ("data (found a link to ", |dir| {
                fs::rename(dir, dir.with_extension("moved")).unwrap();
                symlink(dir.with_extension("moved"), dir).unwrap();
            }),
        ];
        for (expected, change) in changes {
            let (refused, warnings) = after(change);
            assert_eq!(refused, [""; 0]);
            assert!(warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?}");
        }
    }

    /// Judged for a user who did not make the directory.
    #[test]
    fn owners_are_compared_with_the_user_of_the_service() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("data");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(ADMIN_TOKEN), "x").unwrap();
        chmod(&dir.join(ADMIN_TOKEN), 0o600);
        chmod(&dir, 0o700);
        let owner = fs::metadata(&dir).unwrap().uid();
        if owner != ROOT {
            let ground = Ground::look(&dir, Some(owner + 1));
            assert!(ground.warnings.concat().contains("found owner"), "{ground:?}");
            return;
        }
        // Only root can give files away.
        let give = |path: &Path, uid| std::os::unix::fs::chown(path, Some(uid), None).unwrap();
        give(&dir.join(ADMIN_TOKEN), 4242);
        let refused = |us| Ground::look(&dir, Some(us)).refused.len();
        assert_eq!((refused(ROOT), refused(4242), refused(77)), (1, 0, 1));
        // A directory of a user of the host, in which root of a container runs.
        give(&dir, 4242);
        let ground = Ground::look(&dir, Some(ROOT));
        assert!(ground.refused.is_empty() && ground.warnings.is_empty(), "{ground:?}");
        let ground = Ground::look(&dir, Some(77));
        assert!(ground.warnings.concat().contains("found owner 4242"), "{ground:?}");
        let link = outer.path().join("link");
        symlink(&dir, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(4242), None).unwrap();
        let ground = Ground::look(&link, Some(77));
        assert!(ground.refused[0].to_string().contains("found a link, found owner 4242"));
    }
}
