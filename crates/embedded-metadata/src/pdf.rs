//! PDF: the document's own packet among many, and the Info dictionary.
//!
//! Owns: the way from the cross-reference to the catalog's `/Metadata` (ISO 32000-1, 14.3), and the scan that
//! replaces it in a damaged file. Never does: decrypting; what lies encrypted is named in a note.

mod document;
mod object;

use document::Document;
use object::Value;

use super::found::Found;
use super::source::{Source, Trouble};
use super::{packet, text};

/// Reads a PDF (or an Illustrator file saved as one).
pub(super) fn read(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let outcome = read_or_scan(source, found);
    // Ghostscript's word for a missing title; it must not hide one in the Info dictionary.
    found.drop_placeholder("Untitled");
    outcome
}

fn read_or_scan(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    match follow(source, found) {
        Ok(true) => Ok(()),
        Ok(false) => {
            found.note("the PDF is encrypted; its metadata cannot be read");
            Ok(())
        }
        Err(trouble @ (Trouble::Io(_) | Trouble::TooLarge(_))) => Err(trouble),
        Err(_) => {
            found.note("the PDF's cross-reference is damaged; its XMP was searched for instead");
            scan(source, found)
        }
    }
}

/// Reads catalog and Info; false when they are encrypted.
fn follow(source: &mut Source<'_>, found: &mut Found) -> Result<bool, Trouble> {
    let mut document = Document::open(source)?;
    let encrypted = document.encrypted();
    // Strings of an encrypted file are encrypted, its packet often is not.
    if !encrypted && let Some(info) = document.trailer("Info").cloned() {
        let info = document.resolve(source, info)?;
        read_info(&info, found);
    }
    let Some(catalog) = document.trailer("Root").cloned() else { return Err(Trouble::Damaged) };
    let catalog = document.resolve(source, catalog)?;
    let Some(reference) = catalog.get("Metadata").cloned() else { return Ok(!encrypted) };
    let Some(packet) = document.stream(source, &reference)? else {
        found.note("the PDF's XMP is packed in a way that cannot be read");
        return Ok(true);
    };
    if encrypted && !packet.iter().take(64).any(|&byte| byte == b'<') {
        return Ok(false);
    }
    found.xmp(&packet);
    Ok(true)
}

fn read_info(info: &Value, found: &mut Found) {
    let value = |key: &str| match info.get(key) {
        Some(Value::Text(bytes)) => Some(object::text(bytes)),
        _ => None,
    };
    if let Some(title) = value("Title") {
        text::put(&mut found.text.title, None, &title);
    }
    if let Some(subject) = value("Subject") {
        text::put(&mut found.text.description, None, &subject);
    }
    found.text.creator = value("Author").and_then(|author| text::clean(&author));
    if let Some(keywords) = value("Keywords") {
        text::push_split(&mut found.text.keywords, &keywords, &[',', ';']);
    }
}

/// Without a cross-reference: the last packet that speaks of PDF, else the first. A later update of the document
/// stands further back, and packets of placed pictures do not speak of PDF.
fn scan(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let mut chosen = None;
    let outcome = packet::each(source, |bytes| {
        let own = [&b"http://ns.adobe.com/pdf/1.3/"[..], b"application/pdf"]
            .iter()
            .any(|mark| memchr::memmem::find(&bytes, mark).is_some());
        if own || chosen.is_none() {
            chosen = Some(bytes);
        }
        true
    });
    if let Some(bytes) = chosen {
        found.xmp(&bytes);
    }
    outcome
}
