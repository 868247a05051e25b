//! One upload: shown, changed, deleted.
//!
//! Owns: `/uploads/:id` and `/uploads/:id/references`, `keep_url` and renaming.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::{Call, document, linkage};
use super::create::{final_path, fits, known_collection, no_file, room, take_file};
use super::entity::Upload;
use super::job::Work;
use super::rights;
use super::state::World;

const ATTRIBUTES: [&str; 7] = ["path", "basename", "author", "copyright", "notes", "tags", "default_field_metadata"];
/// The record that stands for the environment's own use of an upload: it counts as a use, and no reference shows it.
const FAVICON: &str = "favicon";
/// A record whose name begins so was never published.
const DRAFT: &str = "draft";
const RELATIONSHIPS: [&str; 2] = ["upload_collection", "creator"];

/// The upload of this call.
pub(super) fn find<'a>(world: &'a World, environment: &str, id: &str) -> Result<&'a Upload, Refusal> {
    let space = world.environments.get(environment);
    space.and_then(|space| space.uploads.get(id)).ok_or_else(|| Refusal::not_found("upload"))
}

/// `GET /uploads/:id`.
pub(super) fn show(world: &World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    Ok(Answer::ok(json!({ "data": world.show(find(world, &call.environment, id)?) })))
}

/// `GET /uploads/:id/references`.
pub(super) fn references(world: &World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&["nested", "version"])?;
    find(world, &call.environment, id)?;
    let Some(space) = world.environments.get(&call.environment) else { return Err(Refusal::not_found("upload")) };
    let drafts = match call.param("version") {
        None | Some("published") => false,
        Some("current" | "published-or-current") => true,
        Some(_) => return Err(Refusal::format("version: published, current or published-or-current")),
    };
    // The environment's own uses are no records.
    let shown = |record: &&str| *record != FAVICON && (drafts || !record.starts_with(DRAFT));
    let records = space.users_of(id).filter(shown).map(|record| {
        json!({
            "id": record, "type": "item", "attributes": {},
            "relationships": { "item_type": { "data": { "type": "item_type", "id": "sandbox_page" } } },
            "meta": { "status": if record.starts_with(DRAFT) { "draft" } else { "published" } },
        })
    });
    Ok(Answer::ok(json!({ "data": records.collect::<Vec<_>>() })))
}

/// `DELETE /uploads/:id`.
pub(super) fn delete(world: &mut World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    rights::on(world, call, "delete", find(world, &call.environment, id)?)?;
    let shown = world.show(find(world, &call.environment, id)?);
    not_busy(world, &call.environment, id)?;
    if world.settings.refuse_delete_in_use {
        not_used(world, &call.environment, id)?;
    }
    world.remove_upload(&call.environment, id, call.now);
    Ok(Answer::ok(json!({ "data": shown })))
}

/// Refuses what records use.
pub(super) fn not_used(world: &World, environment: &str, id: &str) -> Result<(), Refusal> {
    let space = world.environments.get(environment);
    let users: Vec<_> = space.into_iter().flat_map(|space| space.users_of(id)).collect();
    if users.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(422, "UPLOAD_IS_CURRENTLY_IN_USE", json!({ "record_ids": users })))
}

fn not_busy(world: &World, environment: &str, id: &str) -> Result<(), Refusal> {
    if world.environments.get(environment).is_some_and(|space| space.busy.contains(id)) {
        let mut refusal = Refusal::new(422, "CONCURRENT_UPLOAD_UPDATE", json!({}));
        refusal.transient = true;
        return Err(refusal);
    }
    Ok(())
}

/// `PUT /uploads/:id`.
pub(super) fn start(world: &mut World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&["replace_strategy"])?;
    let keep_url = match call.param("replace_strategy") {
        None | Some("create_new_url") => false,
        Some("keep_url") => true,
        Some(other) => return Err(Refusal::format(format!("unknown replace_strategy {other}"))),
    };
    let document = call.document("upload", &ATTRIBUTES, &RELATIONSHIPS)?;
    document.same_id(id)?;
    let upload = find(world, &call.environment, id)?;
    let replaces = document.attributes.contains_key("path");
    rights::on(world, call, if replaces { "replace_asset" } else { "update" }, upload)?;
    if let Some(collection) = document.one("upload_collection", "upload_collection")?
        && collection != upload.collection
    {
        rights::on(world, call, "move", upload)?;
    }
    not_busy(world, &call.environment, id)?;
    let body = call.body.clone().unwrap_or_default();
    if !call.late && !world.settings.refuse_late {
        plan(world, &call.environment, id, &body, keep_url, call.now)?;
    }
    Ok(world.begin(call, Work::Update { id: id.to_owned(), body, keep_url }))
}

