//! What to do in each case where the mirror has a choice.
//!
//! Owns: the policies as plain enums with the names they have in the configuration.
//! Never does: deciding. Imports nothing of ours: the pure planner uses them.

use std::fmt;

use serde::Serialize;

/// A value that is one of a few names.
pub trait Choice: Copy + 'static {
    /// All of them, the default first.
    const ALL: &'static [Self];
    /// The name in the configuration.
    fn as_str(&self) -> &'static str;
}

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
        pub enum $name {
            $($(#[$about])* #[serde(rename = $text)] $variant,)+
        }

        impl Choice for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn as_str(&self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

choice! {
    /// How changes on disk are noticed.
    Watch {
        /// Events where the file system gives them, else polling.
        #[default]
        Auto = "auto",
        /// Events only.
        Native = "native",
        /// Polling only.
        Poll = "poll",
    }
}

choice! {
    /// A file's content changed.
    OnChange {
        /// Replace the asset's file at the same URL.
        #[default]
        KeepUrl = "keep_url",
        /// Replace the asset's file; it gets a new URL.
        NewUrl = "new_url",
    }
}

choice! {
    /// A file was renamed or moved.
    OnRename {
        /// The asset keeps its filename and URL.
        #[default]
        KeepUrl = "keep_url",
        /// The asset gets the new filename, and so a new URL.
        Rename = "rename",
    }
}

choice! {
    /// A file is gone from the folder.
    OnDelete {
        /// The asset stays as it is.
        #[default]
        Keep = "keep",
        /// The asset stays and is tagged.
        Tag = "tag",
        /// The asset is deleted, if the mirror made it and nothing uses it.
        Delete = "delete",
    }
}

choice! {
    /// An editor replaced an asset's file in the CMS.
    OnRemoteChange {
        /// Say so and touch nothing.
        #[default]
        Report = "report",
        /// Put the folder's file back.
        Overwrite = "overwrite",
        /// Let the editor's file stand.
        Accept = "accept",
    }
}

choice! {
    /// An editor deleted an asset in the CMS.
    OnRemoteDelete {
        /// Say so once and remember it.
        #[default]
        Report = "report",
        /// Make it again.
        Recreate = "recreate",
    }
}

choice! {
    /// Two paths have the same content.
    Duplicates {
        /// They share one asset.
        #[default]
        Share = "share",
        /// Each has its own.
        Separate = "separate",
    }
}

choice! {
    /// How the stamp on an asset names the file's path.
    StampMode {
        /// As it is.
        #[default]
        Path = "path",
        /// As a digest, which tells nothing about the folder.
        Digest = "digest",
    }
}

/// How much one run may delete before the guard stops it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum MaxDelete {
    /// So many files.
    Files(u64),
    /// So many per cent of the mirrored files, 0 to 100.
    Percent(f64),
    /// So many files, and at most so many per cent.
    Both(u64, f64),
}

impl Default for MaxDelete {
    fn default() -> Self {
        Self::Both(25, 10.0)
    }
}

impl MaxDelete {
    /// How many of `mirrored` files may be deleted in one run. A percentage is rounded down, but allows one file
    /// unless it is zero, so that small mirrors can delete at all.
    #[must_use]
    pub fn allowed(self, mirrored: u64) -> u64 {
        match self {
            Self::Files(files) => files,
            Self::Both(files, percent) => files.min(Self::Percent(percent).allowed(mirrored)),
            Self::Percent(percent) if percent <= 0.0 || mirrored == 0 => 0,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "0 to 100 per cent of a count of files is a count of files"
            )]
            Self::Percent(percent) => ((mirrored as f64 * percent / 100.0).floor() as u64).max(1),
        }
    }
}

impl fmt::Display for MaxDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(files) => write!(f, "{files}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Both(files, percent) => write!(f, "{files}, and at most {percent} %"),
        }
    }
}

/// Which collection of the media area holds the assets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Collections {
    /// Collections are left to the editors.
    #[default]
    None,
    /// Folders become collections.
    Mirror,
    /// All in one; labels from the outermost in, joined by `/`.
    Into(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deletion_guard_counts_files() {
        for (guard, mirrored, allowed) in [
            (MaxDelete::Files(25), 3, 25),
            (MaxDelete::Files(0), 3, 0),
            (MaxDelete::Percent(10.0), 1000, 100),
            (MaxDelete::Percent(10.0), 19, 1),
            (MaxDelete::Percent(10.0), 3, 1),
            (MaxDelete::Percent(10.0), 0, 0),
            (MaxDelete::default(), 1000, 25),
            (MaxDelete::default(), 250, 25),
            (MaxDelete::default(), 249, 24),
            (MaxDelete::default(), 25, 2),
            (MaxDelete::default(), 3, 1),
            (MaxDelete::default(), 0, 0),
            (MaxDelete::Percent(0.0), 1000, 0),
            (MaxDelete::Percent(100.0), 7, 7),
        ] {
            assert_eq!(guard.allowed(mirrored), allowed, "{guard} of {mirrored}");
        }
    }

    #[test]
    fn the_first_choice_is_the_default() {
        assert_eq!(OnDelete::ALL.first(), Some(&OnDelete::default()));
        assert_eq!(OnChange::ALL.first(), Some(&OnChange::default()));
        assert_eq!(OnRemoteChange::default().to_string(), "report");
    }
}
