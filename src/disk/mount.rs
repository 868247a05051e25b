//! Which file system a folder lies on.
//!
//! Owns: reading Linux's mount table, telling whether two of its lines mean the same file system, and knowing which
//! file systems change without telling this machine, which are stamped by its clock, and which make up inode numbers.
//! Never does, but in [`Mount::identified`]: asking the file system itself: `statfs` on a dead server may never return, the
//! table always does.

use std::collections::HashMap;
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
    /// The identifier that the file system on a device carries itself, or one by which a file system without a device is known
    /// again; `None` where the system does not tell.
    #[serde(default)]
    pub uuid: Option<String>,
}

impl std::fmt::Display for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} on {}", self.fs_type, self.source, self.point.display())
    }
}

/// All mounts this process sees, in the kernel's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountTable {
    mounts: Vec<Mount>,
    /// The device numbers of those that make up inode numbers.
    made_up: Vec<u64>,
}

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

/// File systems that give a file a number when they meet it, and another one when they have forgotten it: FAT has none to
/// keep, and what lies behind a FUSE mount rarely tells any. (`fuseblk` may be NTFS, which keeps them; nothing tells.)
const MADE_UP: &[&str] = &["exfat", "fuse", "fuseblk", "msdos", "vboxsf", "vfat"];
/// Of these the option `serverino` says that the numbers are the server's. It goes away where the server has none.
const BY_OPTION: &[&str] = &["cifs", "smb3"];

/// File systems without a device, a server or a name of their own: whatever is mounted is called `tmpfs`, `overlay`, `none`.
const NAMELESS: &[&str] = &["aufs", "overlay", "ramfs", "rootfs", "tmpfs"];

/// Where udev names the file systems on devices.
const BY_UUID: &str = "/dev/disk/by-uuid";

impl Mount {
    /// Whether both are the same file system in the same place. Where both tell their identifiers these decide: a disk that
    /// is plugged in again may get another device name, and another disk may get the name that it had.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same = match (&self.uuid, &other.uuid) {
            (Some(one), Some(other)) => one == other,
            _ => self.source == other.source,
        };
        same && self.point == other.point && self.fs_type == other.fs_type
    }

    /// Whether nothing in the mount table tells this file system from another of its kind. The system's own root is left out:
    /// nobody mounts another one there, and each container has a new one.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        NAMELESS.contains(&self.fs_type.as_str()) && !self.source.starts_with('/') && self.point != Path::new("/")
    }

    /// The same, identified by when its topmost folder was made where nothing else tells: nobody can replace that folder
    /// without another mount. It asks the file system itself.
    #[must_use]
    pub fn identified(mut self) -> Self {
        if self.uuid.is_none() && self.is_nameless() {
            let made = fs::metadata(&self.point).and_then(|folder| folder.created()).ok();
            let since = made.and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
            self.uuid = since.map(|since| format!("made {}", since.as_nanos()));
        }
        self
    }

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
        let mut table = fs::read("/proc/self/mountinfo").map(|text| Self::parse(&text))?;
        if table.mounts.iter().any(|mount| mount.source.starts_with("/dev/")) {
            table.identify(&identifiers(Path::new(BY_UUID)));
        }
        Ok(table)
    }

    /// Gives the mounts of these devices their identifiers.
    fn identify(&mut self, identifiers: &HashMap<PathBuf, String>) {
        for mount in self.mounts.iter_mut().filter(|mount| mount.source.starts_with("/dev/")) {
            // Names such as `/dev/mapper/x` and `/dev/root` are links, or nothing at all.
            let device = fs::canonicalize(&mount.source).unwrap_or_else(|_| PathBuf::from(&mount.source));
            mount.uuid = identifiers.get(&device).cloned();
        }
    }

    /// Parses the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)); lines in another form are left out.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut table = Self::default();
        for (mount, device) in text.split(|byte| *byte == b'\n').filter_map(parse_line) {
            table.mounts.push(mount);
            table.made_up.extend(device);
        }
        table
    }

    /// The numbers, as `stat` tells them, of devices whose inode numbers are made up.
    #[must_use]
    pub(super) fn devices_with_made_up_inodes(&self) -> &[u64] {
        &self.made_up
    }

    /// The mount an absolute path without symlinks lies on: the longest mount point above it, and of several mounts on
    /// one point the last, which hides the others.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<&Mount> {
        let length = |mount: &&Mount| mount.point.components().count();
        self.mounts.iter().filter(|mount| path.starts_with(&mount.point)).max_by_key(length)
    }

    /// The mounts below an absolute folder without symlinks, one for each point: the last hides the others.
    #[must_use]
    pub fn below(&self, folder: &Path) -> Vec<Mount> {
        let mut found: Vec<Mount> = Vec::new();
        for mount in self.mounts.iter().filter(|mount| mount.point != folder && mount.point.starts_with(folder)) {
            found.retain(|earlier| earlier.point != mount.point);
            found.push(mount.clone());
        }
        found
    }
}

