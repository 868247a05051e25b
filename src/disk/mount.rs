//! Which file system a folder lies on.
//!
//! Owns: reading Linux's mount table, and knowing which file systems change without telling this machine, and which are
//! stamped by its clock.
//! Never does: asking the file system itself: `statfs` on a dead server may never return, the table always does.
//! Called by: the root's guard and the watcher.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::{ffi::OsString, fs, io};

use serde::{Deserialize, Serialize};

/// One line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// As the kernel names it: `ext4`, `nfs4`, `cifs`, `fuse.sshfs` …
    pub fs_type: String,
    /// What is mounted: a device, `server:/export`, `//server/share` …
    pub source: String,
}

/// All mounts this process sees, in the kernel's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountTable(Vec<Mount>);

/// File systems whose content others can change without an event here. `overlay` is among them because a change
/// in a lower layer gives none.
const SILENT: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fakeowner",
    "fuse",
    "gfs2",
    "grpcfuse",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "osxfs",
    "overlay",
    "prl_fs",
    "smb2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
];

/// File systems whose files this machine's kernel stamps by its own clock. Of an `overlay` that is true for all that is
/// written through it. FAT is left out: what it tells as ctime is another time.
const OURS: &[&str] = &[
    "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay", "ramfs", "reiserfs",
    "rootfs", "squashfs", "tmpfs", "ubifs", "xfs", "zfs",
];

impl Mount {
    /// Whether this machine's own clock stamps the files here.
    #[must_use]
    pub fn keeps_our_time(&self) -> bool {
        OURS.contains(&self.fs_type.as_str())
    }

    /// Whether changes others make here give no event on this machine, so that the folder has to be polled.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        SILENT.contains(&self.fs_type.as_str()) || self.fs_type.starts_with("fuse.")
    }
}

impl MountTable {
    /// Reads `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// When it cannot be read: not Linux, or no `/proc`.
    pub fn read() -> io::Result<Self> {
        fs::read("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    /// Parses the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)); lines in another form are left out.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(parse_line).collect())
    }

    /// The mount an absolute path without symlinks lies on: the longest mount point above it, and of several mounts on
    /// one point the last, which hides the others.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<&Mount> {
        let length = |mount: &&Mount| mount.point.components().count();
        self.0.iter().filter(|mount| path.starts_with(&mount.point)).max_by_key(length)
    }
}

/// `36 35 98:0 /root /point options tag:1 tag:2 - type source super-options`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = PathBuf::from(unescaped(fields.nth(4)?));
    fields.find(|field| *field == b"-")?;
    let mut text = || fields.next().map(|field| unescaped(field).to_string_lossy().into_owned());
    Some(Mount { point, fs_type: text()?, source: text()? })
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.first_chunk::<3>().and_then(octal)).flatten();
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let text = OsStr::from_bytes(digits).to_str()?;
    u8::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = br"22 1 252:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw shared:5 - proc proc rw
30 22 0:40 / /mnt/brand rw shared:9 - autofs systemd-1 rw,fd=5
31 30 0:41 / /mnt/brand rw,relatime shared:10 master:2 - nfs4 nas:/export/brand rw,vers=4.2
32 22 0:42 / /mnt/brand\040files rw - cifs //nas/brand\040files rw
33 22 0:43 /sub /mnt/ssh rw - fuse.sshfs me@host: rw
34 22 0:44 / /mnt/odd\134x rw - fuseblk /dev/sdb1 rw
broken line
35 22 0:45 / /var/lib/c/merged rw - overlay overlay rw,lowerdir=/a
";

    #[test]
    fn a_path_lies_on_the_longest_and_last_mount_above_it() {
        let table = MountTable::parse(TABLE);
        let cases = [
            ("/srv/brand", "ext4", "/dev/vda", false),
            ("/mnt/brand", "nfs4", "nas:/export/brand", true),
            ("/mnt/brand/logos", "nfs4", "nas:/export/brand", true),
            ("/mnt/brandnew", "ext4", "/dev/vda", false),
            ("/mnt/brand files/x", "cifs", "//nas/brand files", true),
            ("/mnt/ssh", "fuse.sshfs", "me@host:", true),
            ("/mnt/odd\\x/y", "fuseblk", "/dev/sdb1", false),
            ("/var/lib/c/merged/srv", "overlay", "overlay", true),
        ];
        for (path, fs_type, source, silent) in cases {
            let mount = table.of(Path::new(path)).unwrap();
            assert_eq!((mount.fs_type.as_str(), mount.source.as_str()), (fs_type, source), "{path}");
            assert_eq!(mount.is_silent(), silent, "{path}");
        }
        assert_eq!(MountTable::parse(b"").of(Path::new("/srv")), None);
    }

    #[test]
    fn escapes_that_are_none_are_kept() {
        assert_eq!(unescaped(br"a\04"), OsStr::new(r"a\04"));
        assert_eq!(unescaped(br"a\999b"), OsStr::new(r"a\999b"));
        assert_eq!(unescaped(br"\011\012"), OsStr::new("\t\n"));
    }
}
