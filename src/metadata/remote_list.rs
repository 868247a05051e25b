//! `_remote.toml`: files to fetch from URLs into the folder's mirror.
//!
//! Owns: its keys and checks. Never does: fetching.

use std::collections::BTreeSet;

use super::sidecar::{MAX_BYTES, Sidecar};
use crate::config::Problems;
use crate::config::document::{Document, Findings, Section};
use crate::config::problem::Place;
use crate::config::value::Wrong;
use crate::model::{Md5, RelPath, sidecar_kind};

/// The name of the list.
pub const LIST_NAME: &str = "_remote.toml";
/// Files a list names at most.
const MAX_FILES: usize = 1000;

/// A file to fetch.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteFile {
    /// Where it is mirrored as if it lay there.
    pub path: RelPath,
    /// Where it is fetched from.
    pub url: String,
    /// What a sidecar would say of it.
    pub sidecar: Sidecar,
}

/// Whether the key is that of a list.
#[must_use]
pub fn is_list(path: &str) -> bool {
    path.rsplit('/').next() == Some(LIST_NAME)
}

/// Reads the list at the key `list`.
///
/// # Errors
/// All that is wrong with it.
pub fn parse(list: &str, content: &[u8]) -> Result<Vec<RemoteFile>, Problems> {
    let refused = |message: String, advice: &str| Err(Problems::one(Place::Everywhere, message, advice));
    if content.len() > MAX_BYTES {
        return refused(format!("{list} is larger than 1 MiB"), "make it shorter");
    }
    let Ok(text) = std::str::from_utf8(content) else {
        return refused(format!("{list} is not valid UTF-8"), "save it as UTF-8");
    };
    let document = Document::new(list, text);
    let findings = Findings::default();
    let files = document.parse(&findings).map(|table| {
        let mut top = Section::root(&document, &table, &findings);
        let mut taken = BTreeSet::new();
        let sections = top.tables("file", "[[file]]");
        if sections.len() > MAX_FILES {
            findings.add(top.place(), format!("lists more than {MAX_FILES} files"), "use several folders");
        }
        let files: Vec<RemoteFile> =
            sections.into_iter().take(MAX_FILES).filter_map(|section| file(section, list, &mut taken)).collect();
        top.finish();
        files
    });
    let (problems, _) = findings.into_parts();
    if problems.0.is_empty() { Ok(files.unwrap_or_default()) } else { Err(problems) }
}

/// What stands for a URL wherever it is only compared: it may hold a secret.
#[must_use]
pub fn url_digest(url: &str) -> String {
    Md5::of(format!("url {url}").as_bytes()).to_string()
}

/// The list at the key `list` as it may be kept: each URL is cut down to its host and its digest. Comments are left out,
/// since they may hold an old one. Two lists that name other URLs stay different.
#[must_use]
pub fn without_urls(list: &str, content: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    let kept = parse(list, content).ok().and_then(|_| {
        let mut table = text.parse::<toml::Table>().ok()?;
        for file in table.get_mut("file").and_then(toml::Value::as_array_mut).into_iter().flatten() {
            let url = file.get_mut("url")?;
            *url = toml::Value::String(shown(url.as_str()?.trim()));
        }
        toml::to_string(&table).ok()
    });
    // What cannot be read as a list tells nothing, and whatever is in it may be a secret. That it cannot be read is kept.
    kept.unwrap_or_else(|| format!("unreadable = \"{}\"\n", url_digest(&text))).into_bytes()
}

/// A URL by its scheme, host and digest.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", ""));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // With an `@` anywhere it cannot be told what is a password.
    let plain =
        !rest.contains('@') && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    format!("{scheme}://{}/{}", if plain { host } else { "hidden" }, url_digest(url))
}

fn file(mut section: Section<'_>, list: &str, taken: &mut BTreeSet<String>) -> Option<RemoteFile> {
    let url = section.check("url", |url: String| {
        let web = ["http://", "https://"].iter().any(|scheme| url.trim().starts_with(scheme));
        let wrong = || Wrong::new("must begin with http:// or https://", "url = \"https://example.com/logo.svg\"");
        web.then(|| url.trim().to_owned()).ok_or_else(wrong)
    });
    let filename = section.check("filename", valid_name);
    section.missing("url", "say where to fetch it: url = \"https://example.com/logo.svg\"");
    section.missing("filename", "say what it is called here: filename = \"logo.svg\"");
    let sidecar = Sidecar::read(&mut section);
    let (url, filename) = (url?.value, filename?);
    if !taken.insert(filename.value.clone()) {
        let message = format!("two files are named {}", filename.value);
        section.findings().add(filename.place, message, "give each its own name");
    }
    section.finish();
    let folder = list.strip_suffix(LIST_NAME).unwrap_or_default();
    let path = RelPath::from_key(&format!("{folder}{}", filename.value)).ok()?;
    Some(RemoteFile { path, url, sidecar })
}

