//! The tracks of a video: subtitles and further sound.
//!
//! Owns: `/uploads/:id/tracks`. Stricter than the service is known to be: two tracks of a kind cannot have one name
//! (its video host's rule), and a new file for the video is a video without tracks. Never does: fetching URLs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::{Call, document, new_id};
use super::entity::Upload;
use super::job::Work;
use super::metadata::Media;
use super::rights;
use super::state::World;
use super::update::find;

const ATTRIBUTES: [&str; 5] = ["url_or_upload_request_id", "type", "name", "language_code", "closed_captions"];

/// A track as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Track {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) language: String,
    pub(super) closed_captions: Option<bool>,
    /// Hexadecimal digest of its content.
    pub(super) md5: String,
    /// ms since 1970.
    #[serde(default)]
    pub(super) prepared_at: i64,
    /// Why it is of no use, once it is prepared.
    #[serde(default)]
    pub(super) error: Option<String>,
}

impl Track {
    /// The resource object.
    pub(super) fn render(&self, upload: &str, now: i64) -> Value {
        let error = self.error.as_ref().filter(|_| now >= self.prepared_at);
        let status = match error {
            _ if now < self.prepared_at => "preparing",
            Some(_) => "errored",
            None => "ready",
        };
        json!({
            "id": self.id,
            "type": "upload_track",
            "attributes": {
                "type": self.kind,
                "name": self.name,
                "language_code": self.language,
                "closed_captions": self.closed_captions,
                "status": status,
                "error": error,
            },
            "relationships": { "upload": { "data": { "type": "upload", "id": upload } } },
        })
    }
}

/// `GET /uploads/:id/tracks`.
pub(super) fn list(world: &World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let upload = video(world, &call.environment, id)?;
    let now = world.now();
    let tracks: Vec<Value> = upload.tracks.iter().map(|track| track.render(id, now)).collect();
    Ok(Answer::ok(json!({ "data": tracks })))
}

/// `POST /uploads/:id/tracks`.
pub(super) fn start(world: &mut World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    rights::on(world, call, "update", find(world, &call.environment, id)?)?;
    let document = call.document("upload_track", &ATTRIBUTES, &[])?;
    if document.id.is_some() {
        return Err(Refusal::format("the service makes the ids of tracks"));
    }
    let body = call.body.clone().unwrap_or_default();
    // Found out by the video host, so only in the job.
    plan(world, &call.environment, id, &body, false)?;
    Ok(world.begin(call, Work::Track { upload: id.to_owned(), body }))
}

/// The job of a new track.
pub(super) fn perform(
    world: &mut World,
    environment: &str,
    id: &str,
    body: &Value,
    now: i64,
) -> Result<(u16, Value), Refusal> {
    let (mut track, ticket) = plan(world, environment, id, body, true)?;
    track.prepared_at = now + i64::from(world.settings.track_ms);
    track.error = unusable(world, &ticket);
    let mut upload = find(world, environment, id)?.clone();
    let shown = track.render(id, now);
    upload.tracks.push(track);
    world.put_upload(environment, upload, now);
    if let Some(mut ticket) = world.tickets.remove(&ticket) {
        ticket.used = true;
        world.put_ticket(ticket);
    }
    Ok((200, json!({ "data": shown })))
}

/// `DELETE /uploads/:id/tracks/:id`.
pub(super) fn delete(world: &mut World, call: &Call, id: &str, track: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    known(video(world, &call.environment, id)?, track)?;
    Ok(world.begin(call, Work::Untrack { upload: id.to_owned(), track: track.to_owned() }))
}

/// The job of a deletion.
pub(super) fn remove(
    world: &mut World,
    environment: &str,
    id: &str,
    track: &str,
    now: i64,
) -> Result<(u16, Value), Refusal> {
    let mut upload = video(world, environment, id)?.clone();
    let shown = known(&upload, track)?.render(id, now);
    upload.tracks.retain(|known| known.id != track);
    world.put_upload(environment, upload, now);
    Ok((200, json!({ "data": shown })))
}

