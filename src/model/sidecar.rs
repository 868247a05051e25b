//! Files that tell about other files.
//!
//! Owns: which names are the mirror's own metadata files; they are read, watched, and never become assets. Never does:
//! reading them (that is `metadata`).

/// What a sidecar tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SidecarKind {
    /// `NAME.EXT.meta.toml`: about the file `NAME.EXT` beside it.
    File,
    /// `_folder.meta.toml`: about its folder and all below.
    Folder,
    /// `_remote.toml`: files to fetch from URLs.
    Remote,
    /// `NAME.xmp` or `NAME.EXT.xmp`: an XMP packet that a photo tool keeps beside its file.
    Xmp,
}

impl SidecarKind {
    /// Whether it holds keys of metadata in TOML.
    #[must_use]
    pub const fn has_keys(self) -> bool {
        matches!(self, Self::File | Self::Folder)
    }
}

/// What kind of sidecar has this name (or key of a path); `None` for any other file.
#[must_use]
pub fn sidecar_kind(key: &str) -> Option<SidecarKind> {
    let name = key.rsplit('/').next().unwrap_or_default();
    let ends = |suffix: &str| {
        let start = name.len().checked_sub(suffix.len()).filter(|start| *start > 0)?;
        name.get(start..).filter(|end| end.eq_ignore_ascii_case(suffix))
    };
    match name {
        "_folder.meta.toml" => Some(SidecarKind::Folder),
        "_remote.toml" => Some(SidecarKind::Remote),
        _ if ends(".meta.toml").is_some() => Some(SidecarKind::File),
        _ if ends(".xmp").is_some() => Some(SidecarKind::Xmp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_are_told_by_name() {
        let cases = [
            ("a/logo.svg.meta.toml", Some(SidecarKind::File)),
            ("a/_folder.meta.toml", Some(SidecarKind::Folder)),
            ("_remote.toml", Some(SidecarKind::Remote)),
            ("a/photo.xmp", Some(SidecarKind::Xmp)),
            ("a/photo.jpg.XMP", Some(SidecarKind::Xmp)),
            ("a/photo.toml", None),
            ("a/remote.toml", None),
            ("a/xmp", None),
            ("a/.xmp", None),
            ("a/.meta.toml", None),
            (".meta.toml", None),
            ("a.toml", None),
            ("a/\u{e9}mp", None),
        ];
        for (key, kind) in cases {
            assert_eq!(sidecar_kind(key), kind, "{key}");
        }
    }
}
