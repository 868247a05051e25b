//! Upload requests and new uploads.
//!
//! Owns: `POST /upload-requests` and `POST /uploads`, and the checks a new upload must pass. The checks are one pure
//! function, run when the call arrives and again in its job.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::{Call, client_id, document, new_id};
use super::entity::{Ticket, Upload};
use super::job::Work;
use super::metadata::{Media, Metadata};
use super::rights;
use super::state::World;

/// The largest asset the service takes, bytes.
pub(super) const MAX_SIZE: u64 = 1024 * 1024 * 1024;

const ATTRIBUTES: [&str; 6] = ["path", "author", "copyright", "notes", "tags", "default_field_metadata"];

/// `POST /upload-requests`.
pub(super) fn request(world: &mut World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let takes = world.settings.requests_take_collection;
    let relationships: &[&str] = if takes { &["upload_collection"] } else { &[] };
    let document = call.document("upload_request", &["filename"], relationships)?;
    let filename = document.text("filename")?.to_owned();
    let collection = document.one("upload_collection", "upload_collection")?.flatten();
    known_collection(world, &call.environment, collection.as_deref())?;
    if takes {
        rights::create(world, call, collection.as_deref())?;
    } else {
        rights::anywhere(world, call, "create")?;
    }
    if filename.len() > 255 {
        return Err(Refusal::field("filename", "VALIDATION_LENGTH", "at most 255 bytes"));
    }
    let path = world.new_path(&filename, call.now);
    let ttl = world.settings.url_ttl_s;
    let expires = if call.expired { call.now } else { call.now + i64::from(ttl) * 1000 };
    let ticket = Ticket {
        seq: world.next(),
        path: path.clone(),
        secret: format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..)),
        nonce: format!("{:016x}", fastrand::u64(..)),
        expires,
        stored: None,
        used: false,
    };
    let url = format!(
        "{}/_bucket{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires={ttl}&X-Amz-Signature={}&expires={expires}",
        world.base_url, ticket.secret
    );
    let headers = json!({ "x-amz-meta-sandbox": ticket.nonce, "x-amz-server-side-encryption": "AES256" });
    world.put_ticket(ticket);
    let attributes = json!({ "url": url, "request_headers": headers });
    let body = json!({ "data": { "type": "upload_request", "id": path, "attributes": attributes } });
    Ok(Answer { status: 201, body })
}

/// `POST /uploads`.
pub(super) fn start(world: &mut World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let document = call.document("upload", &ATTRIBUTES, &["upload_collection"])?;
    document.text("path")?;
    let collection = document.one("upload_collection", "upload_collection")?.flatten();
    rights::create(world, call, collection.as_deref())?;
    let id = match document.id {
        Some(id) => {
            client_id(id)?;
            id.to_owned()
        }
        None => new_id(),
    };
    let body = call.body.clone().unwrap_or_default();
    if !call.late && !world.settings.refuse_late {
        free_id(world, &call.environment, &id, true)?;
        plan(world, &call.environment, &id, &body, call.token, call.now)?;
    }
    Ok(world.begin(call, Work::Create { id, body, creator: call.token.to_owned() }))
}

/// The job.
pub(super) fn perform(
    world: &mut World,
    environment: &str,
    id: &str,
    body: &Value,
    creator: &str,
    now: i64,
) -> Result<(u16, Value), Refusal> {
    free_id(world, environment, id, false)?;
    let asked = body.pointer("/data/attributes/path").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut upload = plan(world, environment, id, body, creator, now)?;
    upload.seq = world.next();
    take_file(world, &asked, &upload);
    let shown = world.show(&upload);
    world.put_upload(environment, upload, now);
    Ok((201, json!({ "data": shown })))
}

/// Moves a ticket's bytes to where `upload` wants them.
pub(super) fn take_file(world: &mut World, ticket: &str, upload: &Upload) {
    world.put_file(&upload.path, upload.file.clone());
    if let Some(mut ticket) = world.tickets.remove(ticket) {
        ticket.used = true;
        world.put_ticket(ticket);
    }
}

