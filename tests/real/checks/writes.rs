//! What single calls do that the mirror builds on: refusals of creates, bulk calls, filters, how soon a listing shows.

use std::time::Instant;

use serde_json::{Value, json};

use crate::assets::{id_of, links, new_id};
use crate::content::{digest, gif, png, text};
use crate::suite::{Check, Place};
use crate::told::Outcome;

pub const CHECKS: &[Check] = &[
    Check {
        name: "a taken id is refused, and its asset stays as it is",
        about: "A taken id is refused with VALIDATION_UNIQUENESS, VALIDATION_UNIQUE or another code",
        run: taken,
    },
    Check {
        name: "a create that is wrong is refused",
        about: "A wrong create is refused at once, or in its job",
        run: wrong,
    },
    Check {
        name: "bulk tags are added, and updated_at moves or not",
        about: "Bulk tags and bulk moves touch `updated_at`, or do not",
        run: tagged,
    },
    Check {
        name: "bulk moves move, and updated_at moves or not",
        about: "Bulk tags and bulk moves touch `updated_at`, or do not",
        run: moved,
    },
    Check {
        name: "filters by id, use and digest show what they should",
        about: "Listings show a write at once, or later",
        run: filtered,
    },
    Check {
        name: "keep_url replaces a file at its URL and refuses another format, or not",
        about: "Same URL",
        run: kept,
    },
    Check {
        name: "a bulk deletion deletes and tells numbers",
        about: "A bulk call with one asset that may not be changed is refused whole, or done for the others",
        run: destroyed,
    },
];

fn taken(at: &Place<'_>) -> Outcome {
    let (id, content) = (new_id(), text());
    let path = at.fork.send("first.txt", &content);
    at.fork.create(&id, &path).ok("a new asset with an id of ours");
    let path = at.fork.send("second.txt", &text());
    let answer = at.fork.create(&id, &path);
    assert!(!answer.is_ok(), "a taken id is accepted");
    assert_eq!(at.fork.asset(&id)["attributes"]["md5"], digest(&content));
    at.found(format!("a taken id is refused: {}", answer.refusal()));
    Ok(())
}

fn wrong(at: &Place<'_>) -> Outcome {
    let id = new_id();
    let answer = at.fork.create(&id, "/0/0-nothing-was-sent-here.txt");
    assert!(!answer.is_ok() && !at.fork.has_asset(&id), "an asset was made of nothing");
    at.found(format!("a create that is wrong is refused: {}", answer.refusal()));
    Ok(())
}

