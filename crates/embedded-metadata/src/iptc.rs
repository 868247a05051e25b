//! IPTC-IIM: the metadata of news agencies and of Photoshop before XMP.
//!
//! Owns: the datasets of the application record that have a slot (IPTC-IIM 4.2). Never does: finding the block.

use crate::Embedded;

use super::text;

/// Most datasets looked at.
const MAX_DATASETS: usize = 10_000;

/// The ISO 2022 escape that announces UTF-8 in 1:90.
const UTF_8: &[u8] = b"\x1b%G";

/// Reads a block of datasets; stops quietly at what is no dataset, since writers pad.
pub(super) fn parse(block: &[u8]) -> Embedded {
    let mut out = Embedded::default();
    let (mut people, mut headline) = (Vec::new(), None);
    let mut utf_8 = false;
    let mut rest = block;
    for _ in 0..MAX_DATASETS {
        let Some((record, dataset, value, after)) = next_dataset(rest) else { break };
        rest = after;
        let decode = || if utf_8 { String::from_utf8_lossy(value).into_owned() } else { text::legacy(value) };
        match (record, dataset) {
            (1, 90) => utf_8 = value == UTF_8,
            (2, 5) => text::put(&mut out.title, None, &decode()),
            (2, 25) => text::push_entry(&mut out.keywords, &decode()),
            (2, 80) => text::push_entry(&mut people, &decode()),
            (2, 105) => headline = headline.or_else(|| text::clean(&decode())),
            (2, 116) => text::put(&mut out.rights, None, &decode()),
            (2, 120) => text::put(&mut out.description, None, &decode()),
            _ => {}
        }
    }
    out.creator = text::join(&people);
    if let (true, Some(headline)) = (out.title.is_empty(), headline) {
        text::put(&mut out.title, None, &headline);
    }
    if cut(rest) {
        out.notes.push("the IPTC block ends in the middle of a dataset".to_owned());
    }
    out
}

/// Record, dataset, value, and what follows.
fn next_dataset(rest: &[u8]) -> Option<(u8, u8, &[u8], &[u8])> {
    let (&[0x1c, record, dataset, high, low], rest) = rest.split_first_chunk::<5>()? else { return None };
    let size = usize::from(u16::from_be_bytes([high, low]));
    if size & 0x8000 == 0 {
        let (value, rest) = rest.split_at_checked(size)?;
        return Some((record, dataset, value, rest));
    }
    // An extended dataset: the low bits count the bytes of the real length.
    let (digits, rest) = rest.split_at_checked(size & 0x7fff)?;
    let length = (digits.len() <= 4).then(|| digits.iter().fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte)))?;
    let (value, rest) = rest.split_at_checked(length)?;
    Some((record, dataset, value, rest))
}

fn cut(rest: &[u8]) -> bool {
    rest.first() == Some(&0x1c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(record: u8, number: u8, value: &[u8]) -> Vec<u8> {
        let mut out = vec![0x1c, record, number];
        out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        out.extend(value);
        out
    }

    #[test]
    fn every_dataset_lands_in_its_slot() {
        let block = [
            dataset(1, 90, UTF_8),
            dataset(2, 5, "Città".as_bytes()),
            dataset(2, 25, b"one"),
            dataset(2, 25, b"two"),
            dataset(2, 80, b"Ada"),
            dataset(2, 80, b"Bob"),
            dataset(2, 105, b"Headline"),
            dataset(2, 116, "© Ada".as_bytes()),
            dataset(2, 120, b"Caption"),
            vec![0, 0],
        ]
        .concat();
        let read = parse(&block);
        assert_eq!(read.keywords, ["one", "two"]);
        assert_eq!(read.creator.as_deref(), Some("Ada, Bob"));
        assert_eq!(read.title["x-default"], "Città");
        assert_eq!(read.rights["x-default"], "© Ada");
        assert_eq!(read.description["x-default"], "Caption");
        assert_eq!(read.notes, [""; 0]);
    }

    #[test]
    fn latin_1_headline_and_extended_length() {
        let mut block = dataset(2, 105, b"Citt\xe0");
        block.extend([0x1c, 2, 25, 0x80, 0x02, 0x00, 0x03]);
        block.extend(b"key");
        let read = parse(&block);
        assert_eq!(read.title["x-default"], "Città");
        assert_eq!(read.keywords, ["key"]);
        for (end, noted) in [(block.len() - 1, true), (10, false)] {
            assert_eq!(!parse(&block[..end]).notes.is_empty(), noted, "{end}");
        }
    }
}
