//! What can be wrong on this machine: the roots, how they are watched, the index and the disk below it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytesize::ByteSize;

use super::Check;
use crate::config::policy::Watch;
use crate::config::{Config, Mirror};
use crate::daemon::watch::{WatchEvent, WatchMode, WatchOptions, Watched, Watching};
use crate::disk::{MountTable, RootIdentity, Selection, check_root, walk};
use crate::index::relocate::belongs;
use crate::index::{Index, IndexError, InstanceLock, files, status_notes};

/// A file system that takes longer than this to answer is not well.
const DISK_WAIT: Duration = Duration::from_secs(30);
/// Less free space than this below the index is too little, and than this worth a word.
const SPACE: (u64, u64) = (50_000_000, 500_000_000);

pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    for mirror in &config.mirrors {
        checks.extend(mirror_checks(mirror, config.state_path.clone()).await);
    }
    checks.extend(index_checks(&config.state_path).await);
    checks.push(space(&config.state_path));
    checks
}

async fn mirror_checks(mirror: &Mirror, state: PathBuf) -> Vec<Check> {
    let name = format!("mirror {}: root", mirror.name);
    let config = mirror.clone();
    // A dead network share may never answer.
    let looked = tokio::task::spawn_blocking(move || root_checks(&config, &state));
    match tokio::time::timeout(DISK_WAIT, looked).await {
        Ok(Ok((mut checks, true))) => {
            checks.push(watching(mirror, None).await);
            checks
        }
        Ok(Ok((checks, false))) => checks,
        Ok(Err(_)) => vec![Check::fail(name, "looking at it failed", "try again with -v")],
        Err(_) => {
            let says = format!("{} does not answer within {} s", mirror.root.display(), DISK_WAIT.as_secs());
            vec![Check::fail(name, says, "see whether the share's server is up; remount it")]
        }
    }
}

/// The checks of a root, and whether it is there.
fn root_checks(mirror: &Mirror, state: &Path) -> (Vec<Check>, bool) {
    let name = format!("mirror {}: root", mirror.name);
    let known = known_root(mirror, state);
    if let Err(guard) = check_root(&mirror.root, known.as_ref()) {
        return (vec![Check::fail(name, guard.to_string(), "see the cause")], false);
    }
    let mount = MountTable::read().ok().and_then(|table| {
        let real = mirror.root.canonicalize().ok()?;
        table.of(&real).cloned()
    });
    let place = mount.as_ref().map_or_else(|| "an unknown file system".to_owned(), |mount| mount.fs_type.clone());
    let says = format!("{} on {place}", mirror.root.display());
    let mut checks = Vec::new();
    let Ok(selection) = Selection::new(&mirror.include, &mirror.exclude) else {
        return (vec![Check::fail(name, "its patterns cannot be used", "correct `include` and `exclude`")], true);
    };
    let count = AtomicU64::new(0);
    let sink = |batch: Vec<crate::disk::Found>| {
        let files = batch.iter().filter(|found| matches!(found, crate::disk::Found::File { .. })).count();
        count.fetch_add(files as u64, Ordering::Relaxed);
        std::ops::ControlFlow::Continue(())
    };
    match walk(&mirror.root, None, &selection, 0, &sink) {
        Err(error) => checks.push(Check::fail(name, error.to_string(), "check its permissions")),
        Ok(walked) => {
            let files = count.load(Ordering::Relaxed);
            if files == 0 {
                let fix = "mount the share, or check `include` and `exclude`; an empty root stops a run";
                checks.push(Check::fail(name, format!("{says}: no file to mirror"), fix));
            } else {
                checks.push(Check::ok(name, format!("{says}: {files} files to mirror")));
            }
            if walked.unreadable > 0 {
                let says = format!("{} files or folders cannot be read", walked.unreadable);
                let fix = "give the user that runs dato-mirror read permission; `dato-mirror --dry-run` names them";
                checks.push(Check::warn(format!("mirror {}: permissions", mirror.name), says, fix));
            }
        }
    }
    (checks, true)
}

