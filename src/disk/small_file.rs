//! Small files that are read whole: metadata files and lists.
//!
//! This module owns their bound, and that what was read is the file that was looked at. It never interprets them.

use std::io::Read as _;

use super::{Fingerprint, OpenError, RootDir};
use crate::model::RelPath;

/// A metadata file of more bytes than this is not one.
const MAX_SIDECAR_BYTES: u64 = 1024 * 1024;

/// The content of the file that looks like `print`, before and after it is read; `None` when it does not.
pub fn read_as(root: &RootDir, path: &RelPath, print: &Fingerprint) -> Result<Option<Vec<u8>>, OpenError> {
    let (file, metadata) = root.file_and_metadata(path)?;
    let is_it = |metadata: &std::fs::Metadata| Fingerprint::from(metadata).unchanged_since(print);
    if !is_it(&metadata) {
        return Ok(None);
    }
    let mut content = Vec::new();
    let most = MAX_SIDECAR_BYTES;
    // What the file says of its size is not believed: it may grow, and some systems' files tell none.
    (&file).take(most + 1).read_to_end(&mut content).map_err(OpenError::Refused)?;
    if content.len() as u64 > most {
        return Err(OpenError::TooLarge { most });
    }
    // By its name too: a file that took its place meanwhile is another one.
    let still = is_it(&file.metadata().map_err(OpenError::Refused)?) && is_it(&root.named(path)?);
    Ok(still.then_some(content))
}
