//! Small files of every format, built in code, for tests that must run without tools.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A packet with every field in two languages; `x:` stands in no usual prefix, to prove that prefixes do not count.
pub(super) const PACKET: &str = r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
  xmlns:d="http://purl.org/dc/elements/1.1/" xmlns:i="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">
 <r:Description r:about="">
  <d:subject><r:Bag><r:li>mare</r:li><r:li>sea &amp; <![CDATA[<sky>]]></r:li></r:Bag></d:subject>
  <d:creator><r:Seq><r:li>Ada</r:li><r:li>B&#xf2;b</r:li></r:Seq></d:creator>
  <d:rights><r:Alt><r:li xml:lang="x-default">© Ada</r:li></r:Alt></d:rights>
  <d:title><r:Alt><r:li xml:lang="x-default">The sea</r:li><r:li xml:lang="it">Il mare</r:li></r:Alt></d:title>
  <i:AltTextAccessibility><r:Alt><r:li xml:lang="en-GB">Waves</r:li><r:li xml:lang="it">Onde</r:li></r:Alt></i:AltTextAccessibility>
 </r:Description></r:RDF></x:xmpmeta><?xpacket end="w"?>"#;

/// IPTC with keyword, by-line, object name, caption.
pub(super) fn iptc() -> Vec<u8> {
    let mut out = Vec::new();
    for (number, value) in [(25, &b"iptc key"[..]), (80, b"Iptc Author"), (5, b"Iptc title"), (120, b"Iptc caption")] {
        out.extend([0x1c, 2, number]);
        out.extend(be16(value.len()));
        out.extend(value);
    }
    out
}

/// A TIFF with the given (tag, type, bytes), in either byte order and width.
pub(super) fn tiff(big_endian: bool, big: bool, tags: &[(u16, u16, Vec<u8>)]) -> Vec<u8> {
    let number = |value: usize, width: usize| {
        let bytes = (value as u64).to_be_bytes()[8 - width..].to_vec();
        if big_endian { bytes } else { bytes.into_iter().rev().collect() }
    };
    let mut out = if big_endian { b"MM".to_vec() } else { b"II".to_vec() };
    let (wide, count_width) = if big { (8, 8) } else { (4, 2) };
    if big {
        out.extend([number(43, 2), number(8, 2), number(0, 2), number(16, 8)].concat());
    } else {
        out.extend([number(42, 2), number(8, 4)].concat());
    }
    let mut place = out.len() + count_width + tags.len() * (4 + 2 * wide) + wide;
    out.extend(number(tags.len(), count_width));
    let mut data: Vec<u8> = Vec::new();
    for (tag, kind, value) in tags {
        out.extend([number(usize::from(*tag), 2), number(usize::from(*kind), 2), number(value.len(), wide)].concat());
        if value.len() <= wide {
            let mut inline = value.clone();
            inline.resize(wide, 0);
            out.extend(inline);
        } else {
            out.extend(number(place, wide));
            place += value.len();
            data.extend(value);
        }
    }
    out.extend(number(0, wide));
    out.extend(data);
    out
}

/// An EXIF block with artist, copyright and description.
pub(super) fn exif() -> Vec<u8> {
    tiff(
        false,
        false,
        &[
            (270, 2, b"Exif caption\0".to_vec()),
            (315, 2, b"Exif Author\0".to_vec()),
            (33432, 2, b"Exif rights\0".to_vec()),
            (0x9c9b, 1, "Exif title\0".encode_utf16().flat_map(u16::to_le_bytes).collect()),
            (0x9c9e, 1, "a;b;\0".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ],
    )
}

/// Photoshop resources with the given (id, bytes).
pub(super) fn resources(blocks: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, value) in blocks {
        out.extend(b"8BIM");
        out.extend(id.to_be_bytes());
        out.extend([0, 0]);
        out.extend(be32(value.len()));
        out.extend(value);
        if value.len() % 2 == 1 {
            out.push(0);
        }
    }
    out
}