/// What the root was when last mirrored.
fn known_root(mirror: &Mirror, state: &Path) -> Option<RootIdentity> {
    let index = Index::open_read_only(state).ok()?;
    let name = mirror.name.clone();
    let root = index.call_blocking(move |conn| status_notes::root_of(conn, &name)).ok()??;
    serde_json::from_str(&root).ok()
}

/// Begins to watch as the daemon would, and says what came of it.
/// `mounts` stands for the machine's own.
async fn watching(mirror: &Mirror, mounts: Option<MountTable>) -> Check {
    let name = format!("mirror {}: watch", mirror.name);
    let every = jiff::SignedDuration::try_from(mirror.poll_interval).unwrap_or_default();
    let polled = |reason: &str| format!("polled every {every:#}: {reason}");
    let Ok(selection) = Selection::new(&mirror.include, &mirror.exclude) else {
        return Check::fail(name, "its patterns cannot be used", "correct `include` and `exclude`");
    };
    let mode = match mirror.watch {
        Watch::Auto => WatchMode::Auto,
        Watch::Native => WatchMode::Native,
        Watch::Poll => return Check::ok(name, polled("watch = \"poll\"")),
    };
    let options = WatchOptions { mounts, ..WatchOptions::new(mirror.root.clone(), mode, selection) };
    let Ok((_watching, mut events)) = Watching::start(options) else {
        return Check::warn(name, "the system gives no thread for it", "see the limits of this user: ulimit -u");
    };
    let state = async {
        loop {
            match events.recv().await? {
                WatchEvent::StateChanged(state) => return Some(state),
                WatchEvent::RootGone => return None,
                _ => {}
            }
        }
    };
    let limit = inotify_limit().map_or_else(String::new, |limit| format!("; up to {limit} folders can be watched"));
    match tokio::time::timeout(DISK_WAIT, state).await {
        Ok(Some(state)) => match (state.how, state.degraded) {
            (_, Some(degraded)) => Check::warn(name, degraded, "as it says; until then nothing is lost"),
            (Watched::Polling { reason }, None) => Check::ok(name, polled(&reason)),
            (Watched::Native | Watched::Starting, None) => Check::ok(name, format!("by file events{limit}")),
        },
        Ok(None) | Err(_) => Check::warn(name, "the watch does not begin", "see the log of the daemon"),
    }
}

fn inotify_limit() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?.trim().parse().ok()
}

async fn index_checks(path: &Path) -> Vec<Check> {
    let index = match Index::open_read_only(path) {
        Ok(index) => index,
        Err(IndexError::Missing { .. }) => {
            return vec![match belongs(path) {
                Ok(_) => writable(path),
                Err(error) => Check::fail("index", error.to_string(), "see the cause"),
            }];
        }
        Err(error @ IndexError::Older { .. }) => {
            return vec![Check::warn("index", error.to_string(), "run dato-mirror once")];
        }
        Err(error) => return vec![Check::fail("index", error.to_string(), "see the cause")],
    };
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let health = index.call(|conn| conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))).await;
    let mut checks = match health {
        Ok(word) if word == "ok" => {
            let holder =
                InstanceLock::holder(path).map_or_else(String::new, |pid| format!(", in use by process {pid}"));
            let says = format!("{}: {}, sound{holder}", path.display(), ByteSize::b(size).display().si());
            vec![Check::ok("index", says)]
        }
        Ok(word) => vec![damaged(path, &word)],
        Err(error) => vec![damaged(path, &error.to_string())],
    };
    let failed = index.call(|conn| {
        let mut statement = conn.prepare("SELECT id, name FROM mirror ORDER BY name")?;
        let mirrors = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        mirrors
            .map(|mirror| {
                let (id, name) = mirror?;
                Ok((name, files::problems(conn, id)?.len()))
            })
            .collect::<rusqlite::Result<Vec<_>>>()
    });
    for (name, count) in failed.await.unwrap_or_default().into_iter().filter(|(_, count)| *count > 0) {
        let says = format!("{count} could not be mirrored");
        checks.push(Check::warn(format!("mirror {name}: files"), says, "dato-mirror status tells why"));
    }
    checks
}

