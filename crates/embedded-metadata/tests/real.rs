//! Reads metadata from files that real tools wrote: exiftool, ImageMagick, Ghostscript, ffmpeg, cwebp, libtiff.
//!
//! Each format gets every field in two languages through XMP, and then again through each fallback it has. The
//! table format × field is printed (`cargo test -p embedded-metadata --test real -- --nocapture`). A missing tool skips its
//! rows with one line.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use embedded_metadata::{Embedded, overlay, read_embedded, read_sidecar};
use rustix::time::{ClockId, clock_gettime};

const EXIFTOOL: &str = "exiftool";

fn has(tool: &str) -> bool {
    let probe = if tool == EXIFTOOL { "-ver" } else { "-version" };
    Command::new(tool).arg(probe).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs a tool in `dir`; false when it is missing or refuses.
fn run(dir: &Path, line: &[&str]) -> bool {
    let Ok(output) = Command::new(line[0]).args(&line[1..]).current_dir(dir).output() else { return false };
    if !output.status.success() {
        eprintln!("{line:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

fn read(path: &Path) -> Embedded {
    let mut file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    read_embedded(&mut file, path.file_name().unwrap().to_str().unwrap(), size)
}

/// What every format with XMP is given, in two languages.
const XMP: &[&str] = &[
    "-XMP-dc:Subject=mare",
    "-XMP-dc:Subject=sea, deep & blue",
    "-XMP-dc:Creator=Ada Lovelace",
    "-XMP-dc:Creator=Gòran <Bob>",
    "-XMP-dc:Rights=© 2026 Ada",
    "-XMP-dc:Rights-it=© 2026 Ada, tutti i diritti",
    "-XMP-dc:Title=The sea",
    "-XMP-dc:Title-it=Il mare è \"blu\"",
    "-XMP-dc:Description=A caption",
    "-XMP-dc:Description-it=Una didascalia",
    "-XMP-photoshop:Headline=Not the title",
    "-XMP-lr:HierarchicalSubject=nature|sea",
    "-XMP-iptcCore:AltTextAccessibility-en=Waves at dusk",
    "-XMP-iptcCore:AltTextAccessibility-it=Onde al tramonto",
];

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(locale, text)| (locale.to_owned(), text.to_owned())).collect()
}

fn wanted_xmp() -> Embedded {
    Embedded {
        keywords: vec!["mare".to_owned(), "sea, deep & blue".to_owned()],
        creator: Some("Ada Lovelace, Gòran <Bob>".to_owned()),
        rights: map(&[("x-default", "© 2026 Ada"), ("it", "© 2026 Ada, tutti i diritti")]),
        title: map(&[("x-default", "The sea"), ("it", "Il mare è \"blu\"")]),
        alt: map(&[("en", "Waves at dusk"), ("it", "Onde al tramonto")]),
        description: map(&[("x-default", "A caption"), ("it", "Una didascalia")]),
        notes: Vec::new(),
    }
}

/// What a fallback is given: one language, and no alternative text anywhere.
fn wanted_plain(keywords: bool, rights: bool, description: bool) -> Embedded {
    Embedded {
        keywords: if keywords { vec!["mare".to_owned(), "città".to_owned()] } else { Vec::new() },
        creator: Some("Ada Lovelace".to_owned()),
        rights: if rights { map(&[("x-default", "© 2026 Ada")]) } else { BTreeMap::new() },
        title: map(&[("x-default", "Il mare è blu")]),
        alt: BTreeMap::new(),
        description: if description { map(&[("x-default", "Una didascalia")]) } else { BTreeMap::new() },
        notes: Vec::new(),
    }
}

const IPTC: &[&str] = &[
    "-codedcharacterset=utf8",
    "-IPTC:ObjectName=Il mare è blu",
    "-IPTC:Headline=Not the title",
    "-IPTC:Keywords=mare",
    "-IPTC:Keywords=città",
    "-IPTC:By-line=Ada Lovelace",
    "-IPTC:CopyrightNotice=© 2026 Ada",
    "-IPTC:Caption-Abstract=Una didascalia",
];
/// The same in Windows' Latin-1, which is what a missing 1:90 means.
const IPTC_LATIN: &[&str] = &[
    "-codedcharacterset=",
    "-IPTC:ObjectName=Il mare è blu",
    "-IPTC:Keywords=mare",
    "-IPTC:Keywords=città",
    "-IPTC:By-line=Ada Lovelace",
    "-IPTC:CopyrightNotice=© 2026 Ada",
    "-IPTC:Caption-Abstract=Una didascalia",
];
const EXIF: &[&str] = &[
    "-EXIF:XPTitle=Il mare è blu",
    "-EXIF:XPKeywords=mare;città",
    "-EXIF:Artist=Ada Lovelace",
    "-EXIF:Copyright=© 2026 Ada",
    "-EXIF:ImageDescription=Una didascalia",
];
const PNG_TEXT: &[&str] = &[
    "-PNG:Title=Il mare è blu",
    "-PNG:Author=Ada Lovelace",
    "-PNG:Copyright=© 2026 Ada",
    "-PNG:Description=Una didascalia",
];
const PDF_INFO: &[&str] = &[
    "-XMP:all=",
    "-PDF:Title=Il mare è blu",
    "-PDF:Author=Ada Lovelace",
    "-PDF:Subject=Una didascalia",
    "-PDF:Keywords=mare",
    "-PDF:Keywords=città",
];

/// One row of the table: a file as a tool made it, before metadata.
struct Base {
    name: &'static str,
    make: &'static [&'static str],
}

const BASES: &[Base] = &[
    Base { name: "a.jpg", make: &["convert", "-size", "64x48", "gradient:red-blue", "a.jpg"] },
    Base { name: "a.png", make: &["convert", "-size", "64x48", "gradient:red-blue", "a.png"] },
    Base { name: "a.tif", make: &["convert", "-size", "64x48", "gradient:red-blue", "a.tif"] },
    Base { name: "be.tif", make: &["convert", "-size", "64x48", "gradient:red-blue", "-endian", "MSB", "be.tif"] },
    Base { name: "a.webp", make: &["cwebp", "-quiet", "a.png", "-o", "a.webp"] },
    Base { name: "ll.webp", make: &["cwebp", "-quiet", "-lossless", "a.png", "-o", "ll.webp"] },
    Base { name: "a.gif", make: &["convert", "-size", "64x48", "gradient:red-blue", "a.gif"] },
    Base { name: "anim.gif", make: &["convert", "-delay", "5", "a.gif", "a.gif", "-loop", "0", "anim.gif"] },
    Base { name: "a.psd", make: &["convert", "-size", "64x48", "gradient:red-blue", "a.psd"] },
    Base { name: "a.psb", make: &["convert", "-size", "64x48", "gradient:red-blue", "psb:a.psb"] },
    Base {
        name: "a.eps",
        make: &[
            "gs",
            "-q",
            "-dBATCH",
            "-dNOPAUSE",
            "-sDEVICE=eps2write",
            "-o",
            "a.eps",
            "-c",
            "10 10 moveto 90 90 lineto stroke showpage",
        ],
    },
    Base { name: "ps.ai", make: &["cp", "a.eps", "ps.ai"] },
    Base {
        name: "a.pdf",
        make: &[
            "gs",
            "-q",
            "-dBATCH",
            "-dNOPAUSE",
            "-sDEVICE=pdfwrite",
            "-o",
            "a.pdf",
            "-c",
            "10 10 moveto 90 90 lineto stroke showpage",
        ],
    },
    Base { name: "linear.pdf", make: &["qpdf", "--linearize", "a.pdf", "linear.pdf"] },
    Base { name: "packed.pdf", make: &["qpdf", "--object-streams=generate", "a.pdf", "packed.pdf"] },
    Base { name: "pdf.ai", make: &["cp", "a.pdf", "pdf.ai"] },
    Base {
        name: "a.mp4",
        make: &["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x48", "-pix_fmt", "yuv420p", "a.mp4"],
    },
    Base {
        name: "fast.mp4",
        make: &["ffmpeg", "-v", "error", "-i", "a.mp4", "-c", "copy", "-movflags", "faststart", "fast.mp4"],
    },
    Base { name: "a.heic", make: &["convert", "-size", "64x48", "gradient:red-blue", "a.heic"] },
    Base { name: "a.avif", make: &["convert", "-size", "64x48", "gradient:red-blue", "a.avif"] },
    Base { name: "a.mov", make: &["ffmpeg", "-v", "error", "-i", "a.mp4", "-c", "copy", "a.mov"] },
];

fn write_tags(dir: &Path, base: &str, target: &str, tags: &[&str]) -> bool {
    std::fs::copy(dir.join(base), dir.join(target)).unwrap();
    let mut line = vec![EXIFTOOL, "-q", "-m", "-overwrite_original", "-charset", "iptc=Latin"];
    line.extend(tags);
    line.push(target);
    run(dir, &line)
}

fn row(label: &str, read: &Embedded, wanted: &Embedded) -> bool {
    let mark = |same: bool, empty: bool| match (same, empty) {
        (true, true) => "-",
        (true, false) => "yes",
        (false, _) => "WRONG",
    };
    let slots = [
        mark(read.keywords == wanted.keywords, wanted.keywords.is_empty()),
        mark(read.creator == wanted.creator, wanted.creator.is_none()),
        mark(read.rights == wanted.rights, wanted.rights.is_empty()),
        mark(read.title == wanted.title, wanted.title.is_empty()),
        mark(read.alt == wanted.alt, wanted.alt.is_empty()),
        mark(read.description == wanted.description, wanted.description.is_empty()),
    ];
    eprintln!("{label:<28}{}", slots.map(|slot| format!("{slot:<12}")).concat());
    let same = read == wanted;
    if !same {
        eprintln!("  read   {read:?}\n  wanted {wanted:?}");
    }
    same
}

fn heading() {
    eprintln!("{:<28}keywords    creator     rights      title       alt         description", "file, source");
}

/// The bases that could be made, in a fresh folder.
fn bases() -> (tempfile::TempDir, Vec<&'static str>) {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for base in BASES {
        if has(base.make[0]) && run(dir.path(), base.make) {
            made.push(base.name);
        } else {
            eprintln!("skipped: {} (`{}` is missing or cannot write it)", base.name, base.make[0]);
        }
    }
    (dir, made)
}

