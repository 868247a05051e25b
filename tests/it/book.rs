//! The book in `docs/`, held to what it speaks of.
//!
//! Keys, defaults, variables, exit codes, messages and the API's codes are the program's own; commands parse; links lead
//! somewhere. What the README's commands print is `tests/hands/readme.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use dato_mirror::cli::args::Args;
use dato_mirror::error::Exit;
use dato_mirror::metadata::remote_list;
use dato_mirror::metadata::sidecar::Sidecar;

use crate::support::TestEnv;

/// Words of a message that are shorter stand for nothing.
const SHORTEST: usize = 6;

type Blocks<'a> = Vec<(&'a str, Vec<&'a str>)>;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = here().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the pages in `docs/`.
fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(here().join("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md")).collect()
}

/// The README and the pages, from the project's folder.
fn pages() -> Vec<String> {
    let pages = names().into_iter().map(|name| format!("docs/{name}"));
    pages.chain(["README.md".to_owned()]).collect()
}

/// A page's lines outside of code blocks, and its code blocks with their languages.
fn parts(page: &str) -> (Vec<&str>, Blocks<'_>) {
    let (mut prose, mut blocks, mut inside) = (Vec::new(), Blocks::new(), false);
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push((language, Vec::new()));
            }
        } else if !inside {
            prose.push(line);
        } else if let Some((_, lines)) = blocks.last_mut() {
            lines.push(line);
        }
    }
    assert!(!inside, "a code block has no end");
    (prose, blocks)
}

/// The cells of a table's row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("| ")?.strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// What is in a cell that is a code span; `None` for words.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// What is in the code spans of a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Of each key, by table and name, its default; one that is commented out has none.
fn keys_of_the_example() -> BTreeMap<(String, String), Option<String>> {
    let example = text("config.example.toml");
    let (mut keys, mut table) = (BTreeMap::new(), String::new());
    for line in example.lines() {
        // Tables inside a mirror are keys of it.
        for mention in line.split("[mirror.").skip(1) {
            let name = mention.split([']', '.']).next().unwrap_or_default();
            if name != "rule" {
                keys.insert(("mirror".to_owned(), name.to_owned()), None);
            }
        }
        let bare = line.trim_start_matches("# ");
        if let Some(title) = bare.strip_prefix('[') {
            table = title.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
            continue;
        }
        let Some((key, value)) = bare.split_once(" = ") else { continue };
        let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_key && (!table.contains('.') || table == "mirror.rule") {
            let value = value.split("  #").next().unwrap_or_default().trim();
            keys.insert((table.clone(), key.to_owned()), (bare == line).then(|| value.to_owned()));
        }
    }
    keys
}

#[test]
fn the_reference_has_every_key_with_its_default_and_variable_and_no_other() {
    let page = text("docs/configuration.md");
    let (mut told, mut table) = (BTreeMap::new(), String::new());
    for line in parts(&page).0 {
        if let Some(title) = line.strip_prefix("## ") {
            let title = code(title).and_then(|title| title.strip_prefix('['));
            table = title.unwrap_or_default().trim_matches(['[', ']']).to_owned();
        }
        let Some(row) = cells(line).filter(|_| !table.is_empty()) else { continue };
        let (Some(key), [_, kind, default, variable, _]) = (code(row[0]), row.as_slice()) else { continue };
        assert!(!kind.is_empty(), "{line}");
        told.insert((table.clone(), key.to_owned()), code(default).map(str::to_owned));
        let expected = match (table.as_str(), key) {
            ("mirror.rule", _) | ("mirror", "alt" | "title" | "custom_data") => None,
            ("mirror", key) => Some(format!("DATO_MIRROR_{key}")),
            (table, key) => Some(format!("DATO_MIRROR_{table}_{key}")),
        };
        assert_eq!(code(variable).map(str::to_owned), expected.map(|name| name.to_ascii_uppercase()), "{line}");
    }
    let known = keys_of_the_example();
    assert!(known.len() > 40, "{known:#?}");
    for (key, default) in &known {
        let found = told.get(key).unwrap_or_else(|| panic!("docs/configuration.md lacks {key:?}"));
        assert_eq!(found, default, "the default of {key:?}");
    }
    for (table, key) in told.keys() {
        // A rule has keys of its mirror.
        let is_known = |table: &str| known.contains_key(&(table.to_owned(), key.clone()));
        assert!(is_known(table) || (table == "mirror.rule" && is_known("mirror")), "there is no {key} in [{table}]");
    }
}

