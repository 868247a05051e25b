//! Real files, written by real tools, arrive with every value in its slot.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::BY_FIELD;
use super::support::Env;

const EXIFTOOL: &str = "exiftool";

/// In English where no language is named; the project's main locale is en.
const XMP: &[&str] = &[
    "-XMP-dc:Subject=mare",
    "-XMP-dc:Subject=sea, deep & blue",
    "-XMP-dc:Creator=Ada Lovelace",
    "-XMP-dc:Rights=© 2026 Ada",
    "-XMP-dc:Title=The sea",
    "-XMP-dc:Title-it=Il mare è \"blu\"",
    "-XMP-dc:Description=A caption",
    "-XMP-dc:Description-it=Una didascalia",
    "-XMP-iptcCore:AltTextAccessibility-en=Waves at dusk",
    "-XMP-iptcCore:AltTextAccessibility-it=Onde al tramonto",
];

const BASES: &[&[&str]] = &[
    &["convert", "-size", "64x48", "gradient:red-blue", "a.jpg"],
    &["convert", "-size", "64x48", "gradient:red-blue", "b.png"],
    &["convert", "-size", "64x48", "gradient:red-blue", "c.tif"],
    &["cwebp", "-quiet", "b.png", "-o", "d.webp"],
    &["convert", "-size", "64x48", "gradient:red-blue", "e.gif"],
    &["convert", "-size", "64x48", "gradient:red-blue", "f.psd"],
    &[
        "gs",
        "-q",
        "-dBATCH",
        "-dNOPAUSE",
        "-sDEVICE=pdfwrite",
        "-o",
        "g.pdf",
        "-c",
        "10 10 moveto 90 90 lineto stroke showpage",
    ],
    &[
        "gs",
        "-q",
        "-dBATCH",
        "-dNOPAUSE",
        "-sDEVICE=pdfwrite",
        "-o",
        "h.ai",
        "-c",
        "20 20 moveto 90 90 lineto stroke showpage",
    ],
    &["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x48", "-pix_fmt", "yuv420p", "i.mp4"],
    &["ffmpeg", "-v", "error", "-i", "i.mp4", "-c", "copy", "j.mov"],
];

const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg"><title>The sea</title><desc>A caption</desc>
<metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:i="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">
<dc:subject><rdf:Bag><rdf:li>mare</rdf:li><rdf:li>sea, deep &amp; blue</rdf:li></rdf:Bag></dc:subject>
<dc:creator><rdf:Seq><rdf:li>Ada Lovelace</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© 2026 Ada</rdf:li></rdf:Alt></dc:rights>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">The sea</rdf:li><rdf:li xml:lang="it">Il mare è "blu"</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">A caption</rdf:li><rdf:li xml:lang="it">Una didascalia</rdf:li></rdf:Alt></dc:description>
<i:AltTextAccessibility><rdf:Alt><rdf:li xml:lang="en">Waves at dusk</rdf:li><rdf:li xml:lang="it">Onde al tramonto</rdf:li></rdf:Alt></i:AltTextAccessibility>
</rdf:Description></rdf:RDF></metadata></svg>"#;

