//! The control path: how tests and users look behind the sandbox's curtain.
//!
//! - `GET /_sandbox/log?route=POST /uploads&since=SEQ&count=1`, `DELETE /_sandbox/log`
//! - `GET|POST|DELETE /_sandbox/faults`: `{"route","skip","times","kind":{"name",…}}`; `times` 1, a number, or null
//! - `POST|DELETE /_sandbox/holds`: `{"route"}` holds its calls until they are let go; forgetting the faults lets go too
//! - `GET|PATCH /_sandbox/settings`: any of the settings
//! - `GET /_sandbox/state`: environments with assets, collections, records
//! - `POST /_sandbox/records`: `{"record","uploads":[ids],"environment"?}`; no uploads removes the record
//! - `POST /_sandbox/edit`: `{"op":"edit|replace|delete|foreign|foreign_many|record|fork|promote|scan", …, "environment"?}`
//!
//! Owns: `/_sandbox/…`, in JSON. Not rate limited, not logged, reachable while the service is "down". Writes need a
//! JSON content type, which a page of another site cannot send without the browser asking first.

use std::collections::BTreeSet;
use std::io;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::respond;
use super::call::parse_query;
use super::door::Shared;
use super::editor::Edit;
use super::fault::Fault;
use super::settings::Settings;
use super::state::World;

/// The largest control document, bytes.
const MAX: usize = 64 * 1024 * 1024;

/// One operation of `/_sandbox/edit`.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Operation {
    /// Changes metadata.
    Edit { id: String, edit: Edit },
    /// Replaces the bytes at the URL; base64.
    Replace { id: String, content: String },
    /// Deletes.
    Delete { id: String },
    /// Makes one upload of someone else; base64.
    Foreign { filename: String, content: String },
    /// Makes many small uploads of someone else.
    ForeignMany { count: usize },
    /// Makes a record that uses uploads; an empty list removes it.
    Record { record: String, uploads: BTreeSet<String> },
    /// Copies the environment.
    Fork { name: String },
    /// Makes the environment `name` the primary one.
    Promote { name: String },
    /// The antivirus looks at what it has not looked at yet.
    Scan,
}

/// The body of `/_sandbox/records`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    environment: Option<String>,
    record: String,
    uploads: BTreeSet<String>,
}

/// The body of `/_sandbox/holds`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hold {
    route: String,
}

#[derive(Debug, Deserialize)]
struct Edited {
    environment: Option<String>,
    #[serde(flatten)]
    operation: Operation,
}

/// Every control call.
pub(super) async fn enter(shared: &Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if matches!(parts.method.as_str(), "POST" | "PATCH" | "PUT") && !content_type.starts_with("application/json") {
        return tell(415, &json!({ "error": "send Content-Type: application/json" }));
    }
    let Ok(body) = to_bytes(body, MAX).await else { return tell(413, &json!({ "error": "too large" })) };
    let path = parts.uri.path().trim_start_matches("/_sandbox/");
    let query = parse_query(parts.uri.query().unwrap_or_default());
    let param = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let mut world = shared.world();
    let done = match (parts.method.as_str(), path) {
        ("GET", "log") => {
            let since = param("since").and_then(|text| text.parse().ok()).unwrap_or(0);
            let entries = world.log.entries().filter(|entry| entry.seq > since);
            let entries: Vec<_> = entries.filter(|entry| param("route").is_none_or(|route| entry.is(route))).collect();
            Ok(json!({ "count": entries.len(), "entries": if param("count").is_some() { vec![] } else { entries } }))
        }
        ("DELETE", "log") => {
            world.log.clear();
            Ok(json!({}))
        }
        ("GET", "faults") => {
            Ok(world.script.list().into_iter().map(|(fault, hits)| json!({ "fault": fault, "hits": hits })).collect())
        }
        ("POST", "faults") => read::<Fault>(&body).map(|fault| {
            world.script.add(fault);
            json!({})
        }),
        ("POST", "holds") => read::<Hold>(&body).map(|hold| {
            world.holds.keep(&hold.route);
            json!({})
        }),
        ("DELETE", "holds") => {
            world.holds.clear();
            Ok(json!({}))
        }
        ("DELETE", "faults") => {
            world.script.clear();
            world.holds.clear();
            Ok(json!({}))
        }
        ("GET", "settings") => serde_json::to_value(&world.settings).map_err(io::Error::other),
        ("PATCH", "settings") => read::<Value>(&body).and_then(|patch| world.patch(&patch)),
        ("GET", "state") => Ok(world.dump()),
        ("POST", "records") => read::<Record>(&body).and_then(|asked| {
            let operation = Operation::Record { record: asked.record, uploads: asked.uploads };
            world.operate(Edited { environment: asked.environment, operation })
        }),
        ("POST", "edit") => read::<Edited>(&body).and_then(|edited| world.operate(edited)),
        _ => return tell(404, &json!({ "error": "no such control path" })),
    };
    drop(world);
    match done {
        Ok(value) => tell(200, &value),
        Err(error) => tell(422, &json!({ "error": error.to_string() })),
    }
}

