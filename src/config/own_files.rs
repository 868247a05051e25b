//! Files of dato-mirror itself that may lie in a mirrored folder: the index, the configuration, the token, the manifest.
//!
//! Owns: which they are, and that no mirror takes them for its own. Never does: reading them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::api::{Api, TokenOrigin};
use super::folders::{StatePlace, real_path};
use super::mirror::Mirror;

/// Our own files, which must never become assets: a token in a media area is public, and a manifest that is mirrored
/// changes itself.
pub(super) fn own_files(api: &Api, state: Option<&StatePlace>, config: Option<&Path>) -> Vec<(PathBuf, &'static str)> {
    let token = match &api.token_origin {
        Some(TokenOrigin::File(path) | TokenOrigin::Credential(path)) => Some(path.as_path()),
        _ => None,
    };
    // SQLite keeps more files beside the index, named after it; below the user's own state folder there are the indexes of
    // other configurations too.
    let (index, old) = (state.map(|state| state.path.as_path()), state.and_then(|state| state.old.as_deref()));
    let all = old.and_then(Path::parent);
    let named = [(index, "*"), (all, "/**"), (config, ""), (token, "")];
    named.into_iter().filter_map(|(path, rest)| Some((path?.to_path_buf(), rest))).collect()
}

/// Leaves these files, and the mirror's own manifest, out of the mirror.
pub(super) fn exclude_own_files(mirror: &mut Mirror, own: &[(PathBuf, &'static str)]) {
    // The file itself may be a link; its name is what the walk meets.
    let real = |path: &Path| Some(real_path(path.parent()?).join(path.file_name()?));
    let root = mirror.root.clone();
    let real_root = real_path(&root);
    let manifest = mirror.manifest.iter().map(|path| (path.clone(), ""));
    let types = mirror.manifest.iter().map(|path| (path.with_extension("d.ts"), ""));
    for (path, rest) in own.iter().cloned().chain(manifest).chain(types) {
        let real = real(&path);
        let as_written = path.strip_prefix(&root).ok();
        let really = real.as_ref().and_then(|real| real.strip_prefix(&real_root).ok());
        let inside = [as_written, really].into_iter().flatten();
        let keys: BTreeSet<_> = inside.filter_map(|inside| crate::model::RelPath::new(inside).ok()).collect();
        for key in keys {
            // The empty alternative before the slash anchors the pattern at the root: without a slash it would be about
            // every file of this name.
            mirror.exclude.push(format!("{{/,{}{rest}}}", globset::escape(key.key()).replace(',', "[,]")));
        }
    }
}
