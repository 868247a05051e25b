//! How a file is told from its earlier self without reading it.
//!
//! Owns: size, times and inode as one value, and when they may be believed.
//! Never does: reading content, keeping records (that is the index).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

/// What `stat` tells about one version of a file. Equality is strict; see also [`Fingerprint::unchanged_since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of content, owner, mode or name, nanoseconds since 1970; no program can set it back.
    pub ctime_ns: i64,
    /// Number of the file in its file system.
    pub inode: u64,
    /// Number of the file system; for network and overlay file systems it may differ after a reboot.
    pub dev: u64,
}

/// The kernel stamps files by a clock that ticks every 1 to 10 ms: two writes in one tick share their mtime.
const TICK_NS: i64 = 20_000_000;
/// FAT keeps times in steps of 2 s, some servers in whole seconds.
const COARSE_NS: i64 = 2_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

impl From<&Metadata> for Fingerprint {
    fn from(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            dev: metadata.dev(),
        }
    }
}

impl Fingerprint {
    /// Whether a digest recorded at `recorded_at_ns` with this fingerprint may hide a later write.
    ///
    /// An mtime is trusted only if it is older than its own record by more than the file system's time step: a write
    /// right after the record would leave the same mtime. `recorded_at_ns` is what the clock of the file's own file system
    /// showed at least *before* the file was looked at, nanoseconds since 1970: our wall clock where that is the same one,
    /// else [`Fingerprint::seen_for`].
    #[must_use]
    pub fn racy(&self, recorded_at_ns: i64) -> bool {
        let coarse = self.mtime_ns % SECOND_NS == 0 && self.ctime_ns % SECOND_NS == 0;
        let step = if coarse { COARSE_NS } else { TICK_NS };
        let is_fresh = |time_ns: i64| time_ns.saturating_add(step) >= recorded_at_ns;
        // No write gives an mtime that lies ahead of its clock: a program set it, and the next write shows.
        let is_set = self.mtime_ns > recorded_at_ns.saturating_add(COARSE_NS);
        is_fresh(self.ctime_ns) || (is_fresh(self.mtime_ns) && !is_set)
    }

    /// Whether the file is the one recorded, as far as `stat` can tell: size, mtime, ctime and inode are equal. The
    /// device is left out, because its number changes when a share is mounted again. For a record that lies back see
    /// [`Inodes::unchanged`](super::Inodes::unchanged).
    #[must_use]
    pub fn unchanged_since(&self, recorded: &Self) -> bool {
        Self { dev: 0, ..*self } == Self { dev: 0, ..*recorded }
    }

    /// The latest of its times, moved on by the time for which the file was since seen unchanged: the clock of its own file
    /// system showed at least this. It takes the place of the wall clock in [`Fingerprint::racy`] where the two may differ.
    #[must_use]
    pub fn seen_for(&self, unchanged: Duration) -> i64 {
        let unchanged = i64::try_from(unchanged.as_nanos()).unwrap_or(i64::MAX);
        self.mtime_ns.max(self.ctime_ns).saturating_add(unchanged)
    }
}

fn nanoseconds(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(SECOND_NS).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_700_000_000_123_456_789;

    fn print(mtime_ns: i64, ctime_ns: i64) -> Fingerprint {
        Fingerprint { size: 1, mtime_ns, ctime_ns, inode: 2, dev: 3 }
    }

    #[test]
    fn an_mtime_is_trusted_only_if_older_than_its_record() {
        let second = 1_700_000_000 * SECOND_NS;
        let cases = [
            (print(AT, AT), AT - 1, true),
            (print(AT, AT), AT, true),
            (print(AT, AT), AT + TICK_NS, true),
            (print(AT, AT), AT + TICK_NS + 1, false),
            (print(AT - COARSE_NS, AT), AT + 1, true),
            (print(second, second), second + SECOND_NS, true),
            (print(second, second), second + COARSE_NS + 1, false),
            (print(second, second + 1), second + SECOND_NS, false),
            // A program dated it ahead: its ctime tells whether it was written since.
            (print(i64::MAX, 0), AT, false),
            (print(AT + 3600 * SECOND_NS, AT), AT + TICK_NS + 1, false),
            (print(AT + 3600 * SECOND_NS, AT), AT + TICK_NS, true),
            (print(AT + 3600 * SECOND_NS, AT + 3600 * SECOND_NS), AT, true),
            (print(AT + COARSE_NS, AT - SECOND_NS), AT, true),
        ];
        for (print, recorded, racy) in cases {
            assert_eq!(print.racy(recorded), racy, "{print:?} {recorded}");
        }
    }

    #[test]
    fn a_share_mounted_again_keeps_its_files() {
        let before = print(AT, AT);
        assert!(Fingerprint { dev: 9, ..before }.unchanged_since(&before));
        for changed in [
            Fingerprint { size: 2, ..before },
            Fingerprint { mtime_ns: AT - 1, ..before },
            Fingerprint { ctime_ns: AT + 1, ..before },
            Fingerprint { inode: 9, ..before },
        ] {
            assert!(!changed.unchanged_since(&before), "{changed:?}");
        }
    }

    #[test]
    fn what_was_seen_unchanged_for_longer_than_a_step_is_trusted_whatever_the_clocks_say() {
        let whole = 1_700_000_000 * SECOND_NS;
        let two_hours = 7200 * SECOND_NS;
        for (print, unchanged, racy) in [
            (print(AT + two_hours, AT + two_hours), Duration::from_secs(2), false),
            (print(AT - two_hours, AT - two_hours), Duration::from_secs(2), false),
            (print(AT - two_hours, AT - two_hours), Duration::from_millis(20), true),
            (print(AT - two_hours, AT - two_hours), Duration::ZERO, true),
            (print(whole, whole), Duration::from_secs(2), true),
            (print(whole, whole), Duration::from_millis(2001), false),
            (print(i64::MAX, 0), Duration::MAX, true),
        ] {
            assert_eq!(print.racy(print.seen_for(unchanged)), racy, "{print:?} {unchanged:?}");
        }
    }

    #[test]
    fn times_outside_the_range_do_not_wrap() {
        assert_eq!(nanoseconds(i64::MAX, 5), i64::MAX);
        assert_eq!(nanoseconds(-1, 5), -SECOND_NS + 5);
    }
}
