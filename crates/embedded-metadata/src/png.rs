//! PNG: its text chunks, and the packets in them.
//!
//! Owns: `iTXt`, `zTXt`, `tEXt`, `eXIf` (PNG third edition) and ImageMagick's `Raw profile type …` texts.
//! Never does: looking into picture data.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::found::Found;
use super::source::{MAX_BLOCK, Source, Trouble};
use super::{resources, text};

/// Most chunks walked; picture data comes in chunks as small as 8 KiB.
const MAX_CHUNKS: usize = 50_000;

/// Reads the chunks from the signature to the end.
pub(super) fn read(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let mut at = 8;
    for _ in 0..MAX_CHUNKS {
        let head = source.header::<8>(at)?;
        let len = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        if at + 12 + len > source.size() {
            return Err(Trouble::Cut);
        }
        match &head[4..] {
            b"IEND" => return Ok(()),
            b"eXIf" => match source.block(at + 8, len) {
                Ok(block) => found.exif(&block),
                Err(trouble) => found.note_trouble("the EXIF chunk", Err(trouble)),
            },
            b"iTXt" | b"zTXt" | b"tEXt" => match source.block(at + 8, len) {
                Ok(block) => text_chunk([head[4], head[5], head[6], head[7]], &block, found),
                Err(trouble) => found.note_trouble("a text chunk", Err(trouble)),
            },
            kind if !kind.iter().all(u8::is_ascii_alphabetic) => return Err(Trouble::Damaged),
            _ => {}
        }
        at += 12 + len;
    }
    Err(Trouble::TooLong)
}

fn text_chunk(kind: [u8; 4], block: &[u8], found: &mut Found) {
    let Some((keyword, rest)) = split_nul(block) else { return };
    let known: &[&[u8]] = &[b"XML:com.adobe.xmp", b"Title", b"Author", b"Copyright", b"Description"];
    let profile = keyword.strip_prefix(b"Raw profile type ");
    if profile.is_none() && !known.contains(&keyword) {
        return;
    }
    let Some((locale, bytes)) = content(&kind, rest, found) else {
        let keyword = String::from_utf8_lossy(keyword);
        found.note(&format!("the text chunk `{keyword}` could not be unpacked"));
        return;
    };
    let locale = (!locale.is_empty()).then_some(locale.as_str());
    let value = || if &kind == b"iTXt" { String::from_utf8_lossy(&bytes).into_owned() } else { text::legacy(&bytes) };
    match keyword {
        b"XML:com.adobe.xmp" => drop(found.xmp(&bytes)),
        b"Title" => text::put(&mut found.text.title, locale, &value()),
        b"Copyright" => text::put(&mut found.text.rights, locale, &value()),
        b"Description" => text::put(&mut found.text.description, locale, &value()),
        b"Author" => found.text.creator = found.text.creator.take().or_else(|| text::clean(&value())),
        _ => raw_profile(profile.unwrap_or_default(), &bytes, found),
    }
}

/// Language and unpacked bytes of a text chunk.
fn content(kind: &[u8; 4], rest: &[u8], found: &mut Found) -> Option<(String, Vec<u8>)> {
    match kind {
        b"tEXt" => Some((String::new(), rest.to_vec())),
        b"zTXt" => Some((String::new(), inflate(rest.get(1..)?, found)?)),
        _ => {
            let (&[packed, _method], rest) = rest.split_first_chunk::<2>()?;
            let (language, rest) = split_nul(rest)?;
            let (_translated, rest) = split_nul(rest)?;
            let bytes = if packed == 1 { inflate(rest, found)? } else { rest.to_vec() };
            Some((String::from_utf8_lossy(language).into_owned(), bytes))
        }
    }
}

/// Unpacks at most [`MAX_BLOCK`] bytes; more, or damage, gives nothing, but is paid for.
fn inflate(packed: &[u8], found: &mut Found) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_BLOCK.min(found.work_left());
    let outcome = ZlibDecoder::new(packed).take(limit as u64).read_to_end(&mut bytes);
    (found.book(bytes.len()) && outcome.is_ok() && bytes.len() < limit).then_some(bytes)
}

/// ImageMagick's profiles: a newline, the name, the length, then the bytes in hexadecimal.
fn raw_profile(name: &[u8], bytes: &[u8], found: &mut Found) {
    let digits = bytes.trim_ascii_start().splitn(3, |&byte| byte == b'\n').nth(2).unwrap_or_default();
    let digits: Vec<u8> = digits
        .iter()
        .filter_map(|&digit| char::from(digit).to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    let block: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    match name {
        b"xmp" => drop(found.xmp(&block)),
        b"exif" => found.exif(&block),
        b"iptc" | b"8bim" if block.starts_with(b"8BIM") => resources::parse_block(&block, found),
        b"iptc" => found.iptc(&block),
        b"APP1" | b"app1" if block.starts_with(b"Exif") => found.exif(&block),
        b"APP1" | b"app1" => {
            if let Some(packet) = block.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                found.xmp(packet);
            }
        }
        _ => {}
    }
}

fn split_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}
