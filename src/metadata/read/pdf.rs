//! PDF and PostScript: the document's own packet among many, and the Info dictionary.
//!
//! Owns: telling the document's packet from those of placed pictures; PDF strings.
//! Never does: unpacking object streams or decrypting: what lies there is named in a note.

use super::found::Found;
use super::packet;
use super::source::{Source, Trouble};

/// Reads a PDF (or an Illustrator file saved as one).
pub(super) fn read(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let mut chosen = None;
    for at in packet::find(source)? {
        let Some(bytes) = packet::packet(source, at)? else { continue };
        // A later update of the document stands further back; packets of placed pictures do not speak of PDF.
        let own = [&b"http://ns.adobe.com/pdf/1.3/"[..], b"application/pdf"]
            .iter()
            .any(|mark| memchr::memmem::find(&bytes, mark).is_some());
        if own || chosen.is_none() {
            chosen = Some(bytes);
        }
    }
    if let Some(bytes) = chosen {
        found.xmp(&bytes);
    }
    Ok(())
}

/// Reads a PostScript file (EPS, Illustrator before PDF): the first packet is the document's.
pub(super) fn read_postscript(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    for at in packet::find(source)? {
        if let Some(bytes) = packet::packet(source, at)? {
            found.xmp(&bytes);
            return Ok(());
        }
    }
    Ok(())
}
