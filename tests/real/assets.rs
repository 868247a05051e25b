//! Assets as the API tells them, in the fork: looked at and changed as an editor or another program would.
//!
//! Owns: the calls about uploads that the checks need, both shapes of metadata, waiting for a listing that lags behind.

use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::content::digest;
use crate::fork::Fork;
use crate::wire::Answer;

/// How long a listing may lag behind.
const LAG: Duration = Duration::from_secs(120);

/// What the project's site tells that the checks depend on.
pub struct Site {
    pub id: String,
    /// Metadata by field, then locale; else by locale, then field.
    pub by_field: bool,
    pub custom_storage: bool,
    /// The main one first.
    pub locales: Vec<String>,
}

impl Site {
    /// The main locale.
    pub fn main(&self) -> &str {
        &self.locales[0]
    }

    /// A metadata field of an asset, in the main locale.
    pub fn field(&self, asset: &Value, field: &str) -> Value {
        let metadata = &asset["attributes"]["default_field_metadata"];
        if self.by_field { metadata[field][self.main()].clone() } else { metadata[self.main()][field].clone() }
    }

    /// Metadata with one field in the main locale.
    pub fn metadata(&self, field: &str, value: &Value) -> Value {
        Self::shaped(self.by_field, field, self.main(), value)
    }

    /// The same in the shape that is not this project's.
    pub fn other_shape(&self, field: &str, value: &Value) -> Value {
        Self::shaped(!self.by_field, field, self.main(), value)
    }

    fn shaped(by_field: bool, field: &str, locale: &str, value: &Value) -> Value {
        if by_field { json!({ field: { locale: value } }) } else { json!({ locale: { field: value } }) }
    }
}

/// An id as a client may choose it: a random UUIDv4.
pub fn new_id() -> String {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[0] &= 0x7f;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An asset's id.
pub fn id_of(asset: &Value) -> String {
    asset["id"].as_str().unwrap().to_owned()
}

/// Relationship data that names assets.
pub fn links(ids: &[&str]) -> Value {
    json!({ "data": ids.iter().map(|id| json!({ "type": "upload", "id": id })).collect::<Vec<_>>() })
}

impl Fork {
    /// A read.
    #[track_caller]
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        self.call(&Method::GET, path, query, None)
    }

    /// A change.
    #[track_caller]
    pub fn post(&self, path: &str, data: &Value) -> Answer {
        self.call(&Method::POST, path, &[], Some(&json!({ "data": data })))
    }

    /// The site.
    #[track_caller]
    pub fn site(&self) -> Site {
        let site = self.get("/site", &[]).data("the site");
        let locales = site["attributes"]["locales"].as_array().unwrap();
        Site {
            id: id_of(&site),
            by_field: site["meta"]["non_localized_focal_points"] == true,
            custom_storage: !matches!(site["meta"]["custom_upload_storage_settings"], Value::Null | Value::Bool(false)),
            locales: locales.iter().map(|locale| locale.as_str().unwrap().to_owned()).collect(),
        }
    }

    /// An asset.
    #[track_caller]
    pub fn asset(&self, id: &str) -> Value {
        self.get(&format!("/uploads/{id}"), &[]).data("an asset")
    }

    /// Whether there is such an asset.
    #[track_caller]
    pub fn has_asset(&self, id: &str) -> bool {
        let answer = self.get(&format!("/uploads/{id}"), &[]);
        assert!(answer.is_ok() || answer.status == 404, "{}", answer.refusal());
        answer.is_ok()
    }

    /// The assets that a listing shows, once it shows at least `least`.
    #[track_caller]
    pub fn listed(&self, query: &[(&str, &str)], least: usize) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let found = self.get("/uploads", query).data("a listing");
            let found = found.as_array().unwrap().clone();
            if found.len() >= least {
                return found;
            }
            assert!(started.elapsed() < LAG, "the listing shows {} of {least} assets: {query:?}", found.len());
            sleep(Duration::from_millis(200));
        }
    }

    /// The one asset with this content.
    #[track_caller]
    pub fn asset_with(&self, content: &[u8]) -> Value {
        let found = self.listed(&[("filter[fields][md5][eq]", &digest(content)), ("page[limit]", "10")], 1);
        assert_eq!(found.len(), 1, "one content, one asset: {found:#?}");
        self.asset(&id_of(&found[0]))
    }

    /// Sends bytes into the bucket; gives the path for `POST` and `PUT`.
    #[track_caller]
    pub fn send(&self, filename: &str, bytes: &[u8]) -> String {
        let asked = json!({ "type": "upload_request", "attributes": { "filename": filename } });
        let request = self.post("/upload-requests", &asked).data("an upload request");
        self.wire().put(&request, bytes);
        id_of(&request)
    }

    /// Tries to make an asset of what was sent.
    #[track_caller]
    pub fn create(&self, id: &str, path: &str) -> Answer {
        self.post("/uploads", &json!({ "type": "upload", "id": id, "attributes": { "path": path } }))
    }

    /// An asset that is not the mirror's.
    #[track_caller]
    pub fn make_asset(&self, filename: &str, bytes: &[u8]) -> Value {
        let path = self.send(filename, bytes);
        self.create(&new_id(), &path).data("a new asset")
    }

    /// Tries to change an asset's attributes.
    #[track_caller]
    pub fn change(&self, id: &str, attributes: &Value, query: &[(&str, &str)]) -> Answer {
        let body = json!({ "data": { "type": "upload", "id": id, "attributes": attributes } });
        self.call(&Method::PUT, &format!("/uploads/{id}"), query, Some(&body))
    }

    /// Tries to replace an asset's file at its URL.
    #[track_caller]
    pub fn replace(&self, id: &str, filename: &str, bytes: &[u8]) -> Answer {
        let path = self.send(filename, bytes);
        self.change(id, &json!({ "path": path }), &[("replace_strategy", "keep_url")])
    }

    /// Tries to delete an asset.
    #[track_caller]
    pub fn delete(&self, id: &str) -> Answer {
        self.call(&Method::DELETE, &format!("/uploads/{id}"), &[], None)
    }
}
