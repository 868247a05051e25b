//! What goes: files that are deleted here, assets that are deleted there, and what must stay because it is used.

use reqwest::Method;
use serde_json::{Value, json};

use crate::assets::id_of;
use crate::content::{png, text};
use crate::suite::{Check, Place};
use crate::told::Outcome;

pub const CHECKS: &[Check] = &[
    Check {
        name: "with on_delete = delete an unused asset goes with its file, and no other",
        about: "gone: seen here before, or `authoritative`",
        run: unused,
    },
    Check { name: "without it nothing is deleted", about: "Deleting is off by default", run: kept },
    Check {
        name: "an asset in use stays, also where only the environment itself uses it",
        about: "Deleting an asset in use is refused, or leaves holes",
        run: used,
    },
    Check {
        name: "an asset that was deleted there is made again, whatever becomes of its id",
        about: "The id of a deleted asset can be used again, or never",
        run: again,
    },
];

fn unused(at: &Place<'_>) -> Outcome {
    let mut scene = at.scene();
    scene.set("DATO_MIRROR_ON_DELETE", "delete");
    scene.set("DATO_MIRROR_MAX_DELETE", "25");
    let (stays, goes) = (text(), text());
    scene.write("stays.txt", &stays);
    scene.write("goes.txt", &goes);
    scene.sync().did("created 2");
    let (staying, going) = (scene.asset(&stays, &["stays.txt"]), scene.asset(&goes, &["goes.txt"]));
    scene.remove("goes.txt");
    scene.sync().did("deleted 1");
    assert!(!at.fork.has_asset(&id_of(&going)) && at.fork.has_asset(&id_of(&staying)));
    Ok(())
}

fn kept(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let content = text();
    scene.write("a.txt", &content);
    scene.write("b.txt", &text());
    scene.sync().did("created 2");
    let id = id_of(&scene.asset(&content, &["a.txt"]));
    scene.remove("a.txt");
    let run = scene.sync();
    assert_eq!(run.mirror()["deleted"], 0, "{run:#?}");
    assert!(at.fork.has_asset(&id));
    Ok(())
}

fn used(at: &Place<'_>) -> Outcome {
    let mut scene = at.scene();
    scene.set("DATO_MIRROR_ON_DELETE", "delete");
    scene.set("DATO_MIRROR_MAX_DELETE", "25");
    let content = png();
    scene.write("icon.png", &content);
    scene.write("other.txt", &text());
    scene.sync().did("created 2");
    let id = id_of(&scene.asset(&content, &["icon.png"]));
    let icon = |id: Value| {
        let data = json!({ "type": "site", "id": at.site.id, "attributes": { "favicon": id } });
        at.fork.call(&Method::PUT, "/site", &[], Some(&json!({ "data": data })))
    };
    let answer = icon(json!(id));
    if !answer.is_ok() {
        return Err(format!("the token may not set the favicon: {}", answer.refusal()));
    }
    scene.remove("icon.png");
    let run = scene.sync();
    assert!(at.fork.has_asset(&id), "it was deleted while it was in use: {run:#?}");
    assert_eq!(run.mirror()["deleted"], 0, "{run:#?}");
    let records = at.fork.get(&format!("/uploads/{id}/references"), &[]).data("references");
    at.found(format!("/references of the favicon shows {} records", records.as_array().map_or(0, Vec::len)));
    let query = [("filter[ids]", id.as_str()), ("filter[fields][in_use][eq]", "false")];
    let shown = !at.fork.listed(&query, 0).is_empty();
    at.found(format!("in_use = false {} the favicon", if shown { "shows" } else { "does not show" }));
    let answer = at.fork.delete(&id);
    match answer.is_ok() {
        true => at.found("deleting an asset in use is done, and leaves holes"),
        false => at.found(format!("deleting an asset in use is refused: {}", answer.refusal())),
    }
    assert!(icon(Value::Null).is_ok(), "the favicon can be taken away");
    Ok(())
}

fn again(at: &Place<'_>) -> Outcome {
    let mut scene = at.scene();
    scene.set("DATO_MIRROR_ON_REMOTE_DELETE", "recreate");
    let content = text();
    scene.write("deleted.txt", &content);
    for number in 0..4 {
        scene.write(&format!("{number}.txt"), &text());
    }
    scene.sync().did("created 5");
    let id = id_of(&scene.asset(&content, &["deleted.txt"]));
    at.fork.delete(&id).ok("a deletion");
    scene.sync().did("created 1");
    let asset = scene.asset(&content, &["deleted.txt"]);
    let can = if asset["id"] == id.as_str() { "can be used again" } else { "cannot be used again" };
    at.found(format!("a deleted id {can}"));
    scene.sync().did("");
    Ok(())
}
