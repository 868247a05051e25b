//! Files made to cost time or memory: each is read in bounded time, few bytes and little memory. Time is the thread's own
//! on a core: what others do on the machine does not count.
//!
//! The files are sparse or repetitive and live in a temp dir, so that the peak of this process is the reader's own.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use embedded_metadata::{Embedded, read_embedded, read_sidecar};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use rustix::time::{ClockId, clock_gettime};

/// Counts what is read.
struct Counting {
    file: File,
    bytes: u64,
    seeks: u64,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl Seek for Counting {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.seeks += 1;
        self.file.seek(to)
    }
}

const MIB: u64 = 1024 * 1024;

/// Unoptimised, a test is several times slower than the program, and a core may be ten times slower than another. Whatever
/// grows with the square of four million bytes takes hours.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 5 });

/// What this thread has had of a core so far.
fn spent() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn read(name: &str, make: impl FnOnce(&mut File)) -> (Embedded, u64) {
    let mut file = tempfile::tempfile().unwrap();
    make(&mut file);
    let size = file.metadata().unwrap().len();
    let mut counting = Counting { file, bytes: 0, seeks: 0 };
    let before = spent();
    let found = read_embedded(&mut counting, name, size);
    let took = spent() - before;
    let Counting { bytes, seeks, .. } = counting;
    eprintln!("{name:<24}{size:>14} B, read {bytes:>10} B in {seeks:>6} seeks, {took:?}; {:?}", found.notes);
    assert!(took < LIMIT, "{name}: {took:?}");
    assert!(bytes <= 64 * MIB && seeks <= 50_000, "{name}");
    (found, bytes)
}

/// The most memory this process ever had, in bytes; Linux only.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