fn run(dir: &Path, line: &[&str]) -> bool {
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Writes the files that this machine's tools can make; their names.
fn real_files(env: &Env) -> Vec<String> {
    let dir = env.root();
    let mut names = Vec::new();
    for base in BASES {
        let name = *base.iter().rev().find(|word| word.contains('.') && !word.contains(' ')).unwrap();
        if run(&dir, base) {
            names.push(name.to_owned());
        } else {
            eprintln!("skipped: {name} ({} is missing)", base[0]);
        }
    }
    for name in &names {
        let mut line = vec![EXIFTOOL, "-q", "-m", "-overwrite_original"];
        line.extend(XMP);
        line.push(name);
        assert!(run(&dir, &line), "{name}");
    }
    env.write("k.svg", SVG);
    names.push("k.svg".into());
    names
}

const KEYS: &str = r#"
notes = "for {filename}"
[mirror.custom_data.en]
caption = "{description}"
n = 3
[mirror.custom_data.it]
caption = "{description}"
"#;

/// What the media area shows of an asset in one locale: alt, title and custom data without the stamp.
fn shown(env: &Env, filename: &str, locale: &str) -> Value {
    let of = |field: &str| env.localized(filename, locale, field);
    let mut custom = of("custom_data");
    if let Some(custom) = custom.as_object_mut() {
        custom.remove("dato-mirror");
    }
    json!([of("alt"), of("title"), custom])
}

#[test]
fn every_value_of_real_files_arrives() {
    if !run(Path::new("/"), &[EXIFTOOL, "-ver"]) {
        eprintln!("skipped: exiftool is missing");
        return;
    }
    let env = Env::new(KEYS);
    let names = real_files(&env);
    env.write("a.jpg.meta.toml", "focal_point = { x = 0.25, y = 1 }\ncreator = { type = \"user\", id = \"312\" }\n");
    env.write("i.mp4.meta.toml", "poster_time = 0.5\n");
    let run = env.sync();
    assert_eq!(run.count("created"), names.len() as u64, "{run:#?}");
    assert_eq!(run.problems(), [""; 0]);
    let mut table = String::new();
    let mut wrong = Vec::new();
    for name in &names {
        let asset = env.asset(name);
        let slots = [
            ("tags", json!(asset.tags), json!(["mare", "sea, deep & blue"])),
            ("author", json!(asset.author), json!("Ada Lovelace")),
            ("copyright", json!(asset.copyright), json!("© 2026 Ada")),
            ("notes", json!(asset.notes), json!(format!("for {name}"))),
            ("en", shown(&env, name, "en"), json!(["Waves at dusk", "The sea", {"caption": "A caption", "n": 3}])),
            (
                "it",
                shown(&env, name, "it"),
                json!(["Onde al tramonto", "Il mare è \"blu\"", {"caption": "Una didascalia"}]),
            ),
        ];
        table.push_str(&format!("{name:<8}"));
        for (slot, seen, wanted) in slots {
            table.push_str(&format!("{slot} {:<6}", if seen == wanted { "yes" } else { "WRONG" }));
            if seen != wanted {
                wrong.push(format!("{name} {slot}: {seen} instead of {wanted}"));
            }
        }
        table.push('\n');
    }
    eprint!("by_field = {BY_FIELD}\n{table}");
    assert_eq!(wrong, [""; 0]);
    let jpeg = env.asset("a.jpg").metadata;
    let point = if BY_FIELD { &jpeg["focal_point"] } else { &jpeg["it"]["focal_point"] };
    assert_eq!(point["x"], json!(0.25), "{jpeg}");
    assert_eq!(env.asset("a.jpg").creator, json!({"type": "user", "id": "312"}));
    if names.iter().any(|name| name == "i.mp4") {
        let video = env.asset("i.mp4").metadata;
        let poster = if BY_FIELD { &video["poster_time"] } else { &video["it"]["poster_time"] };
        assert_eq!(poster, &json!(0.5), "{video}");
    }
    env.sandbox.clear_log();
    let again = env.sync();
    assert_eq!((env.changes(), again.count("unchanged")), (0, names.len() as u64), "{again:#?}");
    env.forget_index();
    env.sync();
    assert_eq!(env.changes(), 0, "with the index lost too");
}

/// The project changes its shape between two runs, and between two calls of one run.
#[test]
fn a_project_that_changes_its_shape_is_followed() {
    let env = Env::with("[mirror.alt]\nen = \"one\"\nit = \"uno\"", |settings| settings.by_field = false);
    env.write("a.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    env.sync();
    env.sandbox.set(|settings| settings.by_field = true);
    env.configure("[mirror.alt]\nen = \"two\"\nit = \"uno\"");
    env.sync();
    assert_eq!(env.asset("a.svg").metadata["alt"], json!({"en": "two", "it": "uno"}));
}
