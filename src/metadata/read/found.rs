//! Collects what the readers meet in one file and settles which source wins.
//!
//! Owns: the order XMP, IPTC-IIM, EXIF, the container's own texts; each field comes whole from the first that has it.
//! Never does: reading files.

use crate::metadata::Embedded;

use super::{exif, iptc, source::Trouble, xmp};

/// Most notes kept of one file.
const MAX_NOTES: usize = 16;

/// Longest note, in characters: it may quote the file.
const MAX_NOTE: usize = 300;

/// What one file has, by source.
#[derive(Debug, Default)]
pub(super) struct Found {
    xmp: Embedded,
    iptc: Embedded,
    exif: Embedded,
    /// The container's own texts: PNG text chunks, PDF Info, MP4 atoms, SVG title.
    pub(super) text: Embedded,
    notes: Vec<String>,
}

impl Found {
    /// Reads an XMP packet; gives the GUID of the extended packet it announces.
    pub(super) fn xmp(&mut self, packet: &[u8]) -> Option<String> {
        let parsed = xmp::parse(packet);
        fill(&mut self.xmp, parsed.embedded);
        fill(&mut self.text, parsed.svg);
        parsed.extended
    }

    /// Reads an IPTC-IIM block.
    pub(super) fn iptc(&mut self, block: &[u8]) {
        fill(&mut self.iptc, iptc::parse(block));
    }

    /// Reads an EXIF block (a small TIFF).
    pub(super) fn exif(&mut self, block: &[u8]) {
        let outcome = exif::parse_block(block, self);
        self.note_trouble("the EXIF block", outcome);
    }

    /// Adds what an IFD says.
    pub(super) fn exif_values(&mut self, values: Embedded) {
        fill(&mut self.exif, values);
    }

    /// Says what could not be read; once, and not without end.
    pub(super) fn note(&mut self, note: &str) {
        push_note(&mut self.notes, note);
    }

    /// Says why a part could not be read, if so.
    pub(super) fn note_trouble(&mut self, part: &str, outcome: Result<(), Trouble>) {
        if let Err(trouble) = outcome {
            self.note(&format!("{part} could not be read in full: {trouble}"));
        }
    }

    /// Each field from the first source that has it.
    pub(super) fn settle(self) -> Embedded {
        let mut settled = self.xmp;
        for next in [self.iptc, self.exif, self.text, Embedded { notes: self.notes, ..Embedded::default() }] {
            fill(&mut settled, next);
        }
        settled
    }
}

/// Fills the fields that are empty from `other`; the notes of both stay.
pub(super) fn fill(into: &mut Embedded, other: Embedded) {
    if into.keywords.is_empty() {
        into.keywords = other.keywords;
    }
    if into.creator.is_none() {
        into.creator = other.creator;
    }
    for (field, from) in [
        (&mut into.rights, other.rights),
        (&mut into.title, other.title),
        (&mut into.alt, other.alt),
        (&mut into.description, other.description),
    ] {
        if field.is_empty() {
            *field = from;
        }
    }
    for note in other.notes {
        push_note(&mut into.notes, &note);
    }
}

fn push_note(notes: &mut Vec<String>, note: &str) {
    let note: String = note.chars().filter(|c| !c.is_control()).take(MAX_NOTE).collect();
    if notes.len() < MAX_NOTES && !notes.contains(&note) {
        notes.push(note);
    }
}