/// Whether `updated_at` of an asset is another one than before.
fn touched(at: &Place<'_>, before: &Value) -> &'static str {
    let now = at.fork.asset(&id_of(before));
    if now["attributes"]["updated_at"] == before["attributes"]["updated_at"] { "does not move" } else { "moves" }
}

fn tagged(at: &Place<'_>) -> Outcome {
    let asset = at.fork.make_asset("tagged.txt", &text());
    let id = id_of(&asset);
    at.fork.change(&id, &json!({ "tags": ["theirs"] }), &[]).ok("a tag");
    let asset = at.fork.asset(&id);
    let data = json!({
        "type": "upload_bulk_tag_operation",
        "attributes": { "tags": ["ours"] },
        "relationships": { "uploads": links(&[&id]) },
    });
    let answer = at.fork.post("/uploads/bulk/tag", &data).ok("bulk tags");
    assert_eq!(answer.body["meta"]["successful"], 1, "{answer:?}");
    let now = at.fork.asset(&id)["attributes"]["tags"].clone();
    assert!(now == json!(["theirs", "ours"]) || now == json!(["ours", "theirs"]), "{now}");
    at.found(format!("updated_at {} by a bulk tag", touched(at, &asset)));
    Ok(())
}

fn moved(at: &Place<'_>) -> Outcome {
    let asset = at.fork.make_asset("moved.txt", &text());
    let id = id_of(&asset);
    let label = crate::content::word();
    let made =
        at.fork.post("/upload-collections", &json!({ "type": "upload_collection", "attributes": { "label": label } }));
    if !made.is_ok() {
        return Err(format!("the token may make no collections: {}", made.refusal()));
    }
    let collection = id_of(&made.body["data"]);
    let data = json!({
        "type": "upload_bulk_set_upload_collection_operation",
        "relationships": {
            "uploads": links(&[&id]),
            "upload_collection": { "data": { "type": "upload_collection", "id": collection } },
        },
    });
    at.fork.post("/uploads/bulk/set-upload-collection", &data).ok("a bulk move");
    let now = at.fork.asset(&id);
    assert_eq!(now["relationships"]["upload_collection"]["data"]["id"], collection.as_str());
    at.found(format!("updated_at {} by a bulk move", touched(at, &asset)));
    Ok(())
}

fn filtered(at: &Place<'_>) -> Outcome {
    let contents = [text(), text(), text()];
    let ids: Vec<_> = contents.iter().map(|content| id_of(&at.fork.make_asset("filtered.txt", content))).collect();
    let started = Instant::now();
    let joined = ids.join(",");
    let sorted = |found: Vec<Value>| {
        let mut found: Vec<_> = found.iter().map(id_of).collect();
        found.sort();
        found
    };
    let mut wanted = ids;
    wanted.sort();
    let query = [("filter[ids]", joined.as_str()), ("page[limit]", "500")];
    assert_eq!(sorted(at.fork.listed(&query, 3)), wanted);
    at.found(format!("a listing shows new assets after {} ms", started.elapsed().as_millis()));
    let query = [query[0], ("filter[fields][in_use][eq]", "false"), query[1]];
    assert_eq!(sorted(at.fork.listed(&query, 3)), wanted);
    let query = contents.each_ref().map(|content| ("filter[fields][md5][in][]", digest(content)));
    let query = query.each_ref().map(|(name, md5)| (*name, md5.as_str()));
    assert_eq!(sorted(at.fork.listed(&query, 3)), wanted);
    Ok(())
}

fn kept(at: &Place<'_>) -> Outcome {
    let asset = at.fork.make_asset("kept.png", &png());
    let (id, new) = (id_of(&asset), png());
    let answer = at.fork.replace(&id, "other-name.png", &new);
    if !answer.is_ok() {
        assert!(at.site.custom_storage, "keep_url is refused: {}", answer.refusal());
        return Err(format!("this project has storage of its own: {}", answer.refusal()));
    }
    let now = at.fork.asset(&id);
    assert_eq!(now["attributes"]["md5"], digest(&new));
    for kept in ["path", "url"] {
        assert_eq!(now["attributes"][kept], asset["attributes"][kept], "{kept}");
    }
    let answer = at.fork.replace(&id, "kept.gif", &gif());
    let told = if answer.is_ok() { "accepted".to_owned() } else { format!("refused: {}", answer.refusal()) };
    at.found(format!("keep_url with another format is {told}"));
    Ok(())
}

fn destroyed(at: &Place<'_>) -> Outcome {
    let asset = at.fork.make_asset("destroyed.txt", &text());
    let (id, unknown) = (id_of(&asset), new_id());
    let data =
        |ids: &[&str]| json!({ "type": "upload_bulk_destroy_operation", "relationships": { "uploads": links(ids) } });
    let answer = at.fork.post("/uploads/bulk/destroy", &data(&[&id, &unknown]));
    if answer.is_ok() {
        at.found(format!("a bulk deletion with an asset that is not there tells {}", answer.body["meta"]));
    } else {
        at.found(format!("a bulk deletion with an asset that is not there is refused: {}", answer.refusal()));
        at.fork.post("/uploads/bulk/destroy", &data(&[&id])).ok("a bulk deletion");
    }
    assert!(!at.fork.has_asset(&id));
    Ok(())
}
