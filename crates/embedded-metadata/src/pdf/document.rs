//! A PDF's cross-reference: where each object lies, whichever way the file keeps the list.
//!
//! Owns: tables, cross-reference streams, object streams (ISO 32000-1, 7.5), and their unpacking, bounded.
//! Never does: rebuilding a damaged list.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::super::source::{MAX_BLOCK, Source, Trouble};
use super::object::{Lexer, Value};

/// Most updates of a file followed back.
const MAX_SECTIONS: usize = 64;

/// Most parts of one table.
const MAX_PARTS: usize = 20_000;

/// Bytes in which an object, without its stream, must fit.
const OBJECT_WINDOW: usize = 64 * 1024;

/// Most bytes unpacked in one file.
const UNPACK_BUDGET: u64 = 24 * 1024 * 1024;

/// One list of objects; a later update has its own.
enum Section {
    /// Runs of entries of 20 bytes: first object, count, place in the file.
    Table(Vec<(u64, u64, u64)>),
    /// Runs of entries in an unpacked stream: first object, count; the widths of an entry's three numbers.
    Stream { runs: Vec<(u64, u64)>, widths: [usize; 3], entries: Vec<u8> },
}

/// Where an object lies.
#[derive(Debug, Clone, Copy)]
enum Place {
    At(u64),
    /// In the object stream of that number.
    Within(u64),
}

/// An open file: its lists, newest first, and its newest trailer.
pub(super) struct Document {
    sections: Vec<Section>,
    trailer: Value,
    unpack_left: u64,
}

impl Document {
    /// Follows the lists from the end of the file.
    pub(super) fn open(source: &mut Source<'_>) -> Result<Self, Trouble> {
        let tail_at = source.size().saturating_sub(2048);
        let tail = source.upto(tail_at, 2048)?;
        let mark = memchr::memmem::rfind(&tail, b"startxref").ok_or(Trouble::Damaged)?;
        let first = Lexer::new(&tail[mark + 9..]).number().ok_or(Trouble::Damaged)?;
        let mut document = Self { sections: Vec::new(), trailer: Value::Other, unpack_left: UNPACK_BUDGET };
        let mut next = vec![first];
        let mut seen = Vec::new();
        while let Some(at) = next.pop() {
            if seen.contains(&at) || seen.len() >= MAX_SECTIONS {
                break;
            }
            seen.push(at);
            let trailer = document.section(source, at)?;
            // The stream of a file that has both ways comes before the older lists.
            next.extend(trailer.number("Prev"));
            next.extend(trailer.number("XRefStm"));
            if document.trailer == Value::Other {
                document.trailer = trailer;
            }
        }
        Ok(document)
    }

    /// A value of the newest trailer.
    pub(super) fn trailer(&self, key: &str) -> Option<&Value> {
        self.trailer.get(key)
    }

    /// True when strings and streams cannot be read as they are.
    pub(super) fn encrypted(&self) -> bool {
        self.trailer("Encrypt").is_some_and(|value| *value != Value::Other)
    }

    /// The value itself, or what it refers to.
    pub(super) fn resolve(&mut self, source: &mut Source<'_>, value: Value) -> Result<Value, Trouble> {
        let Value::Reference(number) = value else { return Ok(value) };
        match self.place(source, number)? {
            Some(Place::At(at)) => Ok(object_at(source, at)?.0),
            Some(Place::Within(container)) => self.within(source, container, number),
            None => Ok(Value::Other),
        }
    }

    /// The unpacked bytes of the stream referred to; `None` when there is none or its filter is not ours.
    pub(super) fn stream(&mut self, source: &mut Source<'_>, reference: &Value) -> Result<Option<Vec<u8>>, Trouble> {
        let Value::Reference(number) = reference else { return Ok(None) };
        let Some(Place::At(at)) = self.place(source, *number)? else { return Ok(None) };
        let (dict, Some(data)) = object_at(source, at)? else { return Ok(None) };
        self.unpacked(source, &dict, data)
    }

    /// Reads one list and gives its trailer.
    fn section(&mut self, source: &mut Source<'_>, at: u64) -> Result<Value, Trouble> {
        let head = source.upto(at, 64)?;
        if Lexer::new(&head).keyword("xref") { self.table(source, at) } else { self.xref_stream(source, at) }
    }

