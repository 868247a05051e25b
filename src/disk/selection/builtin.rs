//! Names that are never assets.
//!
//! Owns: the built-in skip list, each entry with its reason. It looks at one name at a time, of a file or of a folder on
//! the way, without regard to case.
//! Never does: user patterns.

/// How an entry describes a name; every text is lower case.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Is(&'static str),
    Starts(&'static str),
    Ends(&'static str),
    Around(&'static str, &'static str),
    /// The text, then digits only.
    Numbered(&'static str),
    /// `NAME.sb-XXXXXXXX-XXXXXX`: eight hexadecimal digits, six letters or digits.
    SafeSave,
}

use Shape::{Around, Ends, Is, Numbered, SafeSave, Starts};

/// The first entry that fits gives the reason, so the particular ones stand before the general ones.
const SKIPPED: &[(Shape, &str)] = &[
    (Is(".ds_store"), "macOS Finder keeps a folder's view settings in it"),
    (Starts("._"), "macOS keeps a file's resource fork in it on foreign disks"),
    (Is("icon\r"), "macOS keeps a folder's icon in it"),
    (Is("__macosx"), "macOS adds it to ZIP archives"),
    (Is("temporary items"), "macOS keeps files there while they are saved to a share"),
    (Is("network trash folder"), "macOS keeps deleted files of a share there"),
    (Starts("(a document being saved by "), "macOS applications build the new version there while saving"),
    (SafeSave, "macOS applications write it while saving and rename it afterwards"),
    (Is("thumbs.db"), "Windows keeps thumbnails in it"),
    (Is("ehthumbs.db"), "Windows keeps thumbnails in it"),
    (Is("desktop.ini"), "Windows keeps a folder's view settings in it"),
    (Is("$recycle.bin"), "Windows keeps deleted files there"),
    (Is("system volume information"), "Windows keeps file system records there"),
    (Is("@eadir"), "a Synology server keeps thumbnails there"),
    (Is("#recycle"), "a Synology server keeps deleted files there"),
    (Is("#snapshot"), "a Synology server shows snapshots there"),
    (Is("@recycle"), "a QNAP server keeps deleted files there"),
    (Is("@recently-snapshot"), "a QNAP server shows snapshots there"),
    (Is("lost+found"), "the file system check keeps what it rescued there"),
    (Starts("~$"), "Microsoft Office's lock file while a document is open"),
    (Around(".~lock.", "#"), "LibreOffice's lock file while a document is open"),
    (Ends(".idlk"), "Adobe InDesign's lock file while a document is open"),
    (Ends(".prlock"), "Adobe Premiere's lock file while a project is open"),
    (Ends("~lock~"), "Affinity's lock file while a document is open"),
    (Ends(".lck"), "a lock file"),
    (Ends(".dwl"), "AutoCAD's lock file while a drawing is open"),
    (Ends(".dwl2"), "AutoCAD's lock file while a drawing is open"),
    (Numbered("photoshop temp"), "Adobe Photoshop's scratch file"),
    (Ends(".swp"), "vim's swap file"),
    (Ends(".swo"), "vim's swap file"),
    (Ends(".swx"), "vim's swap file"),
    (Around("#", "#"), "Emacs' auto-save file"),
    (Ends("~"), "an editor's backup"),
    (Ends(".tmp"), "a temporary file"),
    (Ends(".temp"), "a temporary file"),
    (Ends(".part"), "a download that is not finished"),
    (Ends(".partial"), "a download that is not finished"),
    (Ends(".crdownload"), "a download that is not finished (Chrome)"),
    (Ends(".download"), "a download that is not finished (Safari)"),
    (Ends(".opdownload"), "a download that is not finished (Opera)"),
    (Ends(".filepart"), "a transfer that is not finished (WinSCP)"),
    (Ends(".aria2"), "a download that is not finished (aria2)"),
    (Ends(".drivedownload"), "a download that is not finished (Google Drive)"),
    (Starts(".fuse_hidden"), "a deleted file that some program still has open"),
    (Starts(".nfs"), "a deleted file that some program still has open"),
    (Starts("."), "hidden files and folders are not mirrored; rsync, Syncthing and others keep unfinished files there"),
];

/// Why a file or folder with this name is skipped; `None` when it is not.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    entry(name).map(|(_, reason)| reason)
}

/// Why a folder with this name is skipped, where a person may have named it so and expects it to be mirrored: by a part of
/// the name that programs give to files. No program's own folder, such as `.git` or `@eaDir`, is meant by anybody.
pub(super) fn reason_of_a_persons_folder(name: &str) -> Option<&'static str> {
    entry(name).filter(|(shape, _)| matches!(shape, Ends(_) | Numbered(_) | Around("#", "#"))).map(|(_, reason)| reason)
}

fn entry(name: &str) -> Option<(Shape, &'static str)> {
    let lower;
    let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        lower = name.to_ascii_lowercase();
        &lower
    } else {
        name
    };
    let (first, last) = (name.as_bytes().first()?, name.as_bytes().last()?);
    let mut left = CANDIDATES.first[usize::from(*first)] & CANDIDATES.last[usize::from(*last)];
    while left != 0 {
        let (shape, reason) = SKIPPED[left.trailing_zeros() as usize];
        if shape.fits(name) {
            return Some((shape, reason));
        }
        left &= left - 1;
    }
    None
}