fn damaged(path: &Path, cause: &str) -> Check {
    let fix = format!(
        "nothing is lost: the next run sets {} aside and rebuilds it; look at the disk it is on",
        path.display()
    );
    Check::fail("index", format!("damaged: {cause}"), fix)
}

/// Whether an index can be made: the nearest folder that is there must be writable.
fn writable(path: &Path) -> Check {
    let folder = existing_folder(path);
    let says = format!("none yet at {}", path.display());
    let fine = rustix::fs::access(&folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    if fine {
        Check::ok("index", format!("{says}; the first run makes it"))
    } else {
        let fix = format!("make {} writable for this user, or set `path` in [state]", folder.display());
        Check::fail("index", format!("{says}, and it cannot be made"), fix)
    }
}

fn existing_folder(path: &Path) -> PathBuf {
    let mut folder = path.parent();
    while let Some(here) = folder {
        if here.is_dir() {
            return here.to_path_buf();
        }
        folder = here.parent();
    }
    PathBuf::from("/")
}

fn space(path: &Path) -> Check {
    let folder = existing_folder(path);
    let Ok(found) = rustix::fs::statvfs(&folder) else {
        return Check::warn("disk", format!("{} cannot be looked at", folder.display()), "check the disk");
    };
    judge_space(&folder, found.f_bavail.saturating_mul(found.f_frsize))
}

fn judge_space(folder: &Path, free: u64) -> Check {
    let (least, little) = SPACE;
    let says = format!("{} free below {}", ByteSize::b(free).display().si(), folder.display());
    let fix = "free some space, or move the index with `path` in [state]";
    match free {
        free if free < least => Check::fail("disk", says, fix),
        free if free < little => Check::warn("disk", says, fix),
        _ => Check::ok("disk", says),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn too_little_space_is_told_before_it_is_none() {
        let folder = Path::new("/var/lib");
        let levels = [1, SPACE.0, SPACE.1].map(|free| judge_space(folder, free).level);
        assert_eq!(levels, [Level::Fail, Level::Warn, Level::Ok]);
    }

    #[tokio::test]
    async fn a_root_is_looked_at_and_watched_as_the_daemon_would() {
        let dir = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::new("brand", dir.path());
        let state = dir.path().join("none.sqlite");
        let empty = mirror_checks(&mirror, state.clone()).await;
        assert!(empty[0].level == Level::Fail && empty[0].says.contains("no file to mirror"), "{empty:?}");
        std::fs::write(dir.path().join("a.png"), "x").unwrap();
        mirror.watch = Watch::Poll;
        let fine = mirror_checks(&mirror, state.clone()).await;
        assert!(fine.iter().all(|check| check.level == Level::Ok), "{fine:?}");
        assert!(fine[1].says.starts_with("polled every 30s"), "{fine:?}");
        mirror.watch = Watch::Native;
        // In a container the folder for temporary files is often on an overlay, which is warned of.
        let local = MountTable::parse(b"1 0 8:1 / / rw - ext4 /dev/sda rw\n");
        let native = watching(&mirror, Some(local)).await;
        assert!(native.level == Level::Ok && native.says.starts_with("by file events"), "{native:?}");
        mirror.root = dir.path().join("gone");
        let gone = mirror_checks(&mirror, state).await;
        assert!(gone.len() == 1 && gone[0].says.contains("is missing"), "{gone:?}");
    }

    #[tokio::test]
    async fn an_index_is_sound_damaged_or_yet_to_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/index.sqlite");
        assert!(index_checks(&path).await[0].says.contains("the first run makes it"));
        Index::open(&path).unwrap().index.close().await;
        assert!(index_checks(&path).await[0].says.contains("sound"));
        std::fs::write(&path, "no database at all, but long enough to be looked at".repeat(50)).unwrap();
        assert_eq!(index_checks(&path).await[0].level, Level::Fail);
    }
}
