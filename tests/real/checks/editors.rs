//! What editors typed, what the mirror writes beside it, and in which shape.

use serde_json::{Value, json};

use crate::assets::id_of;
use crate::content::{png, text};
use crate::suite::{Check, Place};
use crate::told::Outcome;

pub const CHECKS: &[Check] = &[
    Check {
        name: "metadata lands in the project's shape, and the other shape is no use",
        about: "A project keeps metadata by field (newer) or by locale (older), and may change over while we run",
        run: shape,
    },
    Check { name: "what an editor typed survives a change of the file", about: "Editors are safe", run: typed },
    Check {
        name: "a file that an editor replaced is told, not overwritten",
        about: "unchanged | an editor replaced the file",
        run: replaced,
    },
    Check {
        name: "custom data beside the stamp keep their values, and the stamp is one string",
        about: "An editor's save of custom data in the CMS keeps a value that is an object, or drops it",
        run: custom,
    },
];

fn shape(at: &Place<'_>) -> Outcome {
    let mut scene = at.scene();
    scene.set("DATO_MIRROR_TAGS", "dato-mirror-test");
    let content = png();
    scene.write("pic.png", &content);
    let sidecar = format!("[alt]\n{} = \"from the sidecar\"\n", at.site.main());
    scene.write("pic.png.meta.toml", sidecar.as_bytes());
    scene.sync().did("created 1");
    let asset = scene.asset(&content, &["pic.png"]);
    assert_eq!(at.site.field(&asset, "alt"), "from the sidecar", "{asset}");
    assert_eq!(asset["attributes"]["tags"], json!(["dato-mirror-test"]));
    let (this, other) = if at.site.by_field { ("field", "locale") } else { ("locale", "field") };
    at.found(format!("the project keeps metadata by {this}; its locales are {}", at.site.locales.join(", ")));
    let wrong = json!({ "default_field_metadata": at.site.other_shape("title", &json!("in the other shape")) });
    let answer = at.fork.change(&id_of(&asset), &wrong, &[]);
    let told = if answer.is_ok() { "accepted".to_owned() } else { format!("refused: {}", answer.refusal()) };
    at.found(format!("a write by {other} is {told}"));
    Ok(())
}

fn typed(at: &Place<'_>) -> Outcome {
    if at.site.custom_storage {
        return Err("this project has storage of its own, where no file can be replaced at its URL".to_owned());
    }
    let mut scene = at.scene();
    scene.set("DATO_MIRROR_TAGS", "ours");
    let (old, new) = (png(), png());
    scene.write("pic.png", &old);
    scene.sync().did("created 1");
    let id = id_of(&scene.asset(&old, &["pic.png"]));
    let change = json!({
        "tags": ["ours", "theirs"],
        "notes": "typed by an editor",
        "default_field_metadata": at.site.metadata("alt", &json!("typed by an editor")),
    });
    at.fork.change(&id, &change, &[]).ok("an editor's change");
    scene.write("pic.png", &new);
    scene.sync().did("replaced 1");
    let asset = scene.asset(&new, &["pic.png"]);
    assert_eq!(asset["id"], id.as_str());
    assert_eq!(at.site.field(&asset, "alt"), "typed by an editor", "{asset}");
    assert_eq!(asset["attributes"]["notes"], "typed by an editor");
    let mut tags: Vec<_> = asset["attributes"]["tags"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["ours", "theirs"]);
    Ok(())
}

fn replaced(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let (ours, theirs) = (text(), text());
    scene.write("a.txt", &ours);
    scene.sync().did("created 1");
    let id = id_of(&scene.asset(&ours, &["a.txt"]));
    let answer = at.fork.replace(&id, "a.txt", &theirs);
    if !answer.is_ok() {
        return Err(format!("the file cannot be replaced: {}", answer.refusal()));
    }
    let run = scene.sync();
    assert_eq!((run.code, run.problems().len()), (1, 1), "{run:#?}");
    assert_eq!(at.fork.asset(&id)["attributes"]["md5"], crate::content::digest(&theirs));
    Ok(())
}

fn custom(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let content = text();
    scene.write("a.txt", &content);
    scene.sync().did("created 1");
    // That the stamp is one string is asserted wherever a scene looks at an asset.
    let asset = scene.asset(&content, &["a.txt"]);
    let id = id_of(&asset);
    let mut data = at.site.field(&asset, "custom_data");
    data["campaign"] = json!("spring");
    data["object"] = json!({ "a": 1 });
    let change = json!({ "default_field_metadata": at.site.metadata("custom_data", &data) });
    at.fork.change(&id, &change, &[]).ok("custom data");
    // A field that the mirror writes goes into the same custom data as its stamp.
    scene.write("a.txt.meta.toml", b"notes = \"ours\"\n");
    scene.sync().did("retagged 1");
    let asset = scene.asset(&content, &["a.txt"]);
    let data = at.site.field(&asset, "custom_data");
    assert_eq!((&data["campaign"], &asset["attributes"]["notes"]), (&json!("spring"), &json!("ours")));
    let kept = if data["object"] == json!({ "a": 1 }) { "kept" } else { "not kept" };
    at.found(format!("an object among the custom data is {kept} by the API (what a save in the CMS does, look there)"));
    Ok(())
}
