//! Turns the bytes of a metadata value into clean text.
//!
//! Owns: encodings and what counts as empty. Never does: knowing formats. Every reader beside it calls it.

use std::collections::BTreeMap;

/// The locale of text whose language the file does not name (XMP's own word for it).
pub(super) const X_DEFAULT: &str = "x-default";

/// Longest text kept, in bytes; the rest is cut at a character.
const MAX_TEXT: usize = 64 * 1024;

/// Longest language tag believed, in bytes.
const MAX_TAG: usize = 64;

/// Most locales kept of one field.
const MAX_LOCALES: usize = 64;

/// Most list entries (keywords, creators) kept of one field.
const MAX_LIST: usize = 1000;

/// Trimmed, without control characters, of bounded length; `None` when nothing is left.
pub(super) fn clean(raw: &str) -> Option<String> {
    let edge = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    let mut text = String::new();
    let mut previous = ' ';
    for c in raw.trim_matches(edge).chars() {
        let before = std::mem::replace(&mut previous, c);
        let c = match c {
            '\n' if before == '\r' => continue,
            '\r' => '\n',
            c => c,
        };
        if c.is_control() && c != '\n' && c != '\t' {
            continue;
        }
        if text.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        text.push(c);
    }
    let kept = text.trim_matches(edge);
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// Text of no stated encoding: UTF-8 when it is valid, Windows-1252 (a superset of Latin-1) otherwise.
pub(super) fn legacy(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| windows_1252(byte)).collect(),
    }
}

/// UTF-16 code units in the given byte order; broken pairs become U+FFFD.
pub(super) fn utf16(bytes: &[u8], big_endian: bool) -> String {
    let units = bytes.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    });
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// Appends a list entry when it is new and there is room.
pub(super) fn push_entry(list: &mut Vec<String>, raw: &str) {
    if list.len() < MAX_LIST
        && let Some(text) = clean(raw)
        && !list.contains(&text)
    {
        list.push(text);
    }
}

/// Appends each part of a list written as one text.
pub(super) fn push_split(list: &mut Vec<String>, raw: &str, separators: &[char]) {
    for part in raw.split(separators) {
        push_entry(list, part);
    }
}

/// Sets the text of a locale when it has none yet; a tag that cannot be one counts as `x-default`.
pub(super) fn put(map: &mut BTreeMap<String, String>, locale: Option<&str>, raw: &str) {
    let named = |tag: &&str| is_tag(tag) && !tag.eq_ignore_ascii_case(X_DEFAULT);
    let locale = locale.map(str::trim).filter(named).unwrap_or(X_DEFAULT);
    if map.len() < MAX_LOCALES
        && !map.contains_key(locale)
        && let Some(text) = clean(raw)
    {
        map.insert(locale.to_owned(), text);
    }
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty() && tag.len() <= MAX_TAG && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The people as one text.
pub(super) fn join(people: &[String]) -> Option<String> {
    (!people.is_empty()).then(|| people.join(", ")).and_then(|text| clean(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cleaned() {
        let cases = [
            ("  a b \0\0", Some("a b")),
            ("a\r\nb\rc\nd", Some("a\nb\nc\nd")),
            ("a\n\nb", Some("a\n\nb")),
            ("a\u{7}b", Some("ab")),
            ("\u{feff}x", Some("x")),
            (" \t\r\n", None),
            ("", None),
            ("\u{1}\u{2}", None),
        ];
        for (raw, wanted) in cases {
            assert_eq!(clean(raw).as_deref(), wanted, "{raw:?}");
        }
        assert_eq!(clean(&"é".repeat(MAX_TEXT)).map(|text| text.len()), Some(MAX_TEXT));
    }

    #[test]
    fn text_without_a_stated_encoding_is_guessed() {
        assert_eq!(legacy("caffè".as_bytes()), "caffè");
        assert_eq!(legacy(b"caff\xe8 \x80"), "caffè €");
        assert_eq!(utf16(b"\x00a\xd8\x3d\xde\x00\xd8\x00", true), "a😀\u{fffd}");
        assert_eq!(utf16(b"a\x00x", false), "a");
    }

    #[test]
    fn lists_and_maps_keep_the_first_and_are_bounded() {
        let mut list = Vec::new();
        push_split(&mut list, "a; b;;a; ", &[';']);
        assert_eq!(list, ["a", "b"]);
        for number in 0..2 * MAX_LIST {
            push_entry(&mut list, &number.to_string());
        }
        assert_eq!(list.len(), MAX_LIST);
        let mut map = BTreeMap::new();
        put(&mut map, None, "first");
        put(&mut map, Some("not a tag!"), "second");
        put(&mut map, Some("pt-BR"), "third");
        assert_eq!(
            map.into_iter().collect::<Vec<_>>(),
            [("pt-BR".to_owned(), "third".to_owned()), (X_DEFAULT.to_owned(), "first".to_owned())]
        );
    }
}
