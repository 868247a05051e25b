//! Bulk operations on up to 200 uploads.
//!
//! Owns: `/uploads/bulk/*`.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::{Call, Document, document};
use super::create::known_collection;
use super::job::Work;
use super::rights;
use super::state::World;
use super::update::{find, not_used};

/// `POST /uploads/bulk/:operation`.
pub(super) fn start(world: &mut World, call: &Call, operation: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let body = call.body.as_ref().ok_or_else(|| Refusal::format("a JSON:API document is needed"))?;
    let document = parse(operation, body)?;
    uploads(&document, world.settings.bulk_limit)?;
    match operation {
        "tag" => {
            document.tags()?.ok_or_else(|| Refusal::field("tags", "VALIDATION_REQUIRED", "is needed"))?;
        }
        "set-upload-collection" => {
            let collection = document.one("upload_collection", "upload_collection")?;
            let collection = collection.ok_or_else(|| Refusal::format("upload_collection is needed"))?;
            known_collection(world, &call.environment, collection.as_deref())?;
        }
        _ => {}
    }
    let mut body = body.clone();
    permitted(world, call, operation, &mut body)?;
    Ok(world.begin(call, Work::Bulk { operation: operation.to_owned(), body }))
}

/// Refuses a call with an upload that the token may not change; or makes it one that the job does not find.
fn permitted(world: &World, call: &Call, operation: &str, body: &mut Value) -> Result<(), Refusal> {
    let action = match operation {
        "tag" => "update",
        "destroy" => "delete",
        _ => "move",
    };
    let uploads = body.pointer_mut("/data/relationships/uploads/data").and_then(Value::as_array_mut);
    for one in uploads.into_iter().flatten() {
        let Some(id) = one.get("id").and_then(Value::as_str) else { continue };
        let Ok(upload) = find(world, &call.environment, id) else { continue };
        match rights::on(world, call, action, upload) {
            Ok(()) => {}
            Err(refusal) if world.settings.bulk_refused_whole => return Err(refusal),
            Err(_) => one["id"] = json!(format!("{id}-refused")),
        }
    }
    Ok(())
}

fn parse<'a>(operation: &str, body: &'a Value) -> Result<Document<'a>, Refusal> {
    match operation {
        "tag" => document(body, "upload_bulk_tag_operation", &["tags"], &["uploads"]),
        "set-upload-collection" => {
            let relationships = ["uploads", "upload_collection"];
            document(body, "upload_bulk_set_upload_collection_operation", &[], &relationships)
        }
        "destroy" => document(body, "upload_bulk_destroy_operation", &[], &["uploads"]),
        _ => Err(Refusal::not_found("bulk operation")),
    }
}

fn uploads(document: &Document<'_>, most: usize) -> Result<Vec<String>, Refusal> {
    let ids = document.many("uploads", "upload")?.unwrap_or_default();
    if ids.is_empty() {
        return Err(Refusal::new(422, "MISSING_UPLOAD_IDS", json!({})));
    }
    if ids.len() > most {
        return Err(Refusal::new(422, "TOO_MANY_OPERATIONS", json!({ "limit": most, "found": ids.len() })));
    }
    Ok(ids)
}

/// The job: each upload for itself, counted.
pub(super) fn perform(
    world: &mut World,
    environment: &str,
    operation: &str,
    body: &Value,
    now: i64,
) -> Result<(u16, Value), Refusal> {
    let document = parse(operation, body)?;
    let ids = uploads(&document, world.settings.bulk_limit)?;
    let tags = document.tags()?.unwrap_or_default();
    let collection = document.one("upload_collection", "upload_collection")?.flatten();
    let mut successful = 0;
    for id in &ids {
        let done = match operation {
            "destroy" => {
                let free = !world.settings.refuse_delete_in_use || not_used(world, environment, id).is_ok();
                free && world.remove_upload(environment, id, now).is_some()
            }
            _ => {
                let space = world.environments.get(environment);
                let upload = space.and_then(|space| space.uploads.get(id)).cloned();
                upload.is_some_and(|mut upload| {
                    if operation == "tag" {
                        for tag in &tags {
                            if !upload.tags.contains(tag) {
                                upload.tags.push(tag.clone());
                            }
                        }
                    } else {
                        upload.collection.clone_from(&collection);
                    }
                    if world.settings.bulk_moves_updated_at {
                        upload.updated_at = now;
                    }
                    world.put_upload(environment, upload, now);
                    true
                })
            }
        };
        successful += usize::from(done);
    }
    Ok((200, json!({ "data": [], "meta": { "successful": successful, "failed": ids.len() - successful } })))
}
