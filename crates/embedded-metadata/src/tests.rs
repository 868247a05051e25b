//! Every format, built in code; then the same files broken in every way.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use super::samples::{self, PACKET};
use super::*;

fn read(name: &str, bytes: &[u8]) -> Embedded {
    read_embedded(&mut Cursor::new(bytes), name, bytes.len() as u64)
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(locale, text)| (locale.to_owned(), text.to_owned())).collect()
}

/// What [`PACKET`] says; the description is left to the container.
fn from_packet(description: Option<&str>) -> Embedded {
    Embedded {
        keywords: vec!["mare".to_owned(), "sea & <sky>".to_owned()],
        creator: Some("Ada, Bòb".to_owned()),
        rights: map(&[("x-default", "© Ada")]),
        title: map(&[("x-default", "The sea"), ("it", "Il mare")]),
        alt: map(&[("en-GB", "Waves"), ("it", "Onde")]),
        description: description.map(|text| map(&[("x-default", text)])).unwrap_or_default(),
        notes: Vec::new(),
    }
}

fn plain(keywords: &[&str], creator: Option<&str>, rights: &str, title: &str, description: &str) -> Embedded {
    let text = |text: &str| if text.is_empty() { BTreeMap::new() } else { map(&[("x-default", text)]) };
    Embedded {
        keywords: keywords.iter().map(|&keyword| keyword.to_owned()).collect(),
        creator: creator.map(ToOwned::to_owned),
        rights: text(rights),
        title: text(title),
        description: text(description),
        ..Embedded::default()
    }
}

#[test]
fn xmp_wins_in_every_format_and_the_rest_fills_the_gaps() {
    let descriptions = [
        ("a.jpg", "Iptc caption"),
        ("a.png", "Exif caption"),
        ("le.tif", "Iptc caption"),
        ("be.tif", "Iptc caption"),
        ("big.tif", "Iptc caption"),
        ("a.webp", "Exif caption"),
        ("a.psd", "Iptc caption"),
        ("a.svg", "Svg description"),
        ("a.pdf", "Pdf subject"),
        ("packed.pdf", "Pdf subject"),
    ];
    for (name, bytes) in samples::all() {
        let description = descriptions.iter().find(|(of, _)| *of == name).map(|(_, text)| *text);
        assert_eq!(read(name, &bytes), from_packet(description), "{name}");
    }
}

#[test]
fn without_xmp_the_next_source_speaks() {
    let photoshop = [&b"Photoshop 3.0\0"[..], &samples::resources(&[(0x0404, samples::iptc())])].concat();
    let exif = [&b"Exif\0\0"[..], &samples::exif()].concat();
    let from_iptc = plain(&["iptc key"], Some("Iptc Author"), "", "Iptc title", "Iptc caption");
    let from_exif = plain(&["a", "b"], Some("Exif Author"), "Exif rights", "Exif title", "Exif caption");
    let hex: String = samples::iptc().iter().map(|byte| format!("{byte:02x}")).collect();
    let raw = format!("Raw profile type iptc\0\0\niptc\n      99\n{hex}\n").into_bytes();
    let raw = [&raw[..23], &samples::packed(&raw[23..])].concat();
    let both = Embedded { rights: from_exif.rights.clone(), ..from_iptc.clone() };
    let png_text = samples::png(&[
        (b"tEXt", b"Title\0Citt\xe0".to_vec()),
        samples::itxt("Title", "it", true, "Città".as_bytes()),
        samples::itxt("Author", "", false, b"Png Author"),
        (b"zTXt", [&b"Description\0\0"[..], &samples::packed(b"Png description")].concat()),
    ]);
    let svg = br#"<svg xml:lang="it"><desc>Descrizione</desc><title>Ti<tspan>x</tspan>tolo</title><title lang="en">Title</title></svg>"#;
    let cases = [
        ("iptc.jpg", samples::jpeg(&[(0xed, photoshop.clone())]), from_iptc.clone()),
        ("exif.jpg", samples::jpeg(&[(0xe1, exif.clone())]), from_exif.clone()),
        ("both.jpg", samples::jpeg(&[(0xe1, exif), (0xed, photoshop)]), both),
        ("exif.png", samples::png(&[(b"eXIf", samples::exif())]), from_exif.clone()),
        ("exif.webp", samples::webp(&[(b"EXIF", samples::exif())]), from_exif.clone()),
        ("exif.tif", samples::exif(), from_exif.clone()),
        ("exif.psd", samples::psd(&[(0x0422, samples::exif())]), from_exif),
        ("raw.png", samples::png(&[(b"zTXt", raw)]), from_iptc),
        (
            "text.png",
            png_text,
            Embedded {
                title: map(&[("x-default", "Città"), ("it", "Città")]),
                ..plain(&[], Some("Png Author"), "", "", "Png description")
            },
        ),
        ("a.pdf", samples::pdf(false, false), plain(&["a", "b"], Some("A"), "", "Pdf (title)", "Pdf subject")),
        ("b.pdf", samples::pdf(false, true), plain(&["a", "b"], Some("A"), "", "Pdf (title)", "Pdf subject")),
        ("a.mp4", samples::mp4(false), plain(&[], Some("Mp4 Author"), "", "Mp4 title", "")),
        (
            "illustrator.svg",
            br#"<?xml version="1.0"?><!DOCTYPE svg PUBLIC "a" "b" [ <!ENTITY ns_svg "http://www.w3.org/2000/svg"> ]>
            <svg xmlns="&ns_svg;" xmlns:x="&ns_x;" x:a="b"><title>T</title><x:title>no</x:title></svg>"#
                .to_vec(),
            plain(&[], None, "", "T", ""),
        ),
        (
            "a.svg",
            svg.to_vec(),
            Embedded {
                title: map(&[("it", "Titolo"), ("en", "Title")]),
                description: map(&[("it", "Descrizione")]),
                ..Embedded::default()
            },
        ),
    ];
    for (name, bytes, wanted) in cases {
        assert_eq!(read(name, &bytes), wanted, "{name}");
    }
}