/// The identifiers of the file systems on devices; none where nobody keeps `folder`, as in most containers.
fn identifiers(folder: &Path) -> HashMap<PathBuf, String> {
    let links = fs::read_dir(folder).into_iter().flatten().flatten();
    links
        .filter_map(|link| {
            let device = fs::canonicalize(link.path()).ok()?;
            Some((device, link.file_name().to_string_lossy().into_owned()))
        })
        .collect()
}

/// `36 35 98:0 /root /point options tag:1 tag:2 - type source super-options`; the mount, and its device where that makes up
/// inode numbers.
fn parse_line(line: &[u8]) -> Option<(Mount, Option<u64>)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = fields.nth(2).and_then(device_number);
    let point = PathBuf::from(unescaped(fields.nth(1)?));
    fields.find(|field| *field == b"-")?;
    let mut text = || fields.next().map(|field| unescaped(field).to_string_lossy().into_owned());
    let mount = Mount { point, fs_type: text()?, source: text()?, uuid: None };
    let options = text().unwrap_or_default();
    let device = device.filter(|_| makes_up_inodes(&mount.fs_type, &options));
    Some((mount, device))
}

/// Of `MAJOR:MINOR`.
fn device_number(text: &[u8]) -> Option<u64> {
    let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
}

fn makes_up_inodes(fs_type: &str, options: &str) -> bool {
    let by_server = || options.split(',').any(|option| option == "serverino");
    MADE_UP.contains(&fs_type) || fs_type.starts_with("fuse.") || BY_OPTION.contains(&fs_type) && !by_server()
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
        let below =
            |folder: &str| table.below(Path::new(folder)).into_iter().map(|mount| mount.source).collect::<Vec<_>>();
        assert_eq!(below("/mnt"), ["nas:/export/brand", "//nas/brand files", "me@host:", "/dev/sdb1"]);
        assert_eq!(below("/mnt/brand"), [""; 0]);
    }

    #[test]
    fn a_file_system_is_told_by_its_identifier_and_without_one_by_its_device() {
        let mount = |source: &str, uuid: Option<&str>| Mount {
            point: "/mnt/brand".into(),
            fs_type: "ext4".into(),
            source: source.into(),
            uuid: uuid.map(str::to_owned),
        };
        for (what, before, now, same) in [
            ("plugged in again", mount("/dev/sdb1", Some("a")), mount("/dev/sdc1", Some("a")), true),
            ("another disk under the same name", mount("/dev/sdb1", Some("a")), mount("/dev/sdb1", Some("b")), false),
            ("nobody tells", mount("/dev/sdb1", None), mount("/dev/sdb1", None), true),
            ("nobody tells, and the name differs", mount("/dev/sdb1", None), mount("/dev/sdc1", None), false),
            ("it was not told before", mount("/dev/sdb1", None), mount("/dev/sdb1", Some("a")), true),
        ] {
            assert_eq!(before.is_same(&now), same, "{what}");
        }
        let elsewhere = Mount { point: "/mnt/other".into(), ..mount("/dev/sdb1", Some("a")) };
        assert!(!elsewhere.is_same(&mount("/dev/sdb1", Some("a"))), "a copy of the mount elsewhere");
    }

    #[test]
    fn a_file_system_without_a_name_is_known_by_when_its_topmost_folder_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let mount = |fs_type: &str, point: &Path| Mount {
            point: point.into(),
            fs_type: fs_type.into(),
            source: "none".into(),
            uuid: None,
        };
        let seen = || mount("tmpfs", folder.path()).identified();
        let before = seen();
        assert!(before.uuid.as_ref().is_some_and(|made| made.starts_with("made ")), "{before:?}");
        assert!(before.is_same(&seen()) && before.is_same(&mount("tmpfs", folder.path())), "an older index has none");
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::remove_dir(folder.path()).unwrap();
        fs::create_dir(folder.path()).unwrap();
        assert!(!before.is_same(&seen()), "another one of the same name");
        for named in [mount("nfs4", folder.path()), mount("ext4", folder.path()), mount("overlay", Path::new("/"))] {
            assert_eq!(named.clone().identified(), named);
        }
    }

    #[test]
    fn devices_are_identified_through_the_links_of_udev() {
        let folder = tempfile::tempdir().unwrap();
        let (device, links) = (folder.path().join("sdb1"), folder.path().join("by-uuid"));
        fs::write(&device, "").unwrap();
        fs::create_dir(&links).unwrap();
        std::os::unix::fs::symlink("../sdb1", links.join("5f0c-11aa")).unwrap();
        let found = identifiers(&links);
        assert_eq!(found, HashMap::from([(device.canonicalize().unwrap(), "5f0c-11aa".to_owned())]));
        assert!(identifiers(&folder.path().join("missing")).is_empty());

        let mut table = MountTable::parse(TABLE);
        let told = HashMap::from([(PathBuf::from("/dev/no-such-disk"), "x".to_owned())]);
        table.identify(&told);
        assert!(table.mounts.iter().all(|mount| mount.uuid.is_none()));
    }

    #[test]
    fn escapes_that_are_none_are_kept() {
        assert_eq!(unescaped(br"a\04"), OsStr::new(r"a\04"));
        assert_eq!(unescaped(br"a\999b"), OsStr::new(r"a\999b"));
        assert_eq!(unescaped(br"\011\012"), OsStr::new("\t\n"));
    }
}
