//! Reads what people wrote into a file, from whatever container it is.
//!
//! Owns: telling the formats apart by their first bytes, and which source wins (XMP, IPTC-IIM, EXIF, the
//! container's own texts). Never does: failing, panicking, reading without bounds, or deciding what an asset gets.
//! Used by `dato-mirror`, which reads each file that it digests.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod bmff;
mod embedded;
mod exif;
mod found;
mod gif;
mod iptc;
mod jpeg;
mod packet;
mod pdf;
mod png;
mod resources;
mod source;
mod text;
mod tools;
mod webp;
mod xmp;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::io::{Read, Seek};

pub use embedded::Embedded;
use found::Found;
use source::{MAX_BLOCK, Source, Trouble};

/// The brands of still pictures among the kin of MP4.
const HEIF_BRANDS: [&[u8]; 8] = [b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"];

/// A container whose metadata can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Jpeg,
    Png,
    Tiff,
    Webp,
    Gif,
    Pdf,
    PostScript,
    Svg,
    Psd,
    Bmff,
    /// HEIC and AVIF.
    Heif,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Tiff => "TIFF",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Pdf => "PDF",
            Self::PostScript => "PostScript",
            Self::Svg => "SVG",
            Self::Psd => "Photoshop",
            Self::Bmff => "MP4/QuickTime",
            Self::Heif => "HEIF",
        }
    }
}

/// Reads the metadata embedded in a file of `size` bytes.
///
/// `file_name` only helps where the bytes do not tell (SVG). A format without metadata gives an empty answer, a
/// broken file what could be read and a note. At most 64 MiB are read, at most 4 MiB at once.
pub fn read_embedded(reader: &mut (impl Read + Seek), file_name: &str, size: u64) -> Embedded {
    let mut source = Source::new(reader, size);
    let mut found = Found::new();
    let mut of_document = false;
    match detect(&mut source, file_name) {
        Ok(Some(format)) => {
            of_document = matches!(format, Format::Pdf | Format::PostScript);
            let outcome = read_format(format, &mut source, &mut found);
            found.note_trouble(&format!("the {} metadata", format.name()), outcome);
        }
        Ok(None) => {}
        Err(trouble) => found.note_trouble("the metadata", Err(trouble)),
    }
    found.settle_without_tools(of_document)
}

/// Reads a sidecar (`name.xmp`, `name.ext.xmp`).
#[must_use]
pub fn read_sidecar(xmp: &[u8]) -> Embedded {
    let mut found = Found::new();
    if xmp.len() > MAX_BLOCK {
        found.note_trouble("the sidecar", Err(Trouble::TooLarge(xmp.len() as u64)));
    } else {
        found.xmp(xmp);
    }
    found.settle()
}

/// Notes about what lies in a file's nature: nobody has to correct it.
const BY_NATURE: [&str; 4] = [
    "the PDF is encrypted; its metadata cannot be read",
    "the PDF's XMP is packed in a way that cannot be read",
    "the SVG is over the limit of 4 MiB; only its beginning and an XMP packet were looked for",
    "the file has more metadata than is looked at; only the first of it was read",
];

/// Whether a note, or a line that ends with one, is about what lies in the file's nature, such as encryption: worth a word
/// to whoever asks, and nothing that anybody did wrong.
#[must_use]
pub fn is_by_nature(note: &str) -> bool {
    BY_NATURE.iter().any(|words| note.ends_with(words))
}

/// Lays a sidecar over a file's own metadata: each field the sidecar has wins whole. Notes of both stay.
#[must_use]
pub fn overlay(file: Embedded, sidecar: Embedded) -> Embedded {
    let mut both = sidecar;
    found::fill(&mut both, file);
    both
}

fn read_format(format: Format, source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    match format {
        Format::Jpeg => jpeg::read(source, found),
        Format::Png => png::read(source, found),
        Format::Tiff => exif::read(source, found),
        Format::Webp => webp::read(source, found),
        Format::Gif => gif::read(source, found),
        Format::Pdf => pdf::read(source, found),
        Format::PostScript | Format::Heif => packet::read_first(source, found),
        Format::Svg => read_svg(source, found),
        Format::Psd => resources::read_psd(source, found),
        Format::Bmff => bmff::read(source, found),
    }
}

/// An SVG is read whole; beyond the limit only its beginning, where title and metadata usually stand, and a packet.
fn read_svg(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let bytes = source.upto(0, MAX_BLOCK)?;
    let whole = bytes.len() as u64 == source.size();
    found.svg(&bytes, whole);
    if !whole {
        found.note("the SVG is over the limit of 4 MiB; only its beginning and an XMP packet were looked for");
        packet::read_first(source, found)?;
    }
    Ok(())
}

fn detect(source: &mut Source<'_>, file_name: &str) -> Result<Option<Format>, Trouble> {
    let head = source.upto(0, 4096)?;
    let at = |offset: usize, mark: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(mark));
    let format = if at(0, b"\xff\xd8\xff") {
        Format::Jpeg
    } else if at(0, b"\x89PNG\r\n\x1a\n") {
        Format::Png
    } else if at(0, b"II\x2a\0") || at(0, b"MM\0\x2a") || at(0, b"II\x2b\0") || at(0, b"MM\0\x2b") {
        Format::Tiff
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        Format::Webp
    } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
        Format::Gif
    } else if at(0, b"8BPS\0") {
        Format::Psd
    } else if at(0, b"%!PS") || at(0, b"\xc5\xd0\xd3\xc6") {
        Format::PostScript
    } else if at(4, b"ftyp") && HEIF_BRANDS.iter().any(|brand| at(8, brand)) {
        Format::Heif
    } else if [&b"ftyp"[..], b"moov", b"wide", b"mdat", b"free", b"skip"].iter().any(|kind| at(4, kind)) {
        Format::Bmff
    } else if memchr::memmem::find(&head[..head.len().min(1024)], b"%PDF-").is_some() {
        Format::Pdf
    } else if looks_like_svg(&head, file_name) {
        Format::Svg
    } else {
        return Ok(None);
    };
    Ok(Some(format))
}

/// XML that has an `<svg` near its beginning, or is named so; in UTF-16 the name decides.
fn looks_like_svg(head: &[u8], file_name: &str) -> bool {
    let named = file_name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("svg"));
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let xml =
        text.starts_with(b"<") || [&b"\xfe\xff"[..], b"\xff\xfe", b"\0<"].iter().any(|mark| text.starts_with(mark));
    xml && (named || memchr::memmem::find(text, b"<svg").is_some())
}