#[test]
fn files_without_metadata_are_empty_and_silent() {
    let zip = b"PK\x03\x04rest".to_vec();
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("a.txt", b"hello".to_vec()),
        ("a.html", b"<html><title>no</title></html>".to_vec()),
        ("a.zip", zip),
        ("a.jpg", samples::jpeg(&[])),
        ("a.png", samples::png(&[])),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>".to_vec()),
        ("a.eps", b"%!PS\nshowpage".to_vec()),
        ("a.webp", samples::webp(&[])),
        ("a.psd", samples::psd(&[])),
    ] {
        assert_eq!(read(name, &bytes), Embedded::default(), "{name}");
    }
}

#[test]
fn a_broken_file_gives_what_was_whole_and_a_note() {
    let cases = [
        ("jpg", samples::all()[0].1[..400].to_vec(), "JPEG"),
        ("png", samples::png(&[itxt_bomb()]), "`XML:com.adobe.xmp` could not be unpacked"),
        ("pdf", samples::pdf(true, false).split_last_chunk::<40>().unwrap().0.to_vec(), "cross-reference is damaged"),
        ("xmp", samples::jpeg(&[samples::jpeg_xmp(&PACKET.as_bytes()[..700])]), "XMP is damaged"),
    ];
    for (name, bytes, wanted) in cases {
        let notes = read(name, &bytes).notes;
        assert!(notes.iter().any(|note| note.contains(wanted)), "{name}: {notes:?}");
    }
    let cut = read_sidecar(&PACKET.as_bytes()[..700]);
    assert_eq!(cut.creator.as_deref(), Some("Ada, Bòb"), "{cut:?}");
    assert_eq!(read_sidecar(&vec![b' '; MAX_BLOCK + 1]).notes.len(), 1);
}

/// A few kilobytes that unpack to 64 MiB.
fn itxt_bomb() -> (&'static [u8; 4], Vec<u8>) {
    samples::itxt("XML:com.adobe.xmp", "", true, &vec![b' '; 64 << 20])
}

#[test]
fn a_sidecar_wins_whole_fields() {
    let sidecar = plain(&["mine"], None, "", "My title", "");
    let both = overlay(from_packet(Some("d")), Embedded { notes: vec!["n".to_owned()], ..sidecar.clone() });
    let wanted = Embedded {
        keywords: sidecar.keywords,
        title: sidecar.title,
        notes: vec!["n".to_owned()],
        ..from_packet(Some("d"))
    };
    assert_eq!(both, wanted);
}

/// What this thread has had of a core so far: what others do on the machine does not count.
fn spent() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// Reads in bounded time, whatever comes.
fn survive(name: &str, bytes: &[u8]) -> Embedded {
    let before = spent();
    let read = read(name, bytes);
    let took = spent() - before;
    assert!(took < Duration::from_secs(3), "{name}: {took:?}");
    read
}

#[test]
fn samples_cut_at_200_places_never_harm() {
    for (name, bytes) in samples::all() {
        for step in 0..200 {
            survive(name, &bytes[..bytes.len() * step / 200]);
        }
    }
}

#[test]
fn samples_with_bytes_flipped_10_000_times_never_harm() {
    let mut dice = fastrand::Rng::with_seed(7);
    let samples = samples::all();
    for round in 0..10_000 {
        let (name, sample) = &samples[round % samples.len()];
        let mut bytes = sample.clone();
        for _ in 0..dice.usize(1..8) {
            let place = dice.usize(..bytes.len());
            bytes[place] = dice.u8(..);
        }
        // Some also with a length field at its largest, which random bytes seldom hit.
        if round % 3 == 0 {
            let place = dice.usize(..bytes.len().saturating_sub(4));
            bytes[place..place + 4].fill(0xff);
        }
        survive(name, &bytes);
    }
}

const MAGIC: [&[u8]; 15] = [
    b"\xff\xd8\xff\xe1",
    b"\x89PNG\r\n\x1a\n",
    b"II\x2a\0",
    b"MM\0\x2a",
    b"II\x2b\0\x08\0\0\0",
    b"RIFF\0\0\0\0WEBP",
    b"GIF89a",
    b"8BPS\0\x01",
    b"%!PS",
    b"\0\0\0\x14ftypisom",
    b"\0\0\0\x14ftypheic",
    b"%PDF-1.7\n",
    b"<svg>",
    b"<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:Description>",
    b"",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_behind_a_magic_number_never_harm(
        magic in 0..MAGIC.len(),
        body in prop::collection::vec(prop_oneof![any::<u8>(), Just(0_u8), Just(0xff_u8)], 0..600),
        size in prop_oneof![Just(None), any::<u64>().prop_map(Some)],
    ) {
        let bytes = [MAGIC[magic], &body].concat();
        let size = size.unwrap_or(bytes.len() as u64);
        read_embedded(&mut Cursor::new(&bytes), "a.svg", size);
        let _sidecar = read_sidecar(&bytes);
    }
}
