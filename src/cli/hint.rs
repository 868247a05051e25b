//! What is said about wrong arguments beyond clap's own words.
//!
//! Owns: the values that `ls` takes, and the way out where a folder stands in a command's place. Never does: running
//! anything.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::config::value::nearest;

/// What the media area can be ordered by.
const ORDERS: [&str; 9] =
    ["_created_at", "_updated_at", "basename", "filename", "id", "mime_type", "path", "resolution", "size"];
/// The kinds of assets, as the media area calls them.
pub(super) const KINDS: [&str; 8] =
    ["archive", "audio", "image", "pdfdocument", "presentation", "richtext", "spreadsheet", "video"];
/// What people call some of them.
const ALSO: [(&str, &str); 4] =
    [("pdf", "pdfdocument"), ("document", "pdfdocument"), ("text", "richtext"), ("zip", "archive")];

/// The value of `ls --order-by`.
///
/// # Errors
/// What is allowed.
pub(super) fn order_by(text: &str) -> Result<String, String> {
    let fine = |rule: &str| {
        let field = rule.strip_suffix("_ASC").or_else(|| rule.strip_suffix("_DESC"));
        field.is_some_and(|field| ORDERS.contains(&field))
    };
    let Some(wrong) = text.split(',').map(str::trim).find(|rule| !fine(rule)) else { return Ok(text.to_owned()) };
    let field = wrong.strip_suffix("_ASC").or_else(|| wrong.strip_suffix("_DESC")).unwrap_or(wrong);
    let meant = nearest(field, ORDERS).map_or_else(String::new, |near| format!("did you mean {near}_DESC? "));
    Err(format!(
        "{meant}write a field and _ASC or _DESC, such as _created_at_DESC; several are separated by commas; the fields are {}",
        ORDERS.join(", ")
    ))
}

/// The value of `ls --type`.
///
/// # Errors
/// What is allowed.
pub(super) fn kind(text: &str) -> Result<String, String> {
    let name = text.trim().to_ascii_lowercase();
    let known = KINDS.into_iter().find(|kind| *kind == name);
    let also = || ALSO.into_iter().find_map(|(word, kind)| (word == name).then_some(kind));
    known.or_else(also).map(str::to_owned).ok_or_else(|| {
        let meant = nearest(&name, KINDS).map_or_else(String::new, |near| format!("did you mean {near}? "));
        format!("{meant}the types are {}", KINDS.join(", "))
    })
}

/// A folder in a command's place is what somebody writes who wants it mirrored: that is said.
pub(super) fn wrong_usage(mut error: clap::Error) -> clap::Error {
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::InvalidSubcommand => word.clone(),
        _ => return error,
    };
    if word.contains(['/', '~']) || word.starts_with('.') || Path::new(&word).is_dir() {
        let tip = format!("to mirror this folder: dato-mirror --root {word}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_listed() {
        for fine in ["size_ASC", "_created_at_DESC", "size_ASC,filename_DESC", "resolution_DESC"] {
            assert_eq!(order_by(fine).as_deref(), Ok(fine));
        }
        for (wrong, meant) in [("size", "size_DESC"), ("created_at_DESC", "_created_at_DESC"), ("colour_ASC", "")] {
            let told = order_by(wrong).unwrap_err();
            assert!(told.contains(meant) && told.ends_with(&ORDERS.join(", ")), "{wrong}: {told}");
        }
        for (text, kind_of) in [("image", "image"), ("Image", "image"), ("pdf", "pdfdocument"), ("video", "video")] {
            assert_eq!(kind(text).as_deref(), Ok(kind_of));
        }
        assert_eq!(
            kind("images").unwrap_err(),
            "did you mean image? the types are archive, audio, image, pdfdocument, presentation, richtext, spreadsheet, video"
        );
    }
}