fn segment(marker: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[0xff, marker][..], &be16(body.len() + 2), &body].concat()
}

/// A JPEG with the given application segments (marker, introduction and body).
pub(super) fn jpeg(segments: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0xff, 0xd8];
    for (marker, body) in segments {
        out.extend(segment(*marker, &[body]));
    }
    out.extend(segment(0xda, &[&[1, 1, 0, 0, 63, 0]]));
    out.extend([0x12, 0x34, 0xff, 0xd9]);
    out
}

pub(super) fn jpeg_xmp(packet: &[u8]) -> (u8, Vec<u8>) {
    (0xe1, [&b"http://ns.adobe.com/xap/1.0/\0"[..], packet].concat())
}

/// The main packet announces a second one, which comes in pieces and out of order.
pub(super) fn jpeg_extended() -> Vec<u8> {
    let guid = "0123456789ABCDEF0123456789ABCDEF";
    let main = format!(
        r#"<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{guid}"/></r:RDF>"#
    );
    let body = PACKET.as_bytes();
    let piece = |from: usize, to: usize, guid: &str| {
        let head = [b"http://ns.adobe.com/xmp/extension/\0", guid.as_bytes(), &be32(body.len()), &be32(from)].concat();
        (0xe1, [&head, &body[from..to]].concat())
    };
    let stray = piece(0, 50, &guid.replace('0', "F"));
    jpeg(&[jpeg_xmp(main.as_bytes()), piece(100, body.len(), guid), stray, piece(0, 100, guid)])
}

pub(super) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A PNG with the given chunks; checksums are not looked at.
pub(super) fn png(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let ends = [(b"IHDR", vec![0; 13])];
    for (kind, body) in ends.iter().chain(chunks).chain(&[(b"IDAT", vec![7; 40]), (b"IEND", Vec::new())]) {
        out.extend(be32(body.len()));
        out.extend(*kind);
        out.extend(body);
        out.extend([0; 4]);
    }
    out
}

pub(super) fn itxt(keyword: &str, language: &str, compress: bool, text: &[u8]) -> (&'static [u8; 4], Vec<u8>) {
    let body = if compress { packed(text) } else { text.to_vec() };
    let flags = [0, u8::from(compress), 0];
    (b"iTXt", [keyword.as_bytes(), &flags, language.as_bytes(), &[0, 0], &body].concat())
}

pub(super) fn webp(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, value) in [(b"VP8X", vec![0; 10])].iter().chain(chunks) {
        body.extend(*kind);
        body.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        body.extend(value);
        if value.len() % 2 == 1 {
            body.push(0);
        }
    }
    [b"RIFF", &u32::try_from(body.len()).unwrap().to_le_bytes()[..], &body].concat()
}

pub(super) fn gif() -> Vec<u8> {
    let mut out = b"GIF89a\x02\0\x02\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    out.extend(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0");
    out.extend(b"\x21\xff\x0bXMP DataXMP");
    out.extend(PACKET.as_bytes());
    out.push(1);
    out.extend((0..=255).rev());
    out.push(0);
    out.extend(b"\x2c\0\0\0\0\x02\0\x02\0\0\x02\x03\x44\x02\x05\0\x3b");
    out
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&be32(body.len() + 8)[..], kind, &body].concat()
}

const UUID: &[u8] = b"\xbe\x7a\xcf\xcb\x97\xa9\x42\xe8\x9c\x71\x99\x94\x91\xe3\xaf\xac";