fn tell(status: u16, value: &Value) -> Response {
    respond(status, "application/json", value.to_string())
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body).map_err(io::Error::other)
}

fn bytes(text: &str) -> io::Result<Vec<u8>> {
    STANDARD.decode(text).map_err(io::Error::other)
}

impl World {
    /// Sets what `patch` names; gives all settings.
    fn patch(&mut self, patch: &Value) -> io::Result<Value> {
        let mut value = serde_json::to_value(&self.settings)?;
        let patch = patch.as_object().ok_or_else(|| io::Error::other("the settings must be an object"))?;
        for (key, new) in patch {
            value[key] = new.clone();
        }
        self.set(serde_json::from_value::<Settings>(value)?);
        Ok(serde_json::to_value(&self.settings)?)
    }

    /// Takes new settings.
    pub(super) fn set(&mut self, settings: Settings) {
        self.journal.put("settings", "", "settings", &settings);
        self.settings = settings;
    }

    fn operate(&mut self, edited: Edited) -> io::Result<Value> {
        let environment = edited.environment.unwrap_or_else(|| self.primary());
        if !self.environments.contains_key(&environment) {
            return Err(io::Error::other(format!("no environment {environment}")));
        }
        match edited.operation {
            Operation::Edit { id, edit } => self.edit(&environment, &id, edit)?,
            Operation::Replace { id, content } => self.replace(&environment, &id, &bytes(&content)?)?,
            Operation::Delete { id } => self.erase(&environment, &id)?,
            Operation::Foreign { filename, content } => {
                return Ok(json!({ "id": self.foreign(&environment, &filename, &bytes(&content)?)? }));
            }
            Operation::ForeignMany { count } => {
                return Ok(json!({ "ids": self.foreign_many(&environment, count)? }));
            }
            Operation::Record { record, uploads } => self.record(&environment, &record, uploads)?,
            Operation::Scan => self.scan(&environment),
            Operation::Fork { name } => {
                let now = self.now();
                self.settle(now);
                if !self.fork(&environment, &name, now) {
                    return Err(io::Error::other("the name is taken"));
                }
            }
            Operation::Promote { name } => {
                if !self.promote(&name) {
                    return Err(io::Error::other(format!("no environment {name}")));
                }
            }
        }
        Ok(json!({}))
    }

    /// Everything a test may want to see at once.
    fn dump(&mut self) -> Value {
        let names: Vec<String> = self.environments.keys().cloned().collect();
        let environments: serde_json::Map<_, _> = names
            .into_iter()
            .map(|name| {
                let assets = self.views(&name);
                let space = self.environments.get(&name);
                let dump = json!({
                    "assets": assets,
                    "collections": space.map(|space| space.collections.values().collect::<Vec<_>>()),
                    "records": space.map(|space| &space.records),
                    "primary": space.is_some_and(|space| space.row.primary),
                });
                (name, dump)
            })
            .collect();
        json!({ "site": self.site_id, "environments": environments, "running_jobs": self.due.len() })
    }
}