/// A new code does not compile before it has its place here and below.
const fn number(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::Incomplete => 1,
        Exit::Usage => 2,
        Exit::Api => 3,
        Exit::Guard => 4,
        Exit::Locked => 5,
    }
}

#[test]
fn every_exit_code_is_told_with_what_to_do() {
    let page = text("docs/exit-codes.md");
    for exit in [Exit::Done, Exit::Incomplete, Exit::Usage, Exit::Api, Exit::Guard, Exit::Locked] {
        assert_eq!(number(exit), exit as u8);
        let (number, name) = (number(exit).to_string(), format!("{exit:?}"));
        let mut rows = page.lines().filter_map(cells);
        let row = rows.find(|row| row.len() == 4 && row[0] == number && row[1] == name);
        assert!(row.is_some_and(|row| row.iter().all(|cell| !cell.is_empty())), "no row for {number} {name}");
    }
}

/// What stands behind `#` for each heading, as forges and mdBook make it.
fn anchors(page: &str) -> BTreeSet<String> {
    let slug = |heading: &str| -> String {
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
        kept.map(|one| if one == ' ' { '-' } else { one }).collect()
    };
    let headings = parts(page).0.into_iter().filter(|line| line.starts_with('#'));
    headings.filter_map(|line| line.trim_start_matches('#').strip_prefix(' ')).map(slug).collect()
}

/// Where a page links to.
fn links(page: &str) -> Vec<String> {
    let lines = parts(page).0.into_iter().map(|line| line.split('`').step_by(2).collect::<String>());
    let of_line = |line: String| -> Vec<String> {
        line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned()).collect()
    };
    lines.flat_map(of_line).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        for link in links(&text(&page)) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link.as_str(), ""));
            let folder = Path::new(&page).parent().unwrap();
            let target = if file.is_empty() { PathBuf::from(&page) } else { folder.join(file) };
            assert!(here().join(&target).exists(), "{page}: {link} leads nowhere");
            let has_anchor = || anchors(&text(&target)).contains(anchor);
            assert!(anchor.is_empty() || has_anchor(), "{page}: {link}: there is no such heading");
            count += 1;
        }
    }
    assert!(count > 60, "{count} links");
}

#[test]
fn every_page_is_in_the_books_contents_and_one_click_from_the_readme() {
    let (summary, readme) = (links(&text("docs/SUMMARY.md")), links(&text("README.md")));
    for name in names().into_iter().filter(|name| name != "SUMMARY.md") {
        assert!(summary.contains(&name), "docs/SUMMARY.md lacks {name}");
        assert!(readme.contains(&format!("docs/{name}")), "README.md lacks docs/{name}");
    }
}

/// The commands of ours in a line of a shell, as words.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let simple = line.split(" | ").flat_map(|part| part.split(" && ")).flat_map(|part| part.split(" -- "));
    let words = |part: &str| -> Vec<String> {
        let words = part.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
        let own = words.skip_while(|word| word == "sudo" || word.contains('='));
        own.take_while(|word| word != "&" && !word.starts_with(['<', '>'])).collect()
    };
    simple
        .map(words)
        .filter(|words| words.first().is_some_and(|word| word.trim_matches('/') == "dato-mirror"))
        .collect()
}