/// An MP4 with iTunes texts and, where asked, a packet in a `uuid` box behind the media data.
pub(super) fn mp4(with_packet: bool) -> Vec<u8> {
    let data = |kind: &[u8; 4], text: &[u8]| boxed(kind, &[&boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text])]);
    let list = boxed(b"ilst", &[&data(b"\xa9nam", b"Mp4 title"), &data(b"\xa9ART", b"Mp4 Author")]);
    let handler = boxed(b"hdlr", &[&[0; 25]]);
    let moov = boxed(b"moov", &[&boxed(b"udta", &[&boxed(b"meta", &[&[0; 4], &handler, &list])])]);
    let uuid = boxed(b"uuid", &[UUID, PACKET.as_bytes()]);
    let file = [boxed(b"ftyp", &[b"isom\0\0\0\0"]), boxed(b"mdat", &[&[0; 5000]]), moov].concat();
    if with_packet { [file, uuid].concat() } else { file }
}

/// A QuickTime file with a packet and texts in its user data.
pub(super) fn mov() -> Vec<u8> {
    let rights = [&be16(10)[..], &[0x55, 0xc4], b"Mov rights"].concat();
    let udta = boxed(b"udta", &[&boxed(b"\xa9cpy", &[&rights]), &boxed(b"XMP_", &[PACKET.as_bytes()]), &[0; 4]]);
    [boxed(b"ftyp", &[b"qt  \0\0\0\0"]), boxed(b"wide", &[]), boxed(b"moov", &[&udta])].concat()
}

pub(super) fn heif() -> Vec<u8> {
    [boxed(b"ftyp", &[b"heic\0\0\0\0"]), boxed(b"mdat", &[&[0; 90], PACKET.as_bytes(), &[0; 9]])].concat()
}

pub(super) fn psd(blocks: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let resources = resources(blocks);
    [b"8BPS\0\x01", &[0; 20][..], &[0; 4], &be32(resources.len()), &resources, &[0; 40]].concat()
}

pub(super) fn postscript() -> Vec<u8> {
    ["%!PS-Adobe-3.0 EPSF-3.0\n%%Title: x\n", PACKET, "\nshowpage\n", &PACKET.replace("sea", "other")].concat().into()
}

pub(super) fn svg() -> Vec<u8> {
    format!(
        r#"<?xml version="1.0"?><!-- made by hand --><svg xmlns="http://www.w3.org/2000/svg" xmlns:x="&ns_extend;">
        <title lang="it">Titolo &lt;svg&gt;</title><desc>Svg description</desc><g><title>not the root's</title></g>
        <metadata>{PACKET}</metadata></svg>"#
    )
    .into()
}