    fn table(&mut self, source: &mut Source<'_>, at: u64) -> Result<Value, Trouble> {
        let head = source.upto(at, 64)?;
        let mut lexer = Lexer::new(&head);
        lexer.keyword("xref");
        let mut at = at + lexer.at as u64;
        let mut runs = Vec::new();
        for _ in 0..MAX_PARTS {
            let line = source.upto(at, 64)?;
            let mut lexer = Lexer::new(&line);
            if lexer.keyword("trailer") {
                let bytes = source.upto(at + lexer.at as u64, OBJECT_WINDOW)?;
                self.sections.push(Section::Table(runs));
                return Lexer::new(&bytes).value().ok_or(Trouble::Damaged);
            }
            let (Some(first), Some(count)) = (lexer.number(), lexer.number()) else { return Err(Trouble::Damaged) };
            lexer.skip_space();
            at += lexer.at as u64;
            runs.push((first, count, at));
            at = count.checked_mul(20).and_then(|len| at.checked_add(len)).ok_or(Trouble::Damaged)?;
        }
        Err(Trouble::TooLong)
    }

    fn xref_stream(&mut self, source: &mut Source<'_>, at: u64) -> Result<Value, Trouble> {
        let (dict, Some(data)) = object_at(source, at)? else { return Err(Trouble::Damaged) };
        let entries = self.unpacked(source, &dict, data)?.ok_or(Trouble::Damaged)?;
        let Some([first, second, third]) =
            dict.get("W").and_then(numbers).as_deref().and_then(|w| w.first_chunk()).copied()
        else {
            return Err(Trouble::Damaged);
        };
        if [first, second, third].iter().any(|&width| width > 8) {
            return Err(Trouble::Damaged);
        }
        let widths = [first, second, third].map(|width| usize::try_from(width).unwrap_or(0));
        let runs = match dict.get("Index").and_then(numbers) {
            Some(index) => index.chunks_exact(2).map(|run| (run[0], run[1])).collect(),
            None => vec![(0, dict.number("Size").unwrap_or(0))],
        };
        self.sections.push(Section::Stream { runs, widths, entries });
        Ok(dict)
    }

    /// Where an object lies, by the newest list that knows it.
    fn place(&self, source: &mut Source<'_>, number: u64) -> Result<Option<Place>, Trouble> {
        for section in &self.sections {
            match section {
                Section::Table(runs) => {
                    let Some((first, _, at)) = runs.iter().find(|(first, count, _)| inside(number, *first, *count))
                    else {
                        continue;
                    };
                    let entry = source.header::<20>((number - first) * 20 + at)?;
                    let place = Lexer::new(&entry).number().ok_or(Trouble::Damaged)?;
                    return Ok((entry[17] == b'n').then_some(Place::At(place)));
                }
                Section::Stream { runs, widths, entries } => {
                    let mut before: u64 = 0;
                    for (first, count) in runs {
                        if inside(number, *first, *count) {
                            return Ok(stream_entry(entries, *widths, before.saturating_add(number - first)));
                        }
                        before = before.saturating_add(*count);
                    }
                }
            }
        }
        Ok(None)
    }

    /// An object of an object stream.
    fn within(&mut self, source: &mut Source<'_>, container: u64, number: u64) -> Result<Value, Trouble> {
        let Some(Place::At(at)) = self.place(source, container)? else { return Err(Trouble::Damaged) };
        let (dict, Some(data)) = object_at(source, at)? else { return Err(Trouble::Damaged) };
        let bytes = self.unpacked(source, &dict, data)?.ok_or(Trouble::Damaged)?;
        let (Some(count), Some(first)) = (dict.number("N"), dict.number("First")) else { return Err(Trouble::Damaged) };
        let mut lexer = Lexer::new(&bytes);
        for _ in 0..count {
            let (Some(object), Some(offset)) = (lexer.number(), lexer.number()) else { break };
            if object == number {
                let at = usize::try_from(first.saturating_add(offset)).map_err(|_| Trouble::Damaged)?;
                return Lexer::new(bytes.get(at..).unwrap_or_default()).value().ok_or(Trouble::Damaged);
            }
        }
        Err(Trouble::Damaged)
    }

