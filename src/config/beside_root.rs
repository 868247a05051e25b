//! A configuration file beside a folder that is given instead of its mirrors.
//!
//! Owns: what is said of the part of the file that is not used. Never does: choosing what is.

use std::path::Path;

use super::folders::{Folders, real_path};
use super::mirror::Placed;

/// What a file and a folder given beside it come to: the folder is mirrored with the file's [api], [state] and [status], and
/// without the keys of any of its mirrors. Nobody should have to find out.
pub(super) fn told_of_unused(mirrors: &[Placed], root: &Path, folders: &Folders<'_>) -> Option<String> {
    let names: Vec<&str> = mirrors.iter().map(|placed| placed.mirror.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let root = real_path(&folders.cwd.map_or_else(|| root.to_path_buf(), |cwd| cwd.join(root)));
    let same = mirrors.iter().find(|placed| real_path(&placed.mirror.root) == root);
    let advice = same.map_or_else(
        || "leave out --root to run them".to_owned(),
        |placed| format!("--mirror {} instead of --root mirrors this folder with its keys", placed.mirror.name),
    );
    Some(format!(
        "of the configuration file [api], [state] and [status] are used, and none of its mirrors ({}), because --root names a \
         folder; {advice}",
        names.join(", ")
    ))
}