fn be32(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_be_bytes()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn chunk(file: &mut File, kind: &[u8; 4], body: &[u8]) {
    file.write_all(&[&be32(body.len())[..], kind, body, &[0; 4]].concat()).unwrap();
}

/// Many tags that all point at the same long text.
fn greedy_tiff(tag: u16, count: u16, len: u32) -> Vec<u8> {
    let mut tiff = b"II\x2a\0\x08\0\0\0".to_vec();
    tiff.extend(count.to_le_bytes());
    for _ in 0..count {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(1_u16.to_le_bytes());
        tiff.extend(len.to_le_bytes());
        tiff.extend(64_u32.to_le_bytes());
    }
    tiff
}

fn rdf(body: &str) -> String {
    format!(
        r#"<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">{body}</rdf:RDF>"#
    )
}

/// Packets of nearly 4 MiB, each a different way to be slow.
fn slow_packets() -> Vec<(&'static str, String)> {
    let prefixes: String = (0..60).map(|number| format!(" xmlns:p{number}='u{number}'")).collect();
    let items = "<rdf:li>a keyword</rdf:li>".repeat(140_000);
    let references = "&#97;".repeat(700_000);
    let attributes = " dc:title='x'".repeat(300_000);
    let distinct: String = (0..120_000).map(|number| format!("<rdf:li>keyword {number:07}</rdf:li>")).collect();
    let declared: String = (0..250_000).map(|number| format!(" xmlns:p{number}=''")).collect();
    vec![
        (
            "items",
            rdf(&format!("<rdf:Description><dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject></rdf:Description>")),
        ),
        (
            "distinct",
            rdf(&format!("<rdf:Description><dc:subject><rdf:Bag>{distinct}</rdf:Bag></dc:subject></rdf:Description>")),
        ),
        ("references", rdf(&format!("<rdf:Description><dc:title>{references}</dc:title></rdf:Description>"))),
        ("attributes", rdf(&format!("<rdf:Description{attributes}/>"))),
        ("prefixes", format!("<a{prefixes}>{}</a>", "<q:b/>".repeat(600_000))),
        ("declarations", format!("<a{declared}/>")),
        ("nesting", "<a>".repeat(1_300_000)),
        ("one name", format!("<{}", "a".repeat(4_000_000))),
        ("ampersands", format!("<svg><title>{}", "&".repeat(4_000_000))),
        ("comment", format!("<svg><!--{}", "-".repeat(4_000_000))),
        ("doctype", format!("<!DOCTYPE svg [{}", "<!ENTITY a '&a;&a;'>".repeat(200_000))),
    ]
}

#[test]
fn hostile_files_cost_little() {
    for (name, packet) in slow_packets() {
        let before = spent();
        let sidecar = read_sidecar(packet.as_bytes());
        let took = spent() - before;
        eprintln!("{name:<24}{:>14} B, {took:?}; {:?}", packet.len(), sidecar.notes);
        assert!(took < LIMIT, "{name}: {took:?}");
        read_embedded(&mut Cursor::new(&packet), "a.svg", packet.len() as u64);
    }
    let wide = rdf(&"<rdf:Description dc:title='t'/>".repeat(2000));
    let segment = [
        &b"\xff\xe1"[..],
        &u16::try_from(wide.len() + 31).unwrap().to_be_bytes(),
        b"http://ns.adobe.com/xap/1.0/\0",
        wide.as_bytes(),
    ]
    .concat();
    read("segments.jpg", |file| {
        file.write_all(b"\xff\xd8").unwrap();
        for _ in 0..900 {
            file.write_all(&segment).unwrap();
        }
    });
    read("same-block.tif", |file| {
        file.write_all(&greedy_tiff(700, 4000, 4_000_000)).unwrap();
        file.set_len(5 * MIB).unwrap();
    });
    let bomb = [&b"XML:com.adobe.xmp\0\x01\0\0\0"[..], &packed(&vec![b' '; 4_000_000])].concat();
    read("bombs.png", |file| {
        file.write_all(b"\x89PNG\r\n\x1a\n").unwrap();
        for _ in 0..2000 {
            chunk(file, b"iTXt", &bomb);
        }
    });
    let mut exif = greedy_tiff(270, 4000, 40_000);
    exif.resize(60_000, b'x');
    read("exif.png", |file| {
        file.write_all(b"\x89PNG\r\n\x1a\n").unwrap();
        for _ in 0..1000 {
            chunk(file, b"eXIf", &exif);
        }
    });
    read("blocks.gif", |file| {
        let mut gif = b"GIF89a\x02\0\x02\0\0\0\0\x21\xfe".to_vec();
        gif.resize(40 << 20, 1);
        file.write_all(&gif).unwrap();
    });
    read("extensions.gif", |file| {
        file.write_all(b"GIF89a\x02\0\x02\0\0\0\0").unwrap();
        file.write_all(&b"\x21\xfe\0".repeat(10 << 20)).unwrap();
    });
    read("boxes.mp4", |file| {
        file.write_all(b"\0\0\0\x08ftyp").unwrap();
        file.write_all(&b"\0\0\0\x08free".repeat(4 << 20)).unwrap();
    });
    read("lists.pdf", |file| {
        let body = packed(&vec![0; 12 << 20]);
        file.write_all(b"%PDF-1.7\n").unwrap();
        let mut previous = 9;
        for _ in 0..100 {
            let at = file.stream_position().unwrap();
            let dict = format!(
                "1 0 obj << /W [1 2 1] /Size 9 /Prev {previous} /Filter /FlateDecode /Length {} >> stream\n",
                body.len()
            );
            file.write_all(dict.as_bytes()).unwrap();
            file.write_all(&body).unwrap();
            previous = at;
        }
        write!(file, "\nstartxref {previous} %%EOF").unwrap();
    });
    read("packets.pdf", |file| {
        file.write_all(b"%PDF-1.7\n").unwrap();
        file.write_all(&b"<?xpacket begin= ".repeat(1 << 20)).unwrap();
    });
    let peak = peak();
    eprintln!("peak memory: {peak:?}");
    assert!(peak.is_none_or(|peak| peak < 160 * MIB), "{peak:?}");
}

#[test]
fn a_huge_file_is_read_by_seeks() {
    let packet = rdf("<rdf:Description><dc:title>Huge</dc:title></rdf:Description>");
    let title = |read: &Embedded| read.title.get("x-default").cloned();
    let (found, bytes) = read("huge.mp4", |file| {
        file.write_all(b"\0\0\0\x08ftyp\0\0\0\x01mdat").unwrap();
        file.write_all(&(5_u64 << 30).to_be_bytes()).unwrap();
        let end = (5 << 30) + 8;
        file.seek(SeekFrom::Start(end)).unwrap();
        let xmp = [&be32(packet.len() + 8)[..], b"XMP_", packet.as_bytes()].concat();
        let udta = [&be32(xmp.len() + 8)[..], b"udta", &xmp].concat();
        file.write_all(&[&be32(udta.len() + 8)[..], b"moov", &udta].concat()).unwrap();
    });
    assert_eq!(title(&found).as_deref(), Some("Huge"));
    assert!(bytes < 64 * 1024, "{bytes}");
    let (found, _) = read("huge.eps", |file| {
        file.write_all(b"%!PS-Adobe-3.0\n").unwrap();
        file.seek(SeekFrom::Start(3 << 30)).unwrap();
        write!(file, "<?xpacket begin='' id='x'?>{packet}<?xpacket end='w'?>").unwrap();
    });
    assert_eq!(title(&found).as_deref(), Some("Huge"));
    let (found, _) = read("huge.pdf", |file| {
        file.write_all(b"%PDF-1.7\n").unwrap();
        write!(file, "<?xpacket begin='' id='x'?>{packet}<?xpacket end='w'?>").unwrap();
        file.set_len(3 << 30).unwrap();
    });
    assert_eq!(title(&found).as_deref(), Some("Huge"));
    let (found, _) = read("huge.svg", |file| {
        file.write_all(b"<svg xmlns='http://www.w3.org/2000/svg'><title>Huge</title><path d='").unwrap();
        file.write_all(&b"M0 0".repeat(10 << 20)).unwrap();
    });
    assert_eq!(title(&found).as_deref(), Some("Huge"));
}