    fn unpacked(&mut self, source: &mut Source<'_>, dict: &Value, data: u64) -> Result<Option<Vec<u8>>, Trouble> {
        let length = match dict.get("Length") {
            Some(Value::Number(length)) => *length,
            Some(Value::Reference(number)) => match self.place(source, *number)? {
                Some(Place::At(at)) => match object_at(source, at)?.0 {
                    Value::Number(length) => length,
                    _ => return Err(Trouble::Damaged),
                },
                _ => return Err(Trouble::Damaged),
            },
            _ => return Err(Trouble::Damaged),
        };
        let bytes = source.block(data, length)?;
        let filter = match dict.get("Filter") {
            None | Some(Value::Other) => return Ok(Some(bytes)),
            Some(Value::Name(name)) => name,
            Some(Value::Array(names)) => match names.as_slice() {
                [] => return Ok(Some(bytes)),
                [Value::Name(name)] => name,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if filter != "FlateDecode" && filter != "Fl" {
            return Ok(None);
        }
        let mut out = Vec::new();
        let limit = self.unpack_left.min(4 * MAX_BLOCK as u64);
        // An end in the middle still gives what stood before: many writers cut the checksum.
        let _cut = ZlibDecoder::new(bytes.as_slice()).take(limit).read_to_end(&mut out);
        self.unpack_left -= out.len() as u64;
        let parameters = match dict.get("DecodeParms") {
            Some(Value::Array(list)) => list.first(),
            other => other,
        };
        let Some(parameters) = parameters else { return Ok(Some(out)) };
        match parameters.number("Predictor") {
            None | Some(1) => Ok(Some(out)),
            Some(10..=15) => Ok(Some(unpredict(&out, parameters.number("Columns").unwrap_or(1)))),
            Some(_) => Ok(None),
        }
    }
}

fn inside(number: u64, first: u64, count: u64) -> bool {
    number.checked_sub(first).is_some_and(|index| index < count)
}

fn stream_entry(entries: &[u8], widths: [usize; 3], index: u64) -> Option<Place> {
    let size: usize = widths.iter().sum();
    let start = usize::try_from(index).ok()?.checked_mul(size)?;
    let entry = entries.get(start..start.checked_add(size)?)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    let (kind, rest) = entry.split_at_checked(widths[0])?;
    let second = number(rest.get(..widths[1])?);
    // A width of nought means the default, kind 1.
    match if kind.is_empty() { 1 } else { number(kind) } {
        1 => Some(Place::At(second)),
        2 => Some(Place::Within(second)),
        _ => None,
    }
}

/// The object at `at`, and where its stream's bytes begin, if it has any.
fn object_at(source: &mut Source<'_>, at: u64) -> Result<(Value, Option<u64>), Trouble> {
    let bytes = source.upto(at, OBJECT_WINDOW)?;
    let mut lexer = Lexer::new(&bytes);
    if lexer.number().is_none() || lexer.number().is_none() || !lexer.keyword("obj") {
        return Err(Trouble::Damaged);
    }
    let value = lexer.value().ok_or(Trouble::Damaged)?;
    if !lexer.keyword("stream") {
        return Ok((value, None));
    }
    let line_end = match bytes.get(lexer.at..).unwrap_or_default() {
        [b'\r', b'\n', ..] => 2,
        [b'\n' | b'\r', ..] => 1,
        _ => 0,
    };
    Ok((value, Some(at + lexer.at as u64 + line_end)))
}

fn numbers(value: &Value) -> Option<Vec<u64>> {
    let Value::Array(items) = value else { return None };
    items
        .iter()
        .map(|item| match item {
            Value::Number(number) => Some(*number),
            _ => None,
        })
        .collect()
}

/// Undoes PNG's row filters, with one byte a sample, as cross-reference and object streams use them.
fn unpredict(bytes: &[u8], columns: u64) -> Vec<u8> {
    let Some(columns) = usize::try_from(columns).ok().filter(|&columns| (1..=MAX_BLOCK).contains(&columns)) else {
        return Vec::new();
    };
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut above = vec![0; columns];
    for row in bytes.chunks_exact(columns + 1) {
        let mut current: Vec<u8> = Vec::with_capacity(columns);
        for (column, &byte) in row[1..].iter().enumerate() {
            let (up, before) = (above[column], column.checked_sub(1));
            let (left, corner) = before.map_or((0, 0), |before| (current[before], above[before]));
            let guess = match row[0] {
                1 => left,
                2 => up,
                3 => left.midpoint(up),
                4 => paeth(left, up, corner),
                _ => 0,
            };
            current.push(byte.wrapping_add(guess));
        }
        out.extend_from_slice(&current);
        above = current;
    }
    out
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let guess = i16::from(left) + i16::from(up) - i16::from(corner);
    let far = |value: u8| (guess - i16::from(value)).abs();
    if far(left) <= far(up) && far(left) <= far(corner) {
        left
    } else if far(up) <= far(corner) {
        up
    } else {
        corner
    }
}