#[test]
fn every_command_of_the_book_parses() {
    let mut count = 0;
    for page in pages() {
        let content = text(&page);
        let (prose, blocks) = parts(&content);
        let mut lines = Vec::new();
        for (language, block) in blocks {
            let joined = block.join("\n").replace("\\\n", " ");
            match language {
                "sh" => lines.extend(joined.lines().map(str::to_owned)),
                "console" => lines.extend(joined.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned)),
                _ => {}
            }
        }
        if page != "README.md" {
            lines.extend(prose.iter().flat_map(|line| spans(line)).map(str::to_owned));
        }
        for words in lines.iter().flat_map(|line| commands(line)) {
            if let Err(error) = Args::read(words.clone()) {
                let shown = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
                assert!(shown, "{page}: {words:?}: {error}");
            }
            count += 1;
        }
    }
    assert!(count > 50, "{count} commands");
}

#[test]
fn every_command_and_flag_is_told() {
    let page = text("docs/commands.md");
    let all = Args::command();
    let commands = || all.get_subcommands().filter(|command| !command.is_hide_set());
    for command in commands() {
        let name = command.get_name();
        assert!(page.contains(&format!("| `dato-mirror {name}")), "docs/commands.md lacks {name}");
    }
    for command in commands().chain([&all]) {
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            let is_told = page.contains(&format!("`--{flag}`")) || page.contains(&format!("`--{flag} "));
            assert!(is_told, "docs/commands.md lacks --{flag} of {}", command.get_name());
        }
    }
}

#[test]
fn every_example_of_a_file_is_taken() {
    let env = TestEnv::new();
    fs::write(env.home().join("token"), "sandbox").unwrap();
    let mut count = 0;
    for page in pages() {
        let content = text(&page);
        for (_, block) in parts(&content).1.into_iter().filter(|(language, _)| *language == "toml") {
            let example = block.join("\n");
            let is_configuration = ["[api]", "[status]", "[[mirror]]"].iter().any(|table| example.contains(table));
            if example.contains("[[file]]") {
                remote_list::parse("_remote.toml", example.as_bytes()).unwrap();
            } else if is_configuration {
                let mirror =
                    if example.contains("[[mirror]]") { "" } else { "\n[[mirror]]\nname = \"x\"\nroot = \"brand\"\n" };
                env.config(&format!("{example}{mirror}"));
                // It goes on to look for an index.
                let run = env.run(&["status"]);
                assert!(run.stderr.contains("there is no index"), "{page}:\n{example}\n{}", run.stderr);
            } else {
                Sidecar::parse(&page, example.as_bytes()).unwrap();
            }
            count += 1;
        }
    }
    assert!(count > 8, "{count} examples");
}

/// The source below `folder`, with texts that go on in the next line in one.
fn source(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in fs::read_to_string(&path).unwrap().lines().map(str::trim_start) {
                if let Some(begun) = line.strip_suffix('\\') {
                    out.push_str(begun);
                } else {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
    }
}

#[test]
fn every_message_of_the_problems_page_is_the_programs() {
    let mut all = String::new();
    source(&here().join("src"), &mut all);
    source(&here().join("crates"), &mut all);
    let all = all.replace("\\\"", "\"");
    let page = text("docs/problems.md");
    let mut count = 0;
    for row in page.lines().filter_map(cells) {
        for message in spans(row[0]) {
            let parts = message.split('…').map(|part| part.trim_matches(|one: char| !one.is_alphanumeric()));
            for part in parts.filter(|part| part.len() >= SHORTEST) {
                assert!(all.contains(part), "nothing says {part:?} of {message:?}");
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count} parts of messages");
    let codes = text("crates/dato-media-api/src/error/codes.rs");
    let is_code = |code: &&str| code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let quoted = codes.split('"').skip(1).step_by(2).filter(|text| !text.is_empty());
    let quoted: Vec<&str> = quoted.filter(is_code).collect();
    assert!(quoted.len() > 25, "{quoted:?}");
    for code in quoted {
        assert!(page.contains(&format!("`{code}`")), "docs/problems.md lacks {code}");
    }
}