#[test]
fn every_format_gives_every_field_in_both_languages() {
    if !has(EXIFTOOL) {
        eprintln!("skipped: exiftool is missing");
        return;
    }
    let (dir, made) = bases();
    heading();
    let mut wrong = Vec::new();
    for base in made {
        let target = format!("xmp-{base}");
        assert!(write_tags(dir.path(), base, &target, XMP), "{base}");
        if !row(&format!("{base} XMP"), &read(&dir.path().join(&target)), &wanted_xmp()) {
            wrong.push(target);
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn fallbacks_fill_what_xmp_does_not_say() {
    if !has(EXIFTOOL) {
        eprintln!("skipped: exiftool is missing");
        return;
    }
    let (dir, made) = bases();
    let all = wanted_plain(true, true, true);
    // Prefix of the file, bases, source, tags, what is to be read.
    type Case<'a> = (&'a str, &'a [&'a str], &'a str, &'a [&'a str], Embedded);
    let cases: &[Case<'_>] = &[
        ("iptc", &["a.jpg", "a.tif", "be.tif", "a.psd", "a.psb"], "IPTC UTF-8", IPTC, all.clone()),
        ("latin", &["a.jpg", "a.tif", "a.psd"], "IPTC Latin-1", IPTC_LATIN, all.clone()),
        ("exif", &["a.jpg", "a.tif", "be.tif", "a.webp", "ll.webp", "a.png", "a.psd"], "EXIF", EXIF, all),
        ("text", &["a.png"], "PNG text", PNG_TEXT, wanted_plain(false, true, true)),
        ("info", &["a.pdf", "pdf.ai", "packed.pdf"], "PDF Info", PDF_INFO, wanted_plain(true, false, true)),
        // Ghostscript's own packet stays, with its title `Untitled`.
        ("untitled", &["a.pdf"], "PDF Info", &PDF_INFO[1..], wanted_plain(true, false, true)),
    ];
    heading();
    let mut wrong = Vec::new();
    for (prefix, names, source, tags, wanted) in cases {
        for base in names.iter().filter(|name| made.contains(name)) {
            let target = format!("{prefix}-{base}");
            assert!(write_tags(dir.path(), base, &target, tags), "{target}");
            if !row(&format!("{base} {source}"), &read(&dir.path().join(&target)), wanted) {
                wrong.push(target);
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn ffmpeg_texts_are_read_from_mp4_and_mov() {
    let (dir, made) = bases();
    if !made.contains(&"a.mp4") {
        return;
    }
    heading();
    for (name, rights) in [("t.mp4", true), ("t.mov", true), ("t.m4a", true)] {
        let audio: PathBuf = dir.path().join(name);
        let line = [
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "sine=d=1",
            "-metadata",
            "title=Il mare è blu",
            "-metadata",
            "artist=Ada Lovelace",
            "-metadata",
            "copyright=© 2026 Ada",
            "-metadata",
            "description=Una didascalia",
            name,
        ];
        assert!(run(dir.path(), &line));
        // QuickTime's own list has no key for a description that ffmpeg writes.
        let wanted = wanted_plain(false, rights, name != "t.mov");
        assert!(row(name, &read(&audio), &wanted), "{name}");
    }
}

/// Files that exiftool cannot write itself: another tool rewrites one that has XMP.
#[test]
fn rewritten_files_keep_every_field() {
    if !has(EXIFTOOL) {
        eprintln!("skipped: exiftool is missing");
        return;
    }
    let (dir, made) = bases();
    for base in ["a.jpg", "a.png", "a.tif", "a.pdf", "a.mp4", "a.psd"].iter().filter(|name| made.contains(name)) {
        assert!(write_tags(dir.path(), base, &format!("x-{base}"), XMP), "{base}");
    }
    let copies: &[(&str, &[&str])] = &[
        ("z.png", &[EXIFTOOL, "-q", "-z", "-TagsFromFile", "x-a.jpg", "-XMP:all", "-o", "z.png", "a.png"]),
        ("big-x.tif", &["convert", "x-a.jpg", "tiff64:big-x.tif"]),
        ("meta.webp", &["cwebp", "-quiet", "-metadata", "all", "x-a.jpg", "-o", "meta.webp"]),
        ("im.png", &["convert", "x-a.jpg", "im.png"]),
        ("im.tif", &["convert", "x-a.jpg", "im.tif"]),
        ("im.webp", &["convert", "x-a.jpg", "im.webp"]),
        ("packed-x.pdf", &["qpdf", "--object-streams=generate", "x-a.pdf", "packed-x.pdf"]),
        ("linear-x.pdf", &["qpdf", "--linearize", "--object-streams=generate", "x-a.pdf", "linear-x.pdf"]),
        ("qdf-x.pdf", &["qpdf", "--qdf", "x-a.pdf", "qdf-x.pdf"]),
        (
            "clear-x.pdf",
            &[
                "qpdf",
                "--encrypt",
                "",
                "o",
                "128",
                "--use-aes=y",
                "--cleartext-metadata",
                "--",
                "x-a.pdf",
                "clear-x.pdf",
            ],
        ),
    ];
    heading();
    let mut wrong = Vec::new();
    for (name, line) in copies {
        if !has(line[0]) || !run(dir.path(), line) {
            eprintln!("skipped: {name} (`{}` is missing or cannot write it)", line[0]);
            continue;
        }
        if !row(&format!("{name} ({})", line[0]), &read(&dir.path().join(name)), &wanted_xmp()) {
            wrong.push(*name);
        }
    }
    assert_eq!(wrong, [""; 0]);
    let line = ["qpdf", "--encrypt", "", "o", "256", "--", "x-a.pdf", "secret.pdf"];
    if run(dir.path(), &line) {
        let secret = read(&dir.path().join("secret.pdf"));
        assert_eq!(secret, Embedded { notes: secret.notes.clone(), ..Embedded::default() });
        assert_eq!(secret.notes, ["the PDF is encrypted; its metadata cannot be read"]);
    }
}

#[test]
fn imagemagick_profiles_in_png_are_read() {
    if !has(EXIFTOOL) || !has("convert") {
        eprintln!("skipped: exiftool or ImageMagick is missing");
        return;
    }
    let (dir, _) = bases();
    let all = wanted_plain(true, true, true);
    heading();
    for (tags, name) in [(IPTC, "iptc"), (EXIF, "exif")] {
        let (jpeg, png) = (format!("{name}-p.jpg"), format!("{name}-p.png"));
        assert!(write_tags(dir.path(), "a.jpg", &jpeg, tags));
        assert!(run(dir.path(), &["convert", &jpeg, &png]));
        assert!(row(&png, &read(&dir.path().join(&png)), &all));
    }
}

/// A packet that outgrows a JPEG segment goes on in extended ones.
#[test]
fn extended_xmp_is_put_together() {
    if !has(EXIFTOOL) || !has("convert") {
        eprintln!("skipped: exiftool or ImageMagick is missing");
        return;
    }
    let (dir, _) = bases();
    let keywords: Vec<String> = (0..900).map(|number| format!("keyword {number} {}", "x".repeat(200))).collect();
    let list: String = keywords.iter().map(|keyword| format!("-XMP-dc:Subject={keyword}\n")).collect();
    std::fs::write(dir.path().join("args"), list).unwrap();
    assert!(write_tags(dir.path(), "a.jpg", "long.jpg", &XMP[2..]));
    assert!(run(dir.path(), &[EXIFTOOL, "-q", "-overwrite_original", "-@", "args", "long.jpg"]));
    let path = dir.path().join("long.jpg");
    assert!(memchr::memmem::find(&std::fs::read(&path).unwrap(), b"/xmp/extension/").is_some());
    assert_eq!(read(&path), Embedded { keywords, ..wanted_xmp() });
}

/// What this thread has had of a core so far: what others do on the machine does not count.
fn spent() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// Real files, cut and with bytes changed: nothing but notes may come of it.
#[test]
fn real_files_broken_in_every_way_never_harm() {
    if !has(EXIFTOOL) {
        eprintln!("skipped: exiftool is missing");
        return;
    }
    let (dir, made) = bases();
    let mut dice = fastrand::Rng::with_seed(11);
    let survive = |name: &str, bytes: &[u8]| {
        let before = spent();
        read_embedded(&mut Cursor::new(bytes), name, bytes.len() as u64);
        let took = spent() - before;
        assert!(took < Duration::from_secs(3), "{name}: {took:?}");
    };
    for base in made {
        let target = format!("broken-{base}");
        assert!(write_tags(dir.path(), base, &target, &[XMP, IPTC, EXIF].concat()), "{base}");
        let whole = std::fs::read(dir.path().join(&target)).unwrap();
        for step in 0..200 {
            survive(&target, &whole[..whole.len() * step / 200]);
        }
        for _ in 0..500 {
            let mut bytes = whole.clone();
            for _ in 0..dice.usize(1..20) {
                let place = dice.usize(..bytes.len());
                bytes[place] = dice.u8(..);
            }
            survive(&target, &bytes);
        }
    }
}

/// matplotlib is the tool at hand that writes RDF into SVG as Inkscape does: `cc:Work`, agents, bags.
#[test]
fn an_svg_written_by_a_tool_gives_its_fields() {
    let script = "import matplotlib; matplotlib.use('svg'); import matplotlib.pyplot as p; p.plot([1,2]); \
        p.savefig('m.svg', metadata={'Title': 'Il mare è blu', 'Creator': ['Ada Lovelace'], 'Rights': '© 2026 Ada', \
        'Keywords': ['mare', 'città'], 'Description': 'Una didascalia'})";
    let dir = tempfile::tempdir().unwrap();
    if !["python3", "/usr/bin/python3"].iter().any(|python| run(dir.path(), &[python, "-c", script])) {
        eprintln!("skipped: SVG (python3 with matplotlib is missing)");
        return;
    }
    heading();
    assert!(row("m.svg (matplotlib)", &read(&dir.path().join("m.svg")), &wanted_plain(true, true, true)));
}

#[test]
fn a_sidecar_wins_field_by_field() {
    if !has(EXIFTOOL) || !has("convert") {
        eprintln!("skipped: exiftool or ImageMagick is missing");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(run(dir.path(), BASES[0].make));
    let mut line = vec![EXIFTOOL, "-q", "-overwrite_original"];
    line.extend(XMP);
    line.push("a.jpg");
    assert!(run(dir.path(), &line));
    assert!(run(dir.path(), &[EXIFTOOL, "-q", "-XMP-dc:Title-fr=La mer", "-XMP-dc:Subject=mer", "a.jpg.xmp"]));
    let sidecar = read_sidecar(&std::fs::read(dir.path().join("a.jpg.xmp")).unwrap());
    assert_eq!(sidecar.title, map(&[("fr", "La mer")]));
    let both = overlay(read(&dir.path().join("a.jpg")), sidecar.clone());
    assert_eq!(both, Embedded { title: sidecar.title, keywords: vec!["mer".to_owned()], ..wanted_xmp() });
}