/// A name that a file of the folder could have and the mirror would not skip.
fn valid_name(name: String) -> Result<String, Wrong> {
    let plain =
        !name.is_empty() && name.len() <= 255 && !name.contains(['/', '\\']) && !name.contains(char::is_control);
    if plain && !name.starts_with('.') && sidecar_kind(&name).is_none() {
        Ok(name)
    } else {
        Err(Wrong::new("must be a plain file name", "without folders, for example filename = \"logo.svg\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_with_their_sidecar_keys() {
        let toml = "[[file]]\nurl = \"https://example.com/a?x=1\"\nfilename = \"a.png\"\ntags = [\"far\"]\n[file.alt]\nen = \"A\"\n\
                    [[file]]\nurl = \"http://example.com/b\"\nfilename = \"b.png\"\n";
        let files = parse("x/_remote.toml", toml.as_bytes()).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.key()).collect();
        assert_eq!(paths, ["x/a.png", "x/b.png"]);
        assert_eq!((files[0].sidecar.layer.tags.len(), files[0].sidecar.layer.alt.len()), (1, 1));
        assert_eq!(parse("_remote.toml", toml.as_bytes()).unwrap()[0].path.key(), "a.png");
        assert_eq!(parse("_remote.toml", b"").unwrap(), []);
    }

    #[test]
    fn a_list_is_kept_without_its_urls_and_says_the_same_otherwise() {
        let toml = |secret: &str| {
            format!(
                "# url = \"https://example.com/old?{secret}\"\n[[file]]\nurl = ' https://example.com/{secret}\"?x={secret}'\n\
                 filename = \"a.png\"\ntags = [\"far\", \"b\"]\nnotes = \"see https://example.com/licence\"\n\
                 [[file]]\nurl = \"http://user:{secret}@host/b\"\nfilename = \"b.png\"\n[file.alt]\nen = \"B\"\n"
            )
        };
        let kept = without_urls("_remote.toml", toml("hush").as_bytes());
        let text = String::from_utf8(kept.clone()).unwrap();
        assert!(!text.contains("hush") && text.contains("https://example.com/licence"), "{text}");
        let read = |content: &[u8]| parse("_remote.toml", content).unwrap();
        let (before, after) = (read(toml("hush").as_bytes()), read(&kept));
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((&before.path, &before.sidecar), (&after.path, &after.sidecar));
        }
        assert_eq!(after[0].url, format!("https://example.com/{}", url_digest(&before[0].url)));
        assert!(after[1].url.starts_with("http://hidden/"), "{}", after[1].url);
        assert_ne!(kept, without_urls("_remote.toml", toml("other").as_bytes()), "a changed secret is a change");
        for broken in ["[[file]]\nurl = \"https://x/?hush\"\n", "url = \"https://x/?hush", "\u{0}hush"] {
            let kept = without_urls("_remote.toml", broken.as_bytes());
            assert!(!String::from_utf8_lossy(&kept).contains("hush"));
            assert!(parse("_remote.toml", &kept).is_err(), "it stays broken: {broken}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let toml = "[[file]]\nurl = \"ftp://x/y\"\nfilename = \"../up.png\"\n[[file]]\nname = \"x\"\n[[file]]\nurl = \"http://x/y\"\n\
                    filename = \"a\"\n[[file]]\nurl = \"http://x/z\"\nfilename = \"a\"\n";
        let lines: Vec<_> =
            parse("_remote.toml", toml.as_bytes()).unwrap_err().0.iter().map(ToString::to_string).collect();
        for part in [
            "_remote.toml:2:7: `url` must begin with http",
            "_remote.toml:3:12: `filename` must be a plain",
            "[[file]] has no `url`",
            "_remote.toml:11:12: two files are named a",
        ] {
            assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:#?}");
        }
        for name in ["", ".x", "a/b", "a.xmp", "_folder.meta.toml", "_remote.toml", "a\\b"] {
            assert!(valid_name(name.to_owned()).is_err(), "{name}");
        }
    }
}