/// The job.
pub(super) fn perform(
    world: &mut World,
    environment: &str,
    id: &str,
    body: &Value,
    keep_url: bool,
    now: i64,
) -> Result<(u16, Value), Refusal> {
    let before = find(world, environment, id)?.clone();
    let upload = plan(world, environment, id, body, keep_url, now)?;
    let ticket = body.pointer("/data/attributes/path").and_then(Value::as_str);
    if let Some(ticket) = ticket.filter(|path| *path != before.path) {
        take_file(world, ticket, &upload);
    } else if upload.path != before.path {
        // What is in the bucket, not what this environment knows of it: another may have replaced the bytes.
        let file = world.files.get(&before.path).cloned().unwrap_or_else(|| upload.file.clone());
        world.put_file(&upload.path, file);
    }
    let shown = world.show(&upload);
    world.put_upload(environment, upload, now);
    Ok((200, json!({ "data": shown })))
}

/// The upload as this call would leave it.
fn plan(world: &World, environment: &str, id: &str, body: &Value, keep_url: bool, now: i64) -> Result<Upload, Refusal> {
    let document = document(body, "upload", &ATTRIBUTES, &RELATIONSHIPS)?;
    let mut upload = find(world, environment, id)?.clone();
    let new_path = document.nullable("path")?;
    if new_path.is_some() && document.attributes.contains_key("basename") {
        return Err(Refusal::field("basename", "INVALID_FORMAT", "cannot change together with path"));
    }
    if let Some(path) = new_path {
        let path = path.ok_or_else(|| Refusal::field("path", "INVALID_FORMAT", "must be a string"))?;
        if path != upload.path {
            replace(world, &mut upload, &path, keep_url)?;
        }
    }
    if document.attributes.contains_key("basename") {
        let extension = upload.filename().rsplit_once('.').map(|(_, extension)| extension.to_owned());
        let basename = document.text("basename")?;
        let name = extension.map_or_else(|| basename.to_owned(), |extension| format!("{basename}.{extension}"));
        if name != upload.filename() {
            upload.path = world.new_path(&name, now);
        }
    }
    for (name, field) in
        [("author", &mut upload.author), ("copyright", &mut upload.copyright), ("notes", &mut upload.notes)]
    {
        if let Some(value) = document.nullable(name)? {
            *field = value;
        }
    }
    if let Some(tags) = document.tags()? {
        upload.tags = tags;
    }
    if let Some(patch) = document.attributes.get("default_field_metadata") {
        upload.metadata.apply(patch, world.shape(), upload.file.media())?;
    }
    if let Some(collection) = document.one("upload_collection", "upload_collection")? {
        known_collection(world, environment, collection.as_deref())?;
        upload.collection = collection;
    }
    if let Some(creator) = document.relationships.get("creator") {
        upload.creator = creator_of(linkage(creator, "creator")?)?;
    }
    upload.updated_at = now;
    Ok(upload)
}

fn replace(world: &World, upload: &mut Upload, path: &str, keep_url: bool) -> Result<(), Refusal> {
    if keep_url && world.settings.custom_storage {
        return Err(Refusal::new(
            422,
            "INCOMPATIBLE_WITH_UPLOAD_STORAGE_SETTINGS",
            json!({ "field": "replace_strategy" }),
        ));
    }
    let file = world.stored(path).ok_or_else(|| no_file(world, path))?.clone();
    fits(world, file.size)?;
    room(world, file.size.saturating_sub(upload.file.size))?;
    if keep_url {
        if file.format != upload.file.format {
            return Err(Refusal::field("path", "FORMAT_MISMATCH", "keep_url needs a file of the same format"));
        }
    } else {
        upload.path = final_path(world, path, file.media(), file.format.as_deref());
    }
    upload.antivirus = super::antivirus::first(world, &file.md5);
    upload.file = file;
    upload.tracks.clear();
    Ok(())
}

fn creator_of(data: &Value) -> Result<Value, Refusal> {
    let kind = data.get("type").and_then(Value::as_str).unwrap_or_default();
    let known = ["account", "access_token", "user", "sso_user", "organization"].contains(&kind);
    let exact = data.as_object().is_some_and(|map| map.len() == 2) && data.get("id").is_some_and(Value::is_string);
    if known && exact { Ok(data.clone()) } else { Err(Refusal::format("creator must be one resource, by type and id")) }
}
