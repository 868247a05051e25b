//! Collects what the readers meet in one file and settles which source wins.
//!
//! Owns: the order XMP, IPTC-IIM, EXIF, the container's own texts; each field comes whole from the first that has it.
//! Never does: reading files.

use crate::Embedded;

use super::{exif, iptc, source::Trouble, tools, xmp};

/// Most notes kept of one file.
const MAX_NOTES: usize = 16;

/// Longest note, in characters: it may quote the file.
const MAX_NOTE: usize = 300;

/// Most bytes of metadata taken apart in one file, all blocks together, and most blocks. One file may repeat a
/// block, or point at it again and again.
const WORK: usize = 10 * 1024 * 1024;
const MAX_BLOCKS: usize = 64;

/// What one file has, by source.
#[derive(Debug)]
pub(super) struct Found {
    work_left: usize,
    blocks_left: usize,
    xmp: Embedded,
    iptc: Embedded,
    exif: Embedded,
    /// The container's own texts: PNG text chunks, PDF Info, MP4 atoms, SVG title.
    pub(super) text: Embedded,
    notes: Vec<String>,
}

impl Found {
    pub(super) fn new() -> Self {
        Self {
            work_left: WORK,
            blocks_left: MAX_BLOCKS,
            xmp: Embedded::default(),
            iptc: Embedded::default(),
            exif: Embedded::default(),
            text: Embedded::default(),
            notes: Vec::new(),
        }
    }

    /// How many more bytes of metadata may be taken apart.
    pub(super) fn work_left(&self) -> usize {
        self.work_left
    }

    /// Books a block of that many bytes; false, with a note, when the file has had its share.
    pub(super) fn book(&mut self, len: usize) -> bool {
        let left = self.work_left.checked_sub(len).zip(self.blocks_left.checked_sub(1));
        match left {
            Some((work, blocks)) => (self.work_left, self.blocks_left) = (work, blocks),
            None => self.note("the file has more metadata than is looked at; only the first of it was read"),
        }
        left.is_some()
    }

    /// Reads an XMP packet; gives the GUID of the extended packet it announces.
    pub(super) fn xmp(&mut self, packet: &[u8]) -> Option<String> {
        if !self.book(packet.len()) {
            return None;
        }
        let parsed = xmp::parse(packet);
        fill(&mut self.xmp, parsed.embedded);
        if let Some(reason) = parsed.broken {
            self.note(&format!("the XMP is damaged, only its beginning was read: {reason}"));
        }
        parsed.extended
    }

    /// Reads an SVG file, or its beginning when it is not `whole`.
    pub(super) fn svg(&mut self, file: &[u8], whole: bool) {
        if !self.book(file.len()) {
            return;
        }
        let parsed = xmp::parse(file);
        fill(&mut self.xmp, parsed.embedded);
        fill(&mut self.text, parsed.svg);
        if let (Some(reason), true) = (parsed.broken, whole) {
            self.note(&format!("the SVG is damaged, only its beginning was read: {reason}"));
        }
    }

    /// Reads an IPTC-IIM block.
    pub(super) fn iptc(&mut self, block: &[u8]) {
        if self.book(block.len()) {
            fill(&mut self.iptc, iptc::parse(block));
        }
    }

    /// Reads an EXIF block (a small TIFF).
    pub(super) fn exif(&mut self, block: &[u8]) {
        if self.book(block.len()) {
            let outcome = exif::parse_block(block, self);
            self.note_trouble("the EXIF block", outcome);
        }
    }

    /// Drops a title that a program put in because nobody gave one.
    pub(super) fn drop_placeholder(&mut self, placeholder: &str) {
        for source in [&mut self.xmp, &mut self.text] {
            source.title.retain(|_, title| title != placeholder);
        }
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

    /// Each field from the first source that has a person's words; what programs wrote is left out.
    pub(super) fn settle_without_tools(mut self, of_document: bool) -> Embedded {
        for source in [&mut self.xmp, &mut self.iptc, &mut self.exif, &mut self.text] {
            tools::leave_out(source, of_document);
        }
        self.settle()
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