fn known<'a>(upload: &'a Upload, track: &str) -> Result<&'a Track, Refusal> {
    upload.tracks.iter().find(|known| known.id == track).ok_or_else(|| Refusal::not_found("upload track"))
}

fn video<'a>(world: &'a World, environment: &str, id: &str) -> Result<&'a Upload, Refusal> {
    let upload = find(world, environment, id)?;
    if upload.file.media() == Media::Video {
        return Ok(upload);
    }
    Err(Refusal::field("upload", "NOT_A_VIDEO", "only videos have tracks"))
}

/// The track this call would make, and the ticket it takes.
fn plan(world: &World, environment: &str, id: &str, body: &Value, in_job: bool) -> Result<(Track, String), Refusal> {
    let upload = video(world, environment, id)?;
    let document = document(body, "upload_track", &ATTRIBUTES, &[])?;
    let kind = document.text("type")?;
    let formats: &[&str] = match kind {
        "subtitles" => &["vtt", "srt"],
        "audio" => &["m4a", "mp3", "wav"],
        _ => return Err(Refusal::field("type", "INVALID_FORMAT", "must be subtitles or audio")),
    };
    let language = document.text("language_code")?;
    if !is_language(language) {
        return Err(Refusal::field("language_code", "INVALID_FORMAT", "must be a BCP 47 tag"));
    }
    let closed_captions = match document.attributes.get("closed_captions") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(value)) => Some(*value),
        Some(_) => return Err(Refusal::field("closed_captions", "INVALID_FORMAT", "must be true, false or null")),
    };
    if closed_captions == Some(true) && kind != "subtitles" {
        return Err(Refusal::field("closed_captions", "INVALID_FORMAT", "only subtitles are closed captions"));
    }
    let name = match document.attributes.get("name") {
        None => language.to_owned(),
        Some(_) => document.text("name")?.to_owned(),
    };
    let path = document.text("url_or_upload_request_id")?;
    let field = "url_or_upload_request_id";
    let stored = world.stored(path).filter(|_| world.tickets.get(path).is_some_and(|ticket| !ticket.used));
    let stored = stored.ok_or_else(|| Refusal::field(field, "INVALID_PATH", "not an upload request with a file"))?;
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    if !formats.contains(&extension) {
        return Err(Refusal::field(field, "INVALID_FORMAT", format!("{kind} must be one of {}", formats.join(", "))));
    }
    let unique = in_job && !world.settings.same_name_tracks;
    if unique && upload.tracks.iter().any(|known| known.kind == kind && known.name == name) {
        return Err(Refusal::field("name", "VALIDATION_UNIQUENESS", "another track of the kind has this name"));
    }
    let track = Track {
        id: new_id(),
        kind: kind.to_owned(),
        name,
        language: language.to_owned(),
        closed_captions,
        md5: stored.md5.clone(),
        prepared_at: 0,
        error: None,
    };
    Ok((track, path.to_owned()))
}

/// What the video host finds wrong with a file. Here only WebVTT is looked at.
fn unusable(world: &World, path: &str) -> Option<String> {
    let blob = world.stored(path).filter(|_| path.ends_with(".vtt"))?.blob.clone();
    let content = std::fs::read(world.blobs.join(blob)).ok()?;
    (!content.starts_with(b"WEBVTT")).then(|| "the file does not begin with WEBVTT".to_owned())
}

/// Letters first, then short parts of letters and digits.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=8).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A track of someone else, or as a test needs it.
pub(super) fn foreign(kind: &str, language: &str) -> Track {
    Track {
        id: new_id(),
        kind: kind.to_owned(),
        name: language.to_owned(),
        language: language.to_owned(),
        closed_captions: None,
        md5: String::new(),
        prepared_at: 0,
        error: None,
    }
}
