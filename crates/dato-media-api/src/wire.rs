//! The JSON of the API, read and written.
//!
//! Owns: what an upload, a site, a job and the rest look like on the wire. Unknown members are ignored, optional ones
//! may be missing; an error names the member that is wrong.
//! Never does: HTTP. Shares nothing with the sandbox that the tests use, so that a misspelt member cannot agree with itself.
//! The metadata's two shapes are in `metadata`.

pub(super) mod metadata;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Antivirus, ApiError, ApiErrorKind, FieldKey, Fields, Md5, MetadataShape, Site, Stamp, Upload, UploadId};

/// A document with one resource.
#[derive(Deserialize)]
struct One<T> {
    data: T,
}

/// A document with a list of resources.
#[derive(Deserialize)]
struct Many<T> {
    data: Vec<T>,
    #[serde(default)]
    meta: ListMeta,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(default)]
    total_count: Option<u64>,
}

/// Ids are text; legacy ones were numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl Id {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct UploadWire {
    id: Id,
    #[serde(default)]
    attributes: UploadAttributes,
    #[serde(default)]
    relationships: Value,
    #[serde(default)]
    meta: Value,
}

/// All optional: a service that leaves one out must not stop the program.
#[derive(Default, Deserialize)]
#[serde(default)]
struct UploadAttributes {
    size: Option<u64>,
    width: Option<f64>,
    height: Option<f64>,
    path: Option<String>,
    basename: Option<String>,
    filename: Option<String>,
    url: Option<String>,
    format: Option<String>,
    mime_type: Option<String>,
    author: Value,
    copyright: Value,
    notes: Value,
    md5: Option<String>,
    blurhash: Option<String>,
    tags: Option<Vec<String>>,
    created_at: Option<String>,
    updated_at: Option<String>,
    default_field_metadata: Value,
}

/// A page of assets and how many there are in all.
pub(super) fn assets<S: Stamp>(document: &Value) -> Result<(Vec<Upload<S>>, u64), ApiError> {
    let page: Many<UploadWire> = read(document)?;
    let assets: Vec<_> = page.data.into_iter().map(asset_of).collect();
    if assets.is_empty() && page.meta.total_count.is_none() {
        return Err(ApiError::new(ApiErrorKind::Between, "with an empty list that tells no count"));
    }
    let total = page.meta.total_count.unwrap_or(assets.len() as u64);
    Ok((assets, total))
}

/// One asset.
pub(super) fn asset<S: Stamp>(document: &Value) -> Result<Upload<S>, ApiError> {
    read::<One<UploadWire>>(document).map(|one| asset_of(one.data))
}

/// An asset of which only the id is known.
#[cfg(test)]
pub(super) fn bare_asset<S: Stamp>(id: &UploadId) -> Upload<S> {
    asset_of(UploadWire {
        id: Id::Text(id.as_str().to_owned()),
        attributes: UploadAttributes::default(),
        relationships: Value::Null,
        meta: Value::Null,
    })
}

