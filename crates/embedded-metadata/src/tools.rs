//! Words that programs put where a person's belong: the title that a printer driver makes of a file's name, the login name
//! of whoever was at the computer, the name of a drawing program's canvas.
//!
//! Owns: telling them from a person's words, and leaving them out. What is in doubt counts as a person's. Never does:
//! reading files.

use std::collections::BTreeMap;

use crate::Embedded;

/// What stands before a file's name in the title that a program's print dialog makes.
const PRINTED_BY: [&str; 9] = [
    "microsoft word - ",
    "microsoft powerpoint - ",
    "microsoft excel - ",
    "microsoft office word - ",
    "microsoft publisher - ",
    "microsoft visio - ",
    "microsoft outlook - ",
    "adobe photoshop - ",
    "coreldraw - ",
];

/// What programs call what nobody has named: alone, or followed by a number.
const UNNAMED: [&str; 24] = [
    "untitled",
    "unbenannt",
    "ohne titel",
    "senza titolo",
    "sans titre",
    "sin título",
    "artboard",
    "zeichenfläche",
    "tavola da disegno",
    "plan de travail",
    "mesa de trabajo",
    "page",
    "slide",
    "frame",
    "group",
    "layer",
    "canvas",
    "document",
    "presentation",
    "powerpoint presentation",
    "powerpoint-präsentation",
    "presentazione standard di powerpoint",
    "new document",
    "drawing",
];

/// Whom programs name when nobody has told them a name.
const NOBODY: [&str; 17] = [
    "microsoft office user",
    "windows user",
    "windows-benutzer",
    "user",
    "admin",
    "administrator",
    "root",
    "owner",
    "default",
    "unknown",
    "anonymous",
    "author",
    "none",
    "n/a",
    "standard",
    "utente",
    "benutzer",
];

/// What cameras write where a caption belongs.
const CAMERA: [&str; 8] = [
    "olympus digital camera",
    "sony dsc",
    "digital camera",
    "kodak digital still camera",
    "samsung camera pictures",
    "minolta dsc",
    "konica minolta digital camera",
    "exif_jpeg_picture",
];

/// Whether a program wrote this title.
pub(super) fn is_title(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    PRINTED_BY.iter().any(|program| text.starts_with(program)) || CAMERA.contains(&text.as_str()) || is_unnamed(&text)
}

/// `artboard`, `artboard 2`, `artboard copy 2`, `untitled-1`.
fn is_unnamed(text: &str) -> bool {
    let counted = text.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches([' ', '-', '_']);
    let copied = ["copy", "kopie", "copia", "copie"].iter().find_map(|word| counted.strip_suffix(word));
    let name = copied.map_or(counted, |before| before.trim_end_matches([' ', '-', '_']));
    // A word alone may be meant, such as a page named "Group"; with a number nobody means it.
    let alone = ["page", "slide", "frame", "group", "layer", "canvas", "document", "presentation", "drawing"];
    UNNAMED.contains(&name) && (name != text || !alone.contains(&name))
}

/// Whether a program wrote this author. Documents name whoever was at the computer, so there a login name is none: one word
/// without a capital, such as `jdoe` or `m.rossi`, or one that a domain stands before. A picture's author was typed.
pub(super) fn is_author(text: &str, of_document: bool) -> bool {
    let name = text.trim();
    let is_login = |name: &str| {
        name.bytes().any(|byte| byte.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
    };
    let with_domain = name.split_once('\\').is_some_and(|(_, user)| !user.contains(char::is_whitespace));
    NOBODY.contains(&name.to_lowercase().as_str()) || with_domain || of_document && is_login(name)
}

/// Leaves out what programs wrote.
pub(super) fn leave_out(found: &mut Embedded, of_document: bool) {
    let kept = |texts: &mut BTreeMap<String, String>| texts.retain(|_, text| !is_title(text));
    kept(&mut found.title);
    let is_a_cameras = |text: &str| CAMERA.contains(&text.trim().to_lowercase().as_str());
    found.description.retain(|_, text| !is_a_cameras(text));
    if let Some(people) = found.creator.take() {
        let people: Vec<&str> = people.split(", ").filter(|one| !is_author(one, of_document)).collect();
        found.creator = (!people.is_empty()).then(|| people.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_that_programs_wrote_are_told_from_a_persons() {
        for tools in [
            "Microsoft Word - x.docx",
            "Microsoft PowerPoint - Q3.pptx",
            "Untitled",
            "untitled-1",
            "Unbenannt-2",
            "Artboard",
            "Artboard 1",
            "Artboard Copy 2",
            "Artboard copy",
            "Page 1",
            "Group 12",
            "PowerPoint Presentation",
            "OLYMPUS DIGITAL CAMERA",
        ] {
            assert!(is_title(tools), "{tools}");
        }
        for person in [
            "Microsoft Word for beginners",
            "Untitled film stills",
            "Artboards of the museum",
            "Group",
            "The Group of 12",
            "Canvas",
            "Page 1 of the diary",
            "Logo",
            "Slide guitar",
        ] {
            assert!(!is_title(person), "{person}");
        }
    }

    #[test]
    fn authors_that_programs_wrote_are_told_from_a_persons() {
        for tools in ["jdoe", "m.rossi", "user1", "CORP\\jdoe", "Microsoft Office User", "Administrator", "root"] {
            assert!(is_author(tools, true), "{tools}");
        }
        for person in ["Ada", "Ada Lovelace", "ada lovelace", "Škoda", "björk", "J. Doe", "ada@example.com"] {
            assert!(!is_author(person, true), "{person}");
        }
        // Who typed a name into a picture meant it.
        assert!(!is_author("banksy", false) && is_author("Windows User", false));
        let mut found = Embedded { creator: Some("Ada Lovelace, jdoe".into()), ..Embedded::default() };
        leave_out(&mut found, true);
        assert_eq!(found.creator.as_deref(), Some("Ada Lovelace"));
    }
}
