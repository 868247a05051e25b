//! Upload collections: the folders of the media area.
//!
//! Owns: `/upload-collections`.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::{Call, client_id, new_id};
use super::create::{known_collection, taken_id};
use super::entity::{Collection, Environment};
use super::rights;
use super::state::World;

fn space<'a>(world: &'a World, call: &Call) -> Result<&'a Environment, Refusal> {
    world.environments.get(&call.environment).ok_or_else(|| Refusal::not_found("environment"))
}

fn find<'a>(world: &'a World, call: &Call, id: &str) -> Result<&'a Collection, Refusal> {
    space(world, call)?.collections.get(id).ok_or_else(|| Refusal::not_found("upload collection"))
}

fn render(space: &Environment, collection: &Collection) -> Value {
    let link = |id: &String| json!({ "type": "upload_collection", "id": id });
    let mut children: Vec<_> =
        space.collections.values().filter(|child| child.parent.as_ref() == Some(&collection.id)).collect();
    children.sort_by(|a, b| (a.position, &a.id).cmp(&(b.position, &b.id)));
    json!({
        "id": collection.id,
        "type": "upload_collection",
        "attributes": { "label": collection.label, "position": collection.position },
        "relationships": {
            "parent": { "data": collection.parent.as_ref().map(link) },
            "children": { "data": children.iter().map(|child| link(&child.id)).collect::<Vec<_>>() },
        },
    })
}

/// `GET /upload-collections`.
pub(super) fn list(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&["filter[ids]"])?;
    let space = space(world, call)?;
    let ids: Option<Vec<&str>> = call.param("filter[ids]").map(|ids| ids.split(',').collect());
    let mut found: Vec<_> = space.collections.values().collect();
    found.retain(|collection| ids.as_ref().is_none_or(|ids| ids.contains(&collection.id.as_str())));
    found.sort_by(|a, b| (a.position, &a.id).cmp(&(b.position, &b.id)));
    let data: Vec<_> = found.into_iter().map(|collection| render(space, collection)).collect();
    Ok(Answer::ok(json!({ "data": data })))
}

/// `GET /upload-collections/:id`.
pub(super) fn show(world: &World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    Ok(Answer::ok(json!({ "data": render(space(world, call)?, find(world, call, id)?) })))
}

/// `POST /upload-collections`.
pub(super) fn create(world: &mut World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    rights::anywhere(world, call, "collections")?;
    let document = call.document("upload_collection", &["label", "position"], &["parent"])?;
    let id = document.id.map_or_else(new_id, str::to_owned);
    client_id(&id)?;
    if space(world, call)?.collections.contains_key(&id) {
        return Err(taken_id(world));
    }
    let parent = document.one("parent", "upload_collection")?.flatten();
    known_collection(world, &call.environment, parent.as_deref())?;
    let siblings = space(world, call)?.collections.values().filter(|other| other.parent == parent).count();
    let position = position(document.attributes.get("position"))?;
    let collection = Collection {
        id,
        label: document.text("label")?.to_owned(),
        position: position.unwrap_or_else(|| i64::try_from(siblings).unwrap_or(0) + 1),
        parent,
    };
    let id = collection.id.clone();
    store(world, call, collection);
    Ok(Answer { status: 201, body: json!({ "data": render(space(world, call)?, find(world, call, &id)?) }) })
}

/// `PUT /upload-collections/:id`.
pub(super) fn update(world: &mut World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let document = call.document("upload_collection", &["label", "position"], &["parent", "children"])?;
    document.same_id(id)?;
    let mut collection = find(world, call, id)?.clone();
    if document.attributes.contains_key("label") {
        document.text("label")?.clone_into(&mut collection.label);
    }
    if let Some(position) = position(document.attributes.get("position"))? {
        collection.position = position;
    }
    if let Some(parent) = document.one("parent", "upload_collection")? {
        known_collection(world, &call.environment, parent.as_deref())?;
        if under(space(world, call)?, parent.as_deref(), id) {
            return Err(Refusal::field("parent", "INVALID_RELATIONSHIP", "a collection cannot be below itself"));
        }
        collection.parent = parent;
    }
    let children = document.many("children", "upload_collection")?.unwrap_or_default();
    for child in &children {
        known_collection(world, &call.environment, Some(child))?;
        if child == id || under(space(world, call)?, Some(id), child) {
            return Err(Refusal::field("children", "INVALID_RELATIONSHIP", "a collection cannot be below itself"));
        }
    }
    store(world, call, collection);
    for child in children {
        let mut child = find(world, call, &child)?.clone();
        child.parent = Some(id.to_owned());
        store(world, call, child);
    }
    Ok(Answer::ok(json!({ "data": render(space(world, call)?, find(world, call, id)?) })))
}

/// `DELETE /upload-collections/:id`: its uploads and collections move up to the top.
pub(super) fn delete(world: &mut World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let shown = render(space(world, call)?, find(world, call, id)?);
    let space = space(world, call)?;
    let inside = space.uploads.values().filter(|upload| upload.collection.as_deref() == Some(id));
    let uploads: Vec<_> = inside.cloned().collect();
    let below = space.collections.values().filter(|child| child.parent.as_deref() == Some(id));
    let children: Vec<_> = below.cloned().collect();
    for mut upload in uploads {
        upload.collection = None;
        world.put_upload(&call.environment, upload, call.now);
    }
    for mut child in children {
        child.parent = None;
        store(world, call, child);
    }
    world.journal.remove("collection", &call.environment, id);
    if let Some(space) = world.environments.get_mut(&call.environment) {
        space.collections.remove(id);
    }
    Ok(Answer::ok(json!({ "data": shown })))
}

fn store(world: &mut World, call: &Call, collection: Collection) {
    world.journal.put("collection", &call.environment, &collection.id, &collection);
    if let Some(space) = world.environments.get_mut(&call.environment) {
        space.collections.insert(collection.id.clone(), collection);
    }
}

fn position(value: Option<&Value>) -> Result<Option<i64>, Refusal> {
    match value {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(position) => Ok(Some(position)),
            None => Err(Refusal::field("position", "INVALID_FORMAT", "must be a whole number")),
        },
    }
}

/// Whether `start` is `top` or somewhere below it.
fn under(space: &Environment, start: Option<&str>, top: &str) -> bool {
    let mut at = start;
    while let Some(id) = at {
        if id == top {
            return true;
        }
        at = space.collections.get(id).and_then(|collection| collection.parent.as_deref());
    }
    false
}