fn asset_of<S: Stamp>(wire: UploadWire) -> Upload<S> {
    let a = wire.attributes;
    let (mut fields, stamp) = metadata::flatten::<S>(&a.default_field_metadata);
    let texts = [(FieldKey::Author, a.author), (FieldKey::Copyright, a.copyright), (FieldKey::Notes, a.notes)];
    for (key, value) in texts {
        insert_present(&mut fields, key, value);
    }
    let related = |name: &str| wire.relationships.get(name).and_then(|r| r.get("data")).cloned().unwrap_or_default();
    let collection = related("upload_collection").get("id").cloned().unwrap_or_default();
    insert_present(&mut fields, FieldKey::Collection, collection);
    insert_present(&mut fields, FieldKey::Creator, related("creator"));
    let word = wire.meta.pointer("/antivirus/status").and_then(Value::as_str);
    let antivirus = word.map_or(Antivirus::Untold, Antivirus::of);
    let md5 = a.md5.as_deref().and_then(|text| text.parse::<Md5>().ok());
    // Whether an asset whose file was deleted still tells its digest is not known. What was pushed to it last may be.
    let pushed = || stamp.content().filter(|_| antivirus == Antivirus::Infected);
    let md5 = md5.or_else(pushed);
    let path = a.path.unwrap_or_default();
    let filename = a.filename.or(a.basename).unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default().to_owned());
    Upload {
        id: UploadId::new(wire.id.into_text()),
        md5,
        size: a.size.unwrap_or(0),
        url: a.url.unwrap_or_default(),
        filename,
        path,
        format: a.format,
        mime_type: a.mime_type,
        width: a.width.map(pixels),
        height: a.height.map(pixels),
        blurhash: a.blurhash,
        tags: a.tags.unwrap_or_default(),
        fields,
        stamp,
        antivirus,
        created_at: a.created_at.unwrap_or_default(),
        updated_at: a.updated_at.unwrap_or_default(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is a count of pixels")]
fn pixels(value: f64) -> u32 {
    value as u32
}

/// `null`, `""` and `{}` are how the service says "empty".
fn insert_present(fields: &mut Fields, key: FieldKey, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if !empty {
        fields.insert(key, value);
    }
}

#[derive(Deserialize)]
struct SiteWire {
    id: Id,
    attributes: SiteAttributes,
    #[serde(default)]
    meta: SiteMeta,
}

#[derive(Deserialize)]
struct SiteAttributes {
    #[serde(default)]
    name: Option<String>,
    locales: Vec<String>,
    #[serde(default)]
    internal_domain: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SiteMeta {
    non_localized_focal_points: Option<bool>,
    custom_upload_storage_settings: Value,
}

/// The project.
pub(super) fn site(document: &Value) -> Result<Site, ApiError> {
    let wire = read::<One<SiteWire>>(document)?.data;
    Ok(Site {
        id: wire.id.into_text(),
        name: wire.attributes.name.unwrap_or_default(),
        locales: wire.attributes.locales,
        shape: MetadataShape::of(wire.meta.non_localized_focal_points.unwrap_or(false)),
        custom_storage: !matches!(wire.meta.custom_upload_storage_settings, Value::Null | Value::Bool(false)),
        domain: wire.attributes.internal_domain,
    })
}

/// The job's id, when a document is a job instead of the result.
pub(super) fn job_id(document: &Value) -> Option<String> {
    let data = document.get("data")?;
    (data.get("type")?.as_str()? == "job").then(|| data.get("id")?.as_str().map(str::to_owned))?
}

#[derive(Deserialize)]
struct JobWire {
    attributes: JobAttributes,
}

#[derive(Deserialize)]
struct JobAttributes {
    status: u16,
    #[serde(default)]
    payload: Value,
}

/// A job result's inner status and payload.
pub(super) fn job_result(document: &Value) -> Result<(u16, Value), ApiError> {
    let attributes = read::<One<JobWire>>(document)?.data.attributes;
    // Seen as JSON in a string by clients of older versions of the API.
    let payload = match attributes.payload {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    Ok((attributes.status, payload))
}

#[derive(Deserialize)]
struct TicketWire {
    id: String,
    attributes: TicketAttributes,
}

#[derive(Deserialize)]
struct TicketAttributes {
    url: String,
    #[serde(default)]
    request_headers: Option<std::collections::BTreeMap<String, String>>,
}

/// An upload request.
pub(super) struct Ticket {
    pub(super) path: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
}

/// Where to put a file's bytes.
pub(super) fn ticket(document: &Value) -> Result<Ticket, ApiError> {
    let wire = read::<One<TicketWire>>(document)?.data;
    let headers = wire.attributes.request_headers.unwrap_or_default().into_iter().collect();
    Ok(Ticket { path: wire.id, url: wire.attributes.url, headers })
}

#[derive(Deserialize)]
struct BareWire {
    id: Id,
    #[serde(default)]
    attributes: Value,
    #[serde(default)]
    relationships: Value,
    #[serde(default)]
    meta: Value,
}

/// One resource where only a few members matter.
pub(super) struct Bare {
    pub(super) id: String,
    pub(super) attributes: Value,
    pub(super) relationships: Value,
    pub(super) meta: Value,
}

impl From<BareWire> for Bare {
    fn from(wire: BareWire) -> Self {
        Self {
            id: wire.id.into_text(),
            attributes: wire.attributes,
            relationships: wire.relationships,
            meta: wire.meta,
        }
    }
}

impl Bare {
    /// The id of the resource that `name` points to.
    pub(super) fn related(&self, name: &str) -> Option<String> {
        let id = self.relationships.get(name)?.get("data")?.get("id")?;
        id.as_str().map(str::to_owned).or_else(|| id.as_u64().map(|number| number.to_string()))
    }
}

/// Any list.
pub(super) fn bare_list(document: &Value) -> Result<Vec<Bare>, ApiError> {
    let page: Many<BareWire> = read(document)?;
    Ok(page.data.into_iter().map(Bare::from).collect())
}

/// One resource of which only a few members matter.
pub(super) fn bare(document: &Value) -> Result<Bare, ApiError> {
    read::<One<BareWire>>(document).map(|one| one.data.into())
}

/// `meta.successful` and `meta.failed` of a bulk call's payload.
pub(super) fn bulk_outcome(document: &Value) -> Option<(u64, u64)> {
    let meta = document.get("meta")?;
    let count = |key: &str| meta.get(key).and_then(|v| v.as_u64().or_else(|| v.as_array().map(|all| all.len() as u64)));
    Some((count("successful")?, count("failed").unwrap_or(0)))
}

/// The body of a bulk call on `ids`.
pub(super) fn bulk_body(kind: &str, ids: &[UploadId], attributes: Option<Value>, collection: Option<Value>) -> Value {
    let uploads: Vec<_> = ids.iter().map(|id| json!({"type": "upload", "id": id.as_str()})).collect();
    let mut data = json!({"type": kind, "relationships": {"uploads": {"data": uploads}}});
    if let Some(attributes) = attributes {
        data["attributes"] = attributes;
    }
    if let Some(collection) = collection {
        data["relationships"]["upload_collection"] = json!({"data": collection});
    }
    json!({"data": data})
}

fn read<T: DeserializeOwned>(document: &Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let at = error.path().to_string();
        ApiError::new(ApiErrorKind::Garbled, format!("at {at}: {}", error.into_inner()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::samples::Note;

    fn asset(document: &Value) -> Result<Upload<Note>, ApiError> {
        super::asset(document)
    }

    fn assets(document: &Value) -> Result<(Vec<Upload<Note>>, u64), ApiError> {
        super::assets(document)
    }

    #[test]
    fn an_upload_reads_with_everything_and_with_almost_nothing() {
        let full = json!({"data": {"type": "upload", "id": "q0VNpiNQSkG6z0lif_O1zg", "new_member": 1,
            "attributes": {"size": 444, "width": 30, "height": 30, "path": "/45/1-cats.jpg", "basename": "cats",
                "filename": "cats.jpg", "url": "https://a.example/45/1-cats.jpg", "format": "jpg",
                "author": "Mark", "copyright": "", "notes": null, "md5": "873c296d0f2b7ee569f2d7ddaebc0d33",
                "mime_type": "image/jpeg", "tags": ["b", "a"], "updated_at": "2020-04-21T07:57:11.124Z",
                "default_field_metadata": {"en": {"alt": "A cat", "title": "", "custom_data": {}}}, "colors": []},
            "relationships": {"creator": {"data": {"type": "account", "id": "312"}},
                "upload_collection": {"data": {"type": "upload_collection", "id": "uc1"}}}}});
        let read = asset(&full).unwrap();
        assert_eq!(read.id.as_str(), "q0VNpiNQSkG6z0lif_O1zg");
        assert_eq!(read.md5.unwrap().to_string(), "873c296d0f2b7ee569f2d7ddaebc0d33");
        assert_eq!(read.tags, ["b", "a"]);
        let fields = Fields::from([
            (FieldKey::Author, json!("Mark")),
            (FieldKey::Alt("en".into()), json!("A cat")),
            (FieldKey::Collection, json!("uc1")),
            (FieldKey::Creator, json!({"type": "account", "id": "312"})),
        ]);
        assert_eq!(read.fields, fields);

        let bare = asset(&json!({"data": {"id": 12, "attributes": {"path": "/1/x.png", "md5": "?"}}})).unwrap();
        assert_eq!((bare.id.as_str(), bare.filename.as_str(), bare.md5), ("12", "x.png", None));
        assert!(bare.fields.is_empty());
    }

    #[test]
    fn what_the_antivirus_says_is_read_and_an_infected_asset_without_a_digest_has_that_of_its_stamp() {
        let read = |meta: Value, md5: Value| {
            let stamp = json!({"note": {"md5": "873c296d0f2b7ee569f2d7ddaebc0d33", "of": "a"}});
            asset(&json!({"data": {"id": "u", "meta": meta, "attributes": {"path": "/1/x.png", "md5": md5,
                "default_field_metadata": {"en": {"alt": null, "title": null, "custom_data": stamp}}}}}))
            .unwrap()
        };
        let told = |status: &str| json!({"antivirus": {"status": status}});
        for (meta, expected) in [
            (told("pending"), Antivirus::Pending),
            (told("clean"), Antivirus::Clean),
            (told("infected"), Antivirus::Infected),
            (told("failed"), Antivirus::Failed),
            (told("skipped"), Antivirus::Skipped),
            (told("another word"), Antivirus::Untold),
            (json!({}), Antivirus::Untold),
            (json!({"antivirus": null}), Antivirus::Untold),
            (Value::Null, Antivirus::Untold),
        ] {
            let read = read(meta.clone(), Value::Null);
            assert_eq!(read.antivirus, expected, "{meta}");
            assert_eq!(read.md5.is_some(), read.is_infected(), "{meta}");
        }
        let other = read(told("infected"), json!("00000000000000000000000000000000"));
        assert_eq!(other.md5.unwrap().to_string(), "00000000000000000000000000000000");
    }

    #[test]
    fn a_wrong_member_is_named() {
        let error = asset(&json!({"data": {"id": "1", "attributes": {"size": "big"}}})).unwrap_err();
        assert_eq!(error.kind, ApiErrorKind::Garbled);
        assert!(error.to_string().contains("data.attributes.size"), "{error}");
    }

    #[test]
    fn a_site_tells_its_shape_and_its_storage() {
        let document = |meta: Value| {
            json!({"data": {"id": "7", "type": "site", "meta": meta,
                "attributes": {"name": "P", "locales": ["it", "en"]}}})
        };
        let old = site(&document(json!({}))).unwrap();
        assert_eq!((old.main_locale(), old.shape, old.custom_storage), ("it", MetadataShape::ByLocale, false));
        let new = json!({"non_localized_focal_points": true, "custom_upload_storage_settings": {"provider": "s3"}});
        let new = site(&document(new)).unwrap();
        assert!(new.shape.is_by_field() && new.custom_storage);
        assert!(!site(&document(json!({"custom_upload_storage_settings": null}))).unwrap().custom_storage);
    }

    #[test]
    fn a_job_is_told_by_its_type_whatever_the_status() {
        assert_eq!(job_id(&json!({"data": {"type": "job", "id": "ab"}})).as_deref(), Some("ab"));
        for other in [json!({"data": {"type": "upload", "id": "ab"}}), json!({"data": []}), json!(null)] {
            assert_eq!(job_id(&other), None);
        }
        let result = json!({"data": {"attributes": {"status": 422, "payload": {"data": []}}}});
        assert_eq!(job_result(&result).unwrap(), (422, json!({"data": []})));
        assert_eq!(job_result(&json!({"data": {"attributes": {"status": 204}}})).unwrap(), (204, Value::Null));
    }

    #[test]
    fn damaged_answers_are_read_or_refused_but_never_end_the_program() {
        let good = json!({"data": {"id": "q0", "type": "upload", "meta": {"total_count": 1},
            "attributes": {"size": 1, "width": 2, "path": "/1/a.png", "md5": "00", "tags": ["a"], "status": 200,
                "locales": ["en"], "url": "u", "request_headers": {"a": "b"}, "payload": {"data": {"id": "x"}},
                "default_field_metadata": {"en": {"alt": "x", "custom_data": {"note": {"md5": 1}}}}},
            "relationships": {"creator": {"data": {"id": "1"}}, "upload_collection": {"data": {"id": 3}}}}});
        let text = good.to_string();
        let scraps = ["null", "-1", "1e300", "[]", "{}", "\"\u{0}\"", "true", "\"x\""];
        let mut random = fastrand::Rng::with_seed(5);
        let mut readable = 0;
        for _ in 0..20_000 {
            // One value, from its colon to the next comma, becomes something else.
            let colons: Vec<_> = text.match_indices(':').map(|(at, _)| at + 1).collect();
            let start = colons[random.usize(..colons.len())];
            let end = text[start..].find([',', '}']).map_or(text.len(), |at| start + at);
            let damaged = format!("{}{}{}", &text[..start], scraps[random.usize(..scraps.len())], &text[end..]);
            let Ok(document) = serde_json::from_str::<Value>(&damaged) else { continue };
            readable += 1;
            for document in [document.clone(), json!({"data": [document["data"].clone()]})] {
                let _ = (asset(&document), assets(&document), site(&document), bare_list(&document));
                let _ = (job_id(&document), job_result(&document), ticket(&document), bulk_outcome(&document));
                let _ = ApiError::from_answer(422, Some(&document)).to_string();
            }
        }
        assert!(readable > 5_000, "{readable}");
    }
}
