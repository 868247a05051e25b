//! Files that nobody else has: a media area that has the same bytes already would have them adopted, not sent.

use std::cell::RefCell;
use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use md5::{Digest as _, Md5};

thread_local! {
    /// The digests of what this test made.
    static MADE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The digests of all that this test made.
pub fn made() -> Vec<String> {
    MADE.with_borrow(Clone::clone)
}

fn noted(bytes: Vec<u8>) -> Vec<u8> {
    MADE.with_borrow_mut(|made| made.push(digest(&bytes)));
    bytes
}

/// The digest as the API tells it.
pub fn digest(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A word that was never said before.
pub fn word() -> String {
    (0..12).map(|_| fastrand::lowercase()).collect()
}

/// A text.
pub fn text() -> Vec<u8> {
    noted(format!("dato-mirror's suite for real projects: {}\n", word()).into_bytes())
}

/// A picture of 64 by 64 points.
pub fn png() -> Vec<u8> {
    const SIDE: usize = 64;
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [[0, 0, 0, 64_u8]; 2].concat();
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut file, b"IHDR", &header);
    let colour = [fastrand::u8(..), fastrand::u8(..), fastrand::u8(..)];
    let row: Vec<u8> = std::iter::once(0).chain(colour.repeat(SIDE)).collect();
    let mut points = ZlibEncoder::new(Vec::new(), Compression::fast());
    points.write_all(&row.repeat(SIDE)).unwrap();
    chunk(&mut file, b"tEXt", format!("Software\0{}", word()).as_bytes());
    chunk(&mut file, b"IDAT", &points.finish().unwrap());
    chunk(&mut file, b"IEND", b"");
    noted(file)
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(data);
    file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    file.extend(kind);
    file.extend(data);
    file.extend(crc.sum().to_be_bytes());
}

/// A picture of one point in another format.
pub fn gif() -> Vec<u8> {
    let mut file = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00".to_vec();
    let comment = word();
    file.extend([0x21, 0xfe, u8::try_from(comment.len()).unwrap()]);
    file.extend(comment.bytes());
    file.push(0);
    file.extend(b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b");
    noted(file)
}

/// A drawing with a script in it, which a CDN may take out.
pub fn svg() -> Vec<u8> {
    let script = "<script>/* nothing */</script>";
    let open = r#"<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">"#;
    noted(format!(r#"{open}<title>{}</title>{script}<path d="M0 0h9v9z"/></svg>"#, word()).into_bytes())
}
