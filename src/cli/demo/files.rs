//! The demo's brand folder: small, but real files of each kind.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::config::layer::Layer;
use crate::config::template::Template;

/// A photo with keywords, a creator and an alternative text in its XMP.
const PHOTO: &[u8] = include_bytes!("team.jpg");

/// The folder on the first day.
pub fn make(root: &Path) -> io::Result<()> {
    for folder in ["icons", "photos", "archive"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::write(root.join("logo.svg"), logo("#0b3d91"))?;
    fs::write(root.join("press.pdf"), pdf("Press kit"))?;
    fs::write(root.join("photos/team.jpg"), PHOTO)?;
    fs::write(root.join("archive/old-logo.svg"), logo("#777777"))?;
    fs::write(root.join("icons/icon.png"), png(64, [0x0b, 0x3d, 0x91])?)?;
    fs::write(root.join("icons/star.png"), png(48, [0xf2, 0xc1, 0x4e])?)
}

/// What the designer does on the second day.
pub fn edit(root: &Path) -> io::Result<()> {
    fs::write(root.join("logo.svg"), logo("#c0392b"))?;
    fs::rename(root.join("press.pdf"), root.join("archive/press.pdf"))?;
    fs::copy(root.join("icons/icon.png"), root.join("icons/icon copy.png")).map(drop)
}

/// The demo's rules: every asset is tagged with the mirror and its folders.
pub fn rules() -> anyhow::Result<Layer> {
    Ok(Layer { tags: vec![Template::parse("brand")?, Template::parse("{dir}")?], ..Layer::default() })
}

fn logo(color: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 120 40\"><title>Example logo</title>\
         <circle cx=\"20\" cy=\"20\" r=\"16\" fill=\"{color}\"/><rect x=\"48\" y=\"12\" width=\"64\" height=\"16\" rx=\"8\" \
         fill=\"{color}\"/></svg>\n"
    )
}

/// A disc on white.
fn png(size: u32, [red, green, blue]: [u8; 3]) -> io::Result<Vec<u8>> {
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::default());
    let middle = i64::from(size) / 2;
    for y in 0..i64::from(size) {
        rows.write_all(&[0])?;
        for x in 0..i64::from(size) {
            let inside = (x - middle).pow(2) + (y - middle).pow(2) < (middle * 8 / 10).pow(2);
            rows.write_all(&if inside { [red, green, blue] } else { [255, 255, 255] })?;
        }
    }
    let mut header = Vec::new();
    header.extend(size.to_be_bytes());
    header.extend(size.to_be_bytes());
    // Eight bits a channel, RGB, no interlacing.
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", rows.finish()?), (b"IEND", Vec::new())] {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(&data);
        png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
        png.extend(kind);
        png.extend(data);
        png.extend(crc.sum().to_be_bytes());
    }
    Ok(png)
}

/// One page with one line of text.
fn pdf(text: &str) -> Vec<u8> {
    let content = format!("BT /F1 36 Tf 60 700 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut pdf = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(pdf.len());
        pdf.push_str(&format!("{} 0 obj\n{object}\nendobj\n", number + 1));
    }
    let xref = pdf.len();
    pdf.push_str(&format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1));
    for offset in offsets {
        pdf.push_str(&format!("{offset:010} 00000 n \n"));
    }
    pdf.push_str(&format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n", objects.len() + 1));
    pdf.into_bytes()
}
