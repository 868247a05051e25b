//! What becomes of files: made, left alone, replaced, copied, moved, found again without an index.

use crate::assets::id_of;
use crate::content::{digest, gif, png, svg, text};
use crate::suite::{Check, Place};
use crate::told::Outcome;

pub const CHECKS: &[Check] = &[
    Check {
        name: "a first run makes one asset a file, with its content and a stamp",
        about: "A new asset costs about two calls",
        run: first,
    },
    Check { name: "a second run changes nothing", about: "a run with nothing to do at most three", run: second },
    Check { name: "a changed file keeps its asset and URL", about: "Same URL", run: changed },
    Check {
        name: "a file that becomes another format changes no URL unsaid",
        about: "Where the service cannot keep it (another format, storage of your own) that is said",
        run: format,
    },
    Check { name: "copies share one asset, and a moved file keeps it", about: "copied | its asset", run: copied },
    Check { name: "an index that is lost makes no second asset", about: "Exactly once", run: lost },
    Check { name: "folders become collections", about: "`collections = \"mirror\"` makes folders", run: collected },
];

fn first(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let files = [("a/pic.png", png()), ("logo.svg", svg()), ("note.txt", text())];
    for (path, content) in &files {
        scene.write(path, content);
    }
    let run = scene.sync().did("created 3");
    for (path, content) in &files {
        let asset = scene.asset(content, &[path]);
        assert_eq!(asset["attributes"]["size"], content.len(), "{asset}");
    }
    at.found(format!("a first run of {} files made {} API calls", files.len(), run.calls()));
    Ok(())
}

fn second(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let content = png();
    scene.write("pic.png", &content);
    scene.sync().did("created 1");
    let before = scene.asset(&content, &["pic.png"]);
    let run = scene.sync().did("");
    // Three for a media area that fits into one page of a listing.
    let total = at.fork.get("/uploads", &[("page[limit]", "0")]).ok("a count").body["meta"]["total_count"].clone();
    let pages = total.as_u64().unwrap().div_ceil(500);
    assert!(run.calls() <= 2 + pages.max(1), "{} calls with {total} assets: {run:#?}", run.calls());
    let after = at.fork.asset(&id_of(&before));
    for kept in ["md5", "path", "url", "tags", "default_field_metadata"] {
        assert_eq!(after["attributes"][kept], before["attributes"][kept], "{kept}");
    }
    // The service looks at new assets by itself, so that this tells nothing about the mirror.
    if after["attributes"]["updated_at"] != before["attributes"]["updated_at"] {
        at.found("updated_at of a new asset moves by itself for a while");
    }
    Ok(())
}

fn changed(at: &Place<'_>) -> Outcome {
    if at.site.custom_storage {
        return Err("this project has storage of its own, where no URL can be kept".to_owned());
    }
    let scene = at.scene();
    let (old, new) = (png(), png());
    scene.write("pic.png", &old);
    scene.sync().did("created 1");
    let before = scene.asset(&old, &["pic.png"]);
    scene.write("pic.png", &new);
    scene.sync().did("replaced 1");
    let after = scene.asset(&new, &["pic.png"]);
    assert_eq!(after["id"], before["id"]);
    for kept in ["path", "url", "filename"] {
        assert_eq!(after["attributes"][kept], before["attributes"][kept], "{kept}");
    }
    Ok(())
}

fn format(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let (old, new) = (png(), gif());
    scene.write("pic.png", &old);
    scene.sync().did("created 1");
    let before = scene.asset(&old, &["pic.png"]);
    scene.write("pic.png", &new);
    let run = scene.sync();
    let after = at.fork.asset(&id_of(&before));
    assert_eq!(after["attributes"]["url"], before["attributes"]["url"], "a URL changed unsaid");
    if run.code == 0 {
        assert_eq!(scene.asset(&new, &["pic.png"])["id"], before["id"]);
        at.found("a GIF under a PNG's name replaces it at its URL");
    } else {
        let problems = run.problems();
        assert_eq!((run.code, problems.len()), (1, 1), "{run:#?}");
        at.found(format!("a GIF under a PNG's name does not replace it: {}", problems[0]));
    }
    Ok(())
}

fn copied(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let content = png();
    scene.write("one.png", &content);
    scene.write("two.png", &content);
    scene.sync().did("created 1, aliased 1");
    let before = scene.asset(&content, &["one.png", "two.png"]);
    scene.rename("two.png", "sub/two.png");
    let run = scene.sync();
    assert_eq!((run.code, &run.mirror()["bytes_uploaded"]), (0, &0.into()), "{run:#?}");
    assert_eq!(scene.asset(&content, &["one.png", "sub/two.png"])["id"], before["id"]);
    Ok(())
}

fn lost(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let (same, old, new) = (text(), text(), text());
    scene.write("same.txt", &same);
    scene.write("changed.txt", &old);
    scene.sync().did("created 2");
    let (one, two) = (scene.asset(&same, &["same.txt"]), scene.asset(&old, &["changed.txt"]));
    scene.lose_index();
    scene.write("changed.txt", &new);
    let run = scene.sync();
    assert_eq!(scene.asset(&same, &["same.txt"])["id"], one["id"]);
    if at.site.custom_storage {
        // Nothing can be replaced at its URL: that is told, and the new content is nowhere.
        assert_eq!(run.code, 1, "{run:#?}");
        assert!(at.fork.listed(&[("filter[fields][md5][eq]", &digest(&new))], 0).is_empty());
        return Ok(());
    }
    assert_eq!(run.code, 0, "{run:#?}");
    assert_eq!(scene.asset(&new, &["changed.txt"])["id"], two["id"]);
    Ok(())
}

fn collected(at: &Place<'_>) -> Outcome {
    let mut scene = at.scene();
    scene.set("DATO_MIRROR_COLLECTIONS", "mirror");
    let (folder, content) = (crate::content::word(), text());
    let path = format!("{folder}/a.txt");
    scene.write(&path, &content);
    let run = scene.sync();
    let told = run.problems();
    if run.code == 1 && told.iter().any(|cause| cause.contains("collection")) {
        return Err(format!("the token may make no collections: {}", told.join("; ")));
    }
    run.did("created 1");
    let asset = scene.asset(&content, &[&path]);
    let id = &asset["relationships"]["upload_collection"]["data"]["id"];
    let id = id.as_str().expect("it is in a collection");
    let collection = at.fork.get(&format!("/upload-collections/{id}"), &[]).data("its collection");
    assert_eq!(collection["attributes"]["label"], folder.as_str());
    Ok(())
}