/// The entries that a name can fit by its first byte, and by its last: bit n stands for entry n. Nearly every name of a
/// library fits none, and a walk asks for each.
struct Candidates {
    first: [u64; 256],
    last: [u64; 256],
}

static CANDIDATES: Candidates = candidates();

const fn candidates() -> Candidates {
    assert!(SKIPPED.len() <= 64, "one bit an entry");
    let mut candidates = Candidates { first: [0; 256], last: [0; 256] };
    let mut entry = 0;
    while entry < SKIPPED.len() {
        let (start, end) = match SKIPPED[entry].0 {
            Is(whole) => (Some(whole), Some(whole)),
            Starts(start) | Numbered(start) => (Some(start), None),
            Ends(end) => (None, Some(end)),
            Around(start, end) => (Some(start), Some(end)),
            SafeSave => (None, None),
        };
        let mut byte = 0;
        while byte < 256 {
            if fits_at(start, byte, 0) {
                candidates.first[byte] |= 1 << entry;
            }
            if fits_at(end, byte, 1) {
                candidates.last[byte] |= 1 << entry;
            }
            byte += 1;
        }
        entry += 1;
    }
    candidates
}

/// Whether the text's first byte, or its last when `from_end` is 1, is this one; any is when there is no text.
const fn fits_at(text: Option<&str>, byte: usize, from_end: usize) -> bool {
    match text {
        Some(text) => text.as_bytes()[from_end * (text.len() - 1)] as usize == byte,
        None => true,
    }
}

impl Shape {
    fn fits(self, name: &str) -> bool {
        match self {
            Is(whole) => name == whole,
            Starts(start) => name.starts_with(start),
            // `.part` alone is a hidden file, not an unfinished one; `~` alone is a name like any other.
            Ends(end) => name.len() > end.len() && name.ends_with(end),
            Around(start, end) => {
                name.len() > start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
            }
            Numbered(start) => name
                .strip_prefix(start)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())),
            SafeSave => {
                name.rsplit_once(".sb-").and_then(|(_, rest)| rest.split_once('-')).is_some_and(|(hex, rest)| {
                    hex.len() == 8
                        && rest.len() == 6
                        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
                        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_list_are_skipped() {
        let skipped = [
            ".DS_Store",
            "._logo.svg",
            "Icon\r",
            "Thumbs.db",
            "THUMBS.DB",
            "desktop.ini",
            "~$Brand.pptx",
            ".~lock.Brand.odp#",
            ".logo.svg.swp",
            "logo.svg.swp",
            "a.tmp",
            ".a.tmp",
            "logo.svg~",
            "film.mp4.part",
            "film.mp4.crdownload",
            "film.mp4.download",
            "#recycle",
            "@eaDir",
            "__MACOSX",
            ".logo.png.Xa81Zq",
            "ps7F2A.tmp",
            "Photoshop Temp2481220",
            "Logo.afdesign~lock~",
            "logo.sketch.sb-1c0a2b3d-Yd3k1a",
            "(A Document Being Saved By Sketch)",
            "~WRD0001.tmp",
            "#logo.svg#",
            ".#logo.svg",
            ".git",
            ".x",
            "~brand~k2x8.idlk",
            ".fuse_hidden0001",
            ".nfs000001",
            "lost+found",
            "$RECYCLE.BIN",
            ".syncthing.a.png.tmp",
        ];
        for name in skipped {
            assert!(reason(name).is_some(), "{name}");
        }
    }

    #[test]
    fn ordinary_names_are_not_skipped() {
        let ordinary = [
            "logo.svg",
            "a.b.png",
            "~",
            "part",
            "tmp",
            "#",
            "##",
            "thumbs.png",
            "recycle",
            "Icon",
            "icon.png",
            "a#b.png",
            "_cover.jpg",
            "download",
            "ds_store",
            "20250101",
            "Präsentation.pdf",
            "lock.svg",
            "~a.png",
            "-.png",
            "a.template",
            "Photoshop Template.psd",
            "Photoshop Temp",
            "logo.sb-2024-final.png",
            "Recycler",
        ];
        for name in ordinary {
            assert_eq!(reason(name), None, "{name}");
        }
    }

    #[test]
    fn a_folder_that_a_person_may_have_named_so_is_told_and_a_programs_own_is_not() {
        for name in ["Template.temp", "backup~", "Entwurf.TMP", "#old#", "logos.download", "press.part"] {
            assert!(reason_of_a_persons_folder(name).is_some(), "{name}");
        }
        for name in [".git", "@eaDir", "__MACOSX", ".Trash-1000", "lost+found", "#recycle", "logos"] {
            assert_eq!(reason_of_a_persons_folder(name), None, "{name}");
        }
    }

    #[test]
    fn the_particular_reason_comes_before_the_general_one_and_every_entry_is_lower_case() {
        assert!(reason(".DS_Store").is_some_and(|text| text.contains("Finder")));
        assert!(reason(".~lock.a.odt#").is_some_and(|text| text.contains("LibreOffice")));
        for (shape, _) in SKIPPED {
            let text = match shape {
                Is(text) | Starts(text) | Ends(text) | Numbered(text) => (*text).to_owned(),
                SafeSave => continue,
                Around(start, end) => format!("{start}{end}"),
            };
            assert_eq!(text, text.to_lowercase());
        }
    }
}
