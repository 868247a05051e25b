//! Which files of a root the mirror looks at.
//!
//! Owns: `include` and `exclude`, the built-in skips, and what is a sidecar instead of an asset. Never does: I/O.

mod builtin;
mod pattern;

pub use pattern::{PatternSet, SelectionError};

use crate::model::{RelPath, SidecarKind, sidecar_kind};

/// The files one mirror is about.
#[derive(Debug, Clone)]
pub struct Selection {
    /// `None`: everything.
    include: Option<PatternSet>,
    exclude: PatternSet,
}

/// Why a file is, or is not, mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is an asset.
    Mirrored,
    /// It tells about other files and is no asset itself.
    Sidecar(SidecarKind),
    /// Its name, or a folder's on the way, is on the built-in list.
    BuiltIn {
        /// The name that is on the list.
        name: String,
        /// Why such names are skipped.
        reason: &'static str,
    },
    /// It, or a folder on the way, matches this `exclude` pattern.
    Excluded(String),
    /// No `include` pattern matches.
    NotIncluded,
}

impl Selection {
    /// Compiles `include` (empty: everything) and `exclude`.
    ///
    /// # Errors
    /// Names every pattern that cannot be understood.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, SelectionError> {
        let include = (!include.is_empty()).then(|| PatternSet::new(include)).transpose();
        match (include, PatternSet::new(exclude)) {
            (Ok(include), Ok(exclude)) => Ok(Self { include, exclude }),
            (Err(mut first), Err(second)) => {
                first.bad.extend(second.bad);
                Err(first)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Whether the file is an asset of the mirror: selected, on no skip list, and no sidecar.
    #[must_use]
    pub fn admits_file(&self, path: &RelPath) -> bool {
        self.verdict(path) == Verdict::Mirrored
    }

    /// Whether anything below this folder can be of interest; the walk and the watcher stay out of it otherwise.
    #[must_use]
    pub fn admits_dir(&self, path: &RelPath) -> bool {
        prefixes(path.key()).all(|folder| self.folder_obstacle(folder).is_none())
            && self.include.as_ref().is_none_or(|include| include.may_match_below(path.key()))
    }

    /// What becomes of the file, and why; for `explain`.
    #[must_use]
    pub fn verdict(&self, path: &RelPath) -> Verdict {
        prefixes(path.folder())
            .find_map(|folder| self.folder_obstacle(folder))
            .unwrap_or_else(|| self.verdict_in_admitted_folder(path))
    }

    /// As [`Selection::verdict`] for a file whose folders are known to be admitted: what the walk asks.
    pub(super) fn verdict_in_admitted_folder(&self, path: &RelPath) -> Verdict {
        if let Some(reason) = builtin::reason(path.file_name()) {
            return Verdict::BuiltIn { name: path.file_name().to_owned(), reason };
        }
        if let Some(kind) = sidecar_kind(path.key()) {
            return Verdict::Sidecar(kind);
        }
        if let Some(pattern) = self.exclude.first_match(path.key()) {
            return Verdict::Excluded(pattern.to_owned());
        }
        if self.include.as_ref().is_some_and(|include| !include.matches(path)) {
            return Verdict::NotIncluded;
        }
        Verdict::Mirrored
    }

    /// As [`Selection::admits_dir`] for a folder whose parents are known to be admitted.
    pub(super) fn admits_dir_in_admitted_folder(&self, path: &RelPath) -> bool {
        self.folder_obstacle(path.key()).is_none()
            && self.include.as_ref().is_none_or(|include| include.may_match_below(path.key()))
    }

    /// Why the built-in list keeps the walk out of this folder, where a person should hear of it: its name is one that people
    /// give, nobody excluded it, and something in it could be selected.
    pub(super) fn unexpected_obstacle(&self, path: &RelPath) -> Option<&'static str> {
        let reason = builtin::reason_of_a_persons_folder(path.file_name())?;
        let is_excluded = self.exclude.first_match_of_folder(path.key()).is_some();
        let may_match = self.include.as_ref().is_none_or(|include| include.may_match_below(path.key()));
        (!is_excluded && may_match).then_some(reason)
    }

    fn folder_obstacle(&self, folder: &str) -> Option<Verdict> {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        if let Some(reason) = builtin::reason(name) {
            return Some(Verdict::BuiltIn { name: name.to_owned(), reason });
        }
        self.exclude.first_match_of_folder(folder).map(|pattern| Verdict::Excluded(pattern.to_owned()))
    }
}

/// `a/b/c` → `a`, `a/b`, `a/b/c`; nothing for the root.
fn prefixes(key: &str) -> impl Iterator<Item = &str> {
    let ends = key.match_indices('/').map(|(at, _)| at).chain((!key.is_empty()).then_some(key.len()));
    ends.map(move |end| &key[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(include: &[&str], exclude: &[&str]) -> Selection {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(include), &owned(exclude)).unwrap()
    }

    fn rel(key: &str) -> RelPath {
        RelPath::from_key(key).unwrap()
    }

    #[test]
    fn patterns_select_what_a_designer_expects() {
        let cases: &[(&[&str], &[&str], &str, bool)] = &[
            (&[], &[], "a/b.png", true),
            (&["*.png"], &[], "b.png", true),
            (&["*.png"], &[], "a/deep/b.png", true),
            (&["*.png"], &[], "a/B.PNG", true),
            (&["*.PNG"], &[], "a/b.png", true),
            (&["*.png"], &[], "a/b.pngx", false),
            (&["**/*.{png,jpg}"], &[], "b.JPG", true),
            (&["**/*.{png,jpg}"], &[], "x/y/b.jpg", true),
            (&["**/*.{png,jpg}"], &[], "x/y/b.gif", false),
            (&["logos/*.svg"], &[], "logos/a.svg", true),
            (&["logos/*.svg"], &[], "logos/old/a.svg", false),
            (&["logos/*.svg"], &[], "x/logos/a.svg", false),
            (&["logos"], &[], "x/logos/old/a.svg", true),
            (&["logos/"], &[], "logos/a.svg", true),
            (&["/logos"], &[], "logos/a.svg", true),
            (&["/logos"], &[], "x/logos/a.svg", false),
            (&["**"], &[], "x/a.svg", true),
            (&["*.pdf", "logos/**"], &[], "logos/a.svg", true),
            (&[], &["drafts/**"], "drafts/a.svg", false),
            (&[], &["drafts/**"], "x/drafts/a.svg", true),
            (&[], &["drafts"], "x/drafts/y/a.svg", false),
            (&[], &["drafts/"], "x/drafts/y/a.svg", false),
            (&[], &["drafts/"], "x/drafts", true),
            (&[], &["Drafts"], "x/drafts/a.svg", false),
            (&[], &["*.psd"], "x/a.PSD", false),
            (&["*.png"], &["old/**/*.png"], "old/x/y.png", false),
            (&["*.png"], &["old/**/*.png"], "new/x/y.png", true),
            (&["**/caf\u{e9}/*"], &[], "caf\u{e9}/x.png", true),
            (&["**/cafe\u{301}/*"], &[], "CAF\u{c9}/x.png", true),
            (&["[ab].png"], &[], "A.png", true),
            (&[r"\!sale.png"], &[], "!sale.png", true),
            (&["{logos,icons}/*.svg"], &[], "icons/a.svg", true),
            (&["{\u{e9},\u{fc}}.png"], &[], "\u{dc}.png", true),
        ];
        for (include, exclude, key, expected) in cases {
            let admitted = selection(include, exclude).admits_file(&rel(key));
            assert_eq!(admitted, *expected, "{include:?} {exclude:?} {key}");
        }
    }

    #[test]
    fn folders_that_hold_nothing_of_interest_are_pruned_and_no_others() {
        let cases: &[(&[&str], &[&str], &str, bool)] = &[
            (&[], &[], "a/b", true),
            (&[], &["drafts/**"], "drafts", false),
            (&[], &["drafts/**"], "drafts/x", false),
            (&[], &["drafts/**/*.png"], "drafts", true),
            (&[], &["drafts/*"], "drafts", true),
            (&[], &["drafts/*"], "drafts/x", false),
            (&[], &["node_modules"], "a/node_modules", false),
            (&["logos/**"], &[], "logos", true),
            (&["logos/**"], &[], "logos/x", true),
            (&["logos/**"], &[], "photos", false),
            (&["a/b/*.png"], &[], "a", true),
            (&["a/b/*.png"], &[], "a/c", false),
            (&["a/b/*.png", "*.svg"], &[], "a/c", true),
            (&["{a,b}/**"], &[], "c", true),
            (&["A/b/**"], &[], "a/B", true),
            (&[], &[], ".git", false),
            (&[], &[], "x/@eaDir/y", false),
        ];
        for (include, exclude, key, expected) in cases {
            assert_eq!(selection(include, exclude).admits_dir(&rel(key)), *expected, "{include:?} {exclude:?} {key}");
        }
    }

    #[test]
    fn a_verdict_names_its_cause() {
        let selection = selection(&["*.png", "logos"], &["drafts/**"]);
        assert_eq!(selection.verdict(&rel("a.png")), Verdict::Mirrored);
        assert_eq!(selection.verdict(&rel("a.gif")), Verdict::NotIncluded);
        assert_eq!(selection.verdict(&rel("drafts/x/a.png")), Verdict::Excluded("drafts/**".into()));
        assert_eq!(selection.verdict(&rel("a.png.meta.toml")), Verdict::Sidecar(SidecarKind::File));
        assert!(matches!(selection.verdict(&rel(".git/a.png")), Verdict::BuiltIn { name, .. } if name == ".git"));
    }

    #[test]
    fn every_bad_pattern_is_named_at_once() {
        let error = Selection::new(
            &["a[".into(), "*.png".into()],
            &["{a".into(), "!x".into(), "".into(), "[\u{e9}]".into(), "../a".into()],
        )
        .unwrap_err();
        let text = error.to_string();
        for pattern in ["\"a[\"", "\"{a\"", "\"!x\"", "\"\"", "\"[\u{e9}]\"", "\"../a\""] {
            assert!(text.contains(pattern), "{text}");
        }
        assert!(!text.contains("*.png"), "{text}");
    }
}
