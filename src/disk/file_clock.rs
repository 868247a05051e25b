//! Whose clock stamps the files below a root.
//!
//! Owns: telling file systems that this machine's kernel stamps from those that a server, or a program, stamps. A time is
//! compared with our own clock only where the two are the same clock.
//! Never does: asking the file system itself, or keeping records.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::fingerprint::Fingerprint;
use super::mount::MountTable;

/// The kernel stamps files by a clock that ticks every 1 to 10 ms, so a change may be a little younger than its time.
const TICK_NS: i64 = 20_000_000;

/// Whose clock stamps the files below a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileClock {
    /// Files on this device are stamped by this machine's clock.
    Ours {
        /// The device's number, as `stat` tells it.
        dev: u64,
    },
    /// A server's, or one that cannot be known.
    Unknown,
}

impl FileClock {
    /// The clock of the file system that `root` lies on. What is mounted below has another device, and counts as unknown.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        MountTable::read().map_or(Self::Unknown, |table| Self::by(&table, root))
    }

    fn by(table: &MountTable, root: &Path) -> Self {
        let Ok(real) = fs::canonicalize(root) else { return Self::Unknown };
        let ours = table.of(&real).is_some_and(super::Mount::keeps_our_time);
        match fs::metadata(&real) {
            Ok(metadata) if ours => Self::Ours { dev: metadata.dev() },
            _ => Self::Unknown,
        }
    }

    /// Whether the file's times are ours.
    #[must_use]
    pub fn stamps(self, print: &Fingerprint) -> bool {
        self == Self::Ours { dev: print.dev }
    }

    /// Whether the file's ctime proves that nothing changed it for `settle` before `now_ns`, by our clock in nanoseconds
    /// since 1970. Only the ctime counts: every program can set an mtime. A ctime that lies ahead proves nothing.
    #[must_use]
    pub fn proves_rest(self, print: &Fingerprint, now_ns: i64, settle: Duration) -> bool {
        let settle = i64::try_from(settle.as_nanos()).unwrap_or(i64::MAX).saturating_add(TICK_NS);
        self.stamps(print) && now_ns.saturating_sub(print.ctime_ns) >= settle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_700_000_000_123_456_789;
    const SECOND: i64 = 1_000_000_000;

    fn print(mtime_ns: i64, ctime_ns: i64) -> Fingerprint {
        Fingerprint { size: 1, mtime_ns, ctime_ns, inode: 2, dev: 3 }
    }

    #[test]
    fn only_an_old_ctime_by_our_own_clock_proves_rest() {
        let ours = FileClock::Ours { dev: 3 };
        let settle = Duration::from_secs(2);
        let cases = [
            (ours, print(AT, AT - 3 * SECOND), true),
            (ours, print(AT + 3600 * SECOND, AT - 3 * SECOND), true),
            (ours, print(AT, AT - 2 * SECOND), false),
            (ours, print(AT, AT - 2 * SECOND - TICK_NS), true),
            (ours, print(AT, AT), false),
            (ours, print(AT - 7200 * SECOND, AT), false),
            (ours, print(AT - 7200 * SECOND, AT + SECOND), false),
            (ours, print(AT, i64::MAX), false),
            (FileClock::Unknown, print(AT - 7200 * SECOND, AT - 7200 * SECOND), false),
            (FileClock::Ours { dev: 4 }, print(0, 0), false),
        ];
        for (clock, print, proven) in cases {
            assert_eq!(clock.proves_rest(&print, AT, settle), proven, "{clock:?} {print:?}");
        }
    }

    #[test]
    fn the_file_system_of_the_root_decides() {
        let dir = tempfile::tempdir().unwrap();
        let dev = fs::metadata(dir.path()).unwrap().dev();
        let on = |kind: &str| MountTable::parse(format!("22 1 252:0 / / rw - {kind} what rw").as_bytes());
        let cases = [
            ("ext4", FileClock::Ours { dev }),
            ("tmpfs", FileClock::Ours { dev }),
            ("overlay", FileClock::Ours { dev }),
            ("nfs4", FileClock::Unknown),
            ("cifs", FileClock::Unknown),
            ("9p", FileClock::Unknown),
            ("fuse.sshfs", FileClock::Unknown),
            ("fuseblk", FileClock::Unknown),
            ("vfat", FileClock::Unknown),
            ("unheard-of", FileClock::Unknown),
        ];
        for (kind, clock) in cases {
            assert_eq!(FileClock::by(&on(kind), dir.path()), clock, "{kind}");
        }
        assert_eq!(FileClock::by(&MountTable::default(), dir.path()), FileClock::Unknown);
        assert_eq!(FileClock::by(&on("ext4"), &dir.path().join("missing")), FileClock::Unknown);
    }
}
