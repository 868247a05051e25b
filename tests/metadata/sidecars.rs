//! Metadata files beside the mirrored ones.

use serde_json::json;

use super::support::{Env, png};

const XMP: &str = r#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt>
<rdf:li xml:lang="x-default">TITLE</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>KEYWORD</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"#;

fn xmp(title: &str, keyword: &str) -> String {
    XMP.replace("TITLE", title).replace("KEYWORD", keyword)
}

#[test]
fn an_xmp_sidecar_is_read_followed_and_the_longer_name_wins() {
    let env = Env::new("");
    env.write("a.png", png("a"));
    env.write("a.xmp", xmp("by stem", "stem"));
    env.sync();
    assert_eq!(env.localized("a.png", "en", "title"), "by stem");
    assert_eq!(env.asset("a.png").tags, ["stem"]);
    env.write("a.png.XMP", xmp("by name", "name"));
    assert_eq!(env.sync().count("retagged"), 1);
    assert_eq!(env.localized("a.png", "en", "title"), "by name");
    assert_eq!(env.asset("a.png").tags, ["name"]);
    // Cut off in the middle of a save: nothing is taken away.
    env.write("a.png.XMP", &xmp("by name", "name")[..150]);
    let run = env.run(&[]);
    assert!(run.has_problem("a.png.XMP"), "{run:#?}");
    assert_eq!(env.localized("a.png", "en", "title"), "by name");
    std::fs::remove_file(env.root().join("a.png.XMP")).unwrap();
    std::fs::remove_file(env.root().join("a.xmp")).unwrap();
    let run = env.sync();
    assert_eq!((run.count("retagged"), run.problems().len()), (1, 0), "{run:#?}");
    assert_eq!(env.localized("a.png", "en", "title"), json!(null));
    assert_eq!(env.asset("a.png").tags, [""; 0]);
}

#[test]
fn a_broken_sidecar_leaves_what_is_there_and_says_line_and_column() {
    let env = Env::new("tags = [\"brand\"]");
    env.write("x/a.png", png("a"));
    env.write("x/a.png.meta.toml", "tags = [\"hero\"]\nauthor = \"Ann\"\n[alt]\nen = \"A dog\"\n");
    env.write("x/b.png", png("b"));
    env.write("x/_folder.meta.toml", "copyright = \"© us\"\n");
    env.sync();
    let before = (env.asset("a.png"), env.asset("b.png"));
    assert_eq!((before.0.author.as_deref(), before.0.copyright.as_deref()), (Some("Ann"), Some("© us")));
    env.write("x/a.png.meta.toml", "tags = [\"hero\"]\nauthor = Ann\n");
    env.write("x/_folder.meta.toml", "copyright = \"© us\"\ncolour = 3\n");
    env.write("x/new.png", png("new"));
    env.configure("tags = [\"brand\", \"more\"]");
    let run = env.run(&[]);
    assert!(run.has_problem("x/a.png.meta.toml:2:10"), "{run:#?}");
    assert!(run.has_problem("x/_folder.meta.toml:2:1"), "{run:#?}");
    assert_eq!((run.count("created"), run.count("retagged")), (1, 0), "{run:#?}");
    assert_eq!((env.asset("a.png"), env.asset("b.png")), before);
    assert_eq!(env.asset("new.png").tags, ["brand", "more"]);
    // Said again while it lasts, though nothing is left to do.
    assert!(env.run(&[]).has_problem("x/a.png.meta.toml:2:10"));
    env.write("x/a.png.meta.toml", "tags = [\"hero\"]\nauthor = \"Ann B.\"\n");
    env.write("x/_folder.meta.toml", "copyright = \"© us\"\n");
    let run = env.sync();
    assert_eq!((run.count("retagged"), run.problems().len()), (3, 0), "{run:#?}");
    assert_eq!(env.asset("a.png").author.as_deref(), Some("Ann B."));
    assert_eq!(env.localized("a.png", "en", "alt"), json!(null));
    assert_eq!(env.asset("new.png").copyright.as_deref(), Some("© us"));
}

#[test]
fn an_unknown_locale_and_a_wrong_kind_are_told_once_in_every_run() {
    let env = Env::new("[mirror.alt]\nfr = \"un\"\nen = \"one\"");
    for name in ["a.png", "b.png", "c.png"] {
        env.write(name, png(name));
    }
    env.write("a.png.meta.toml", "poster_time = 3\n");
    for _ in 0..2 {
        let run = env.sync();
        let mut problems = run.problems();
        problems.sort();
        assert_eq!(
            problems,
            [
                "a.png: alt.fr in [[mirror]] is left out: the project's locales are en, it (and 2 more files)",
                "a.png: poster_time in a.png.meta.toml is left out: this file is no video",
            ]
        );
    }
    assert_eq!(env.localized("b.png", "en", "alt"), "one");
}

#[test]
fn the_year_is_that_of_the_assets_creation() {
    // The media area's clock is three years behind: its assets are of an earlier year than the mirror's own.
    let env = Env::with("copyright = \"© {year} Example\"", |settings| {
        settings.clock_offset_ms = -3 * 366 * 86_400_000;
    });
    let foreign = env.sandbox.create_foreign(None, "old.png", &png("old")).unwrap();
    env.write("old.png", png("old"));
    assert_eq!(env.sync().count("adopted"), 1);
    let adopted = env.asset("old.png");
    assert_eq!(adopted.id, foreign);
    let year = jiff::Timestamp::now().strftime("%Y").to_string();
    let copyright = adopted.copyright.unwrap();
    assert!(!copyright.contains(&year), "{copyright}");
    env.forget_index();
    env.sandbox.clear_log();
    env.sync();
    assert_eq!(env.changes(), 0);
    assert_eq!(env.asset("old.png").copyright, Some(copyright));
}
