//! Which file systems keep a file's inode number, and which make one up whenever they meet the file anew.
//!
//! Owns: that list, and the comparison of a file with the record of a look that lies back: days, or a mount.
//! Never does: asking the file system itself: the mount table tells. Two looks at one file moments apart are compared by
//! [`Fingerprint::unchanged_since`] alone, everywhere.
//!
//! Where numbers are made up (FAT, most of FUSE), dropped caches or a new mount give every file another one, and a mirror
//! that took that for a change would read everything again. There size, mtime and ctime tell alone, as rclone and rsync
//! compare files everywhere and restic does with `--ignore-inode`. The price: such file systems often make their ctime of
//! the mtime, so a file that takes another's place with the same size and mtime is seen by `--checksum` only. Where
//! numbers are kept another number is another file: that is how one is told which was renamed into place with its mtime.

use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::mount::MountTable;

/// Whose inode numbers count, by device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inodes {
    /// Devices whose numbers are made up. What is not told counts as kept: then a file is read once too often, and never
    /// too seldom.
    made_up: Arc<[u64]>,
}

impl Inodes {
    /// As the mount table tells; where there is none, all numbers count.
    #[must_use]
    pub fn read() -> Self {
        MountTable::read().map_or_else(|_| Self::default(), |table| Self::by(&table))
    }

    fn by(table: &MountTable) -> Self {
        Self::made_up_on(table.devices_with_made_up_inodes())
    }

    /// The numbers on these devices are made up.
    #[must_use]
    pub fn made_up_on(devices: &[u64]) -> Self {
        Self { made_up: devices.into() }
    }

    /// Whether a file on this device keeps its number.
    #[must_use]
    pub fn are_kept(&self, dev: u64) -> bool {
        !self.made_up.contains(&dev)
    }

    /// Whether a file that shows `now` is the one recorded, as far as `stat` can tell.
    #[must_use]
    pub fn unchanged(&self, now: &Fingerprint, recorded: &Fingerprint) -> bool {
        // The device of now decides: a share that is mounted again has another one.
        let inode = if self.are_kept(now.dev) { now.inode } else { recorded.inode };
        Fingerprint { inode, ..*now }.unchanged_since(recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: Fingerprint = Fingerprint { size: 10, mtime_ns: 1_000, ctime_ns: 2_000, inode: 7, dev: 3 };

    #[test]
    fn another_inode_is_another_file_only_where_numbers_are_kept() {
        let (kept, made_up) = (Inodes::default(), Inodes::made_up_on(&[3, 9]));
        for (what, now, where_kept, where_made_up) in [
            ("nothing", RECORDED, true, true),
            ("the device, as after a mount", Fingerprint { dev: 9, ..RECORDED }, true, true),
            ("the inode", Fingerprint { inode: 8, ..RECORDED }, false, true),
            ("inode and device", Fingerprint { inode: 8, dev: 9, ..RECORDED }, false, true),
            ("the inode, on a device that keeps them", Fingerprint { inode: 8, dev: 4, ..RECORDED }, false, false),
            ("the size", Fingerprint { size: 11, ..RECORDED }, false, false),
            ("size and inode", Fingerprint { size: 11, inode: 8, ..RECORDED }, false, false),
            ("the mtime", Fingerprint { mtime_ns: 1_001, ..RECORDED }, false, false),
            ("mtime and inode", Fingerprint { mtime_ns: 1_001, inode: 8, ..RECORDED }, false, false),
            ("the mtime, to an older one", Fingerprint { mtime_ns: 1, ..RECORDED }, false, false),
            ("the ctime", Fingerprint { ctime_ns: 2_001, ..RECORDED }, false, false),
            ("ctime and inode", Fingerprint { ctime_ns: 2_001, inode: 8, ..RECORDED }, false, false),
        ] {
            assert_eq!(kept.unchanged(&now, &RECORDED), where_kept, "{what} changed, where numbers are kept");
            assert_eq!(made_up.unchanged(&now, &RECORDED), where_made_up, "{what} changed, where they are made up");
        }
    }

    #[test]
    fn the_mount_table_tells_whose_numbers_are_kept() {
        for (kind, options, kept) in [
            ("ext4", "rw", true),
            ("xfs", "rw", true),
            ("btrfs", "rw", true),
            ("tmpfs", "rw", true),
            ("overlay", "rw", true),
            ("ntfs3", "rw", true),
            ("nfs4", "rw,vers=4.2", true),
            ("9p", "rw", true),
            ("virtiofs", "rw", true),
            ("cifs", "rw,vers=3.1.1,serverino,rsize=4194304", true),
            ("cifs", "rw,vers=3.1.1,rsize=4194304", false),
            ("smb3", "rw,nounix", false),
            ("smb3", "rw,serverino", true),
            ("fuse.sshfs", "rw,user_id=0", false),
            ("fuse.rclone", "rw", false),
            ("fuse", "rw", false),
            ("fuseblk", "rw", false),
            ("vfat", "rw", false),
            ("msdos", "rw", false),
            ("exfat", "rw", false),
            ("vboxsf", "rw", false),
            ("unheard-of", "rw", true),
        ] {
            let line = format!("22 1 8:17 / /mnt rw - {kind} what {options}");
            let inodes = Inodes::by(&MountTable::parse(line.as_bytes()));
            assert_eq!(inodes.are_kept(rustix::fs::makedev(8, 17)), kept, "{kind} {options}");
            assert!(inodes.are_kept(rustix::fs::makedev(8, 18)), "another device");
        }
        assert_eq!(Inodes::by(&MountTable::parse(b"22 1 8 / /mnt rw - vfat\nnonsense")), Inodes::default());
    }

    #[test]
    fn a_device_is_numbered_as_files_tell_it() {
        use std::os::unix::fs::MetadataExt as _;
        // Of the machine's own table, `/proc` is told by both.
        let table = std::fs::read("/proc/self/mountinfo").unwrap();
        let line =
            table.split(|byte| *byte == b'\n').rfind(|line| line.split(|byte| *byte == b' ').nth(4) == Some(b"/proc"));
        let Some(line) = line else { return };
        let told = String::from_utf8_lossy(line).replace(" - proc ", " - vfat ");
        let dev = std::fs::metadata("/proc").unwrap().dev();
        assert!(!Inodes::by(&MountTable::parse(told.as_bytes())).are_kept(dev), "{told}");
    }
}