/// Object numbers → bodies, as a PDF with a plain table, or with everything in streams.
pub(super) fn pdf(with_packet: bool, in_streams: bool) -> Vec<u8> {
    let packet = with_packet.then_some(PACKET.as_bytes());
    let catalog = if with_packet { "<< /Type /Catalog /Metadata 3 0 R >>" } else { "<< /Type /Catalog >>" };
    let info = "<< /Title (Pdf \\(title\\)) /Author <feff0041> /Keywords (a, b) /Subject (Pdf subject) >>";
    // A packet of a placed picture, which must not be taken for the document's.
    let stray = PACKET.replace("The sea", "A placed picture");
    let mut out = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut places = [0_usize; 7];
    if let Some(packet) = packet {
        places[3] = out.len();
        let (body, filter) =
            if in_streams { (packed(packet), "/Filter /FlateDecode") } else { (packet.to_vec(), "/Type /Metadata") };
        out.extend(format!("3 0 obj\n<< {filter} /Length {} >>\nstream\n", body.len()).bytes());
        out.extend(body);
        out.extend(b"\nendstream endobj\n");
    }
    places[4] = out.len();
    out.extend(format!("4 0 obj\n<< /Length {} >>\nstream\n{stray}\nendstream endobj\n", stray.len()).bytes());
    if !in_streams {
        places[1] = out.len();
        out.extend(format!("1 0 obj\n{catalog}\nendobj\n").bytes());
        places[2] = out.len();
        out.extend(format!("2 0 obj\n{info}\nendobj\n").bytes());
        let start = out.len();
        out.extend(b"xref\n0 5\n0000000000 65535 f \n");
        for place in &places[1..5] {
            let kind = if *place == 0 { 'f' } else { 'n' };
            out.extend(format!("{place:010} 00000 {kind} \n").bytes());
        }
        let trailer = format!("trailer\n<< /Size 5 /Root 1 0 R /Info 2 0 R >>\nstartxref\n{start}\n%%EOF\n");
        out.extend(trailer.bytes());
        return out;
    }
    let index = format!("1 0 2 {} ", catalog.len() + 1);
    let body = packed(format!("{index}{catalog} {info}").as_bytes());
    places[5] = out.len();
    let head = format!(
        "5 0 obj\n<< /Type /ObjStm /N 2 /First {} /Filter /FlateDecode /Length {} >>\nstream\r\n",
        index.len(),
        body.len()
    );
    out.extend(head.bytes());
    out.extend(body);
    out.extend(b"\nendstream endobj\n");
    places[6] = out.len();
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let (kind, value) = if matches!(number, 1 | 2) { (2, 5) } else { (u8::from(*place != 0), *place) };
        rows.push([&[kind], &be16(value)[..], &[if number == 2 { 1 } else { 0 }]].concat());
    }
    // PNG's "up" filter, as writers use it.
    let mut above = vec![0; 4];
    let filtered: Vec<u8> = rows
        .iter()
        .flat_map(|row| {
            let line: Vec<u8> = row.iter().zip(&above).map(|(byte, up)| byte.wrapping_sub(*up)).collect();
            above.clone_from(row);
            [vec![2], line].concat()
        })
        .collect();
    let body = packed(&filtered);
    let dict = format!(
        "<< /Type /XRef /Size 7 /W [1 2 1] /Root 1 0 R /Info 2 0 R /Filter [/FlateDecode] /DecodeParms << /Predictor 12 /Columns 4 >> /Length {} >>",
        body.len()
    );
    out.extend(format!("6 0 obj\n{dict}\nstream\n").bytes());
    out.extend(body);
    out.extend(format!("\nendstream endobj\nstartxref\n{}\n%%EOF\n", places[6]).bytes());
    out
}

/// One sample of each format, all its sources in it, with the file name it would have.
pub(super) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let packet = PACKET.as_bytes().to_vec();
    let photoshop = [&b"Photoshop 3.0\0"[..], &resources(&[(0x0404, iptc())])].concat();
    let exif_segment = [&b"Exif\0\0"[..], &exif()].concat();
    let xmp_tag = |big_endian, big| {
        tiff(big_endian, big, &[(270, 2, b"x\0".to_vec()), (700, 1, packet.clone()), (33723, 7, iptc())])
    };
    vec![
        ("a.jpg", jpeg(&[(0xe0, b"JFIF\0".to_vec()), (0xe1, exif_segment), jpeg_xmp(&packet), (0xed, photoshop)])),
        ("ext.jpg", jpeg_extended()),
        (
            "a.png",
            png(&[(b"eXIf", exif()), itxt("XML:com.adobe.xmp", "", true, &packet), (b"tEXt", b"Title\0x".to_vec())]),
        ),
        ("le.tif", xmp_tag(false, false)),
        ("be.tif", xmp_tag(true, false)),
        ("big.tif", xmp_tag(false, true)),
        ("a.webp", webp(&[(b"EXIF", exif()), (b"XMP ", packet.clone())])),
        ("a.gif", gif()),
        ("a.psd", psd(&[(0x0404, iptc()), (0x0424, packet.clone()), (0x0422, exif())])),
        ("a.eps", postscript()),
        ("a.svg", svg()),
        ("a.pdf", pdf(true, false)),
        ("packed.pdf", pdf(true, true)),
        ("a.mp4", mp4(true)),
        ("a.mov", mov()),
        ("a.heic", heif()),
    ]
}

fn be16(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_be_bytes()
}

fn be32(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_be_bytes()
}