fn free_id(world: &World, environment: &str, id: &str, reserved: bool) -> Result<(), Refusal> {
    let Some(space) = world.environments.get(environment) else { return Ok(()) };
    let taken = space.uploads.contains_key(id)
        || (reserved && space.reserved.contains(id))
        || (world.settings.deleted_ids_stay_taken && space.deleted.contains(id));
    if taken { Err(taken_id(world)) } else { Ok(()) }
}

/// Why an id cannot be had, in the words that are set.
pub(super) fn taken_id(world: &World) -> Refusal {
    match world.settings.taken_id_code.as_str() {
        reason if reason.starts_with("VALIDATION_") => Refusal::field("id", reason, "the id is taken"),
        code => Refusal::new(422, code, json!({})),
    }
}

/// The upload that this call would make.
fn plan(world: &World, environment: &str, id: &str, body: &Value, creator: &str, now: i64) -> Result<Upload, Refusal> {
    let document = document(body, "upload", &ATTRIBUTES, &["upload_collection"])?;
    let path = document.text("path")?;
    let file = world.stored(path).ok_or_else(|| no_file(world, path))?.clone();
    fits(world, file.size)?;
    room(world, file.size)?;
    let mut metadata = Metadata::default();
    if let Some(patch) = document.attributes.get("default_field_metadata") {
        metadata.apply(patch, world.shape(), file.media())?;
    }
    let collection = document.one("upload_collection", "upload_collection")?.flatten();
    known_collection(world, environment, collection.as_deref())?;
    let path = final_path(world, path, file.media(), file.format.as_deref());
    let md5 = file.md5.clone();
    Ok(Upload {
        seq: 0,
        id: id.to_owned(),
        path,
        file,
        author: document.nullable("author")?.flatten(),
        copyright: document.nullable("copyright")?.flatten(),
        notes: document.nullable("notes")?.flatten(),
        tags: document.tags()?.unwrap_or_default(),
        metadata,
        collection,
        creator: json!({ "type": "access_token", "id": creator }),
        antivirus: super::antivirus::first(world, &md5),
        tracks: Vec::new(),
        created_at: now,
        updated_at: now,
    })
}

/// Why a path gives no file.
pub(super) fn no_file(world: &World, path: &str) -> Refusal {
    let why = if world.tickets.contains_key(path) {
        "nothing was put at this path"
    } else {
        "not the id of an upload request"
    };
    Refusal::field("path", "INVALID_PATH", why)
}

/// Refuses what is larger than the plan takes at once.
pub(super) fn fits(world: &World, size: u64) -> Result<(), Refusal> {
    if size > world.settings.largest_upload {
        return Err(Refusal::new(402, "PLAN_UPGRADE_REQUIRED", json!({ "limit": "maximum_single_upload_bytes" })));
    }
    Ok(())
}

/// Refuses what the plan has no room for.
pub(super) fn room(world: &World, size: u64) -> Result<(), Refusal> {
    let limit = world.settings.uploadable_bytes;
    if limit == 0 {
        return Ok(());
    }
    if used_bytes(world) + size > limit {
        return Err(Refusal::new(402, "PLAN_UPGRADE_REQUIRED", json!({ "limit": "uploadable_bytes" })));
    }
    Ok(())
}

/// Bytes of all files.
pub(super) fn used_bytes(world: &World) -> u64 {
    world.files.values().map(|file| file.size).sum()
}

/// A collection must be one of the environment's.
pub(super) fn known_collection(world: &World, environment: &str, collection: Option<&str>) -> Result<(), Refusal> {
    let Some(collection) = collection else { return Ok(()) };
    let known = world.environments.get(environment).is_some_and(|space| space.collections.contains_key(collection));
    if known { Ok(()) } else { Err(Refusal::field("upload_collection", "INVALID_RELATIONSHIP", "no such collection")) }
}

/// An image whose name has no extension comes back at a path that has one.
pub(super) fn final_path(world: &World, path: &str, media: Media, format: Option<&str>) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match format {
        Some(format) if media == Media::Image && !name.contains('.') => {
            let mut longer = format!("{path}.{format}");
            let mut count = 1;
            while world.files.contains_key(&longer) {
                longer = format!("{path}-{count}.{format}");
                count += 1;
            }
            longer
        }
        _ => path.to_owned(),
    }
}
