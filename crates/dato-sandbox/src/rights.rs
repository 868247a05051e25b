//! What the token `sandbox-restricted` may do: rights per action, collection and creator.
//!
//! Owns: the check of one action on one upload. Where the service is not known to check so, settings tell which way.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::call::Call;
use super::entity::Upload;
use super::state::World;

/// The token with these rights.
pub(super) const TOKEN: &str = "sandbox-restricted";

/// One right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Right {
    /// `all`, `read`, `create`, `update`, `replace_asset`, `delete`, `move`; `collections` for making collections.
    pub action: String,
    /// Only in this collection; everywhere without one.
    #[serde(default)]
    pub collection: Option<String>,
    /// Only on uploads that the token itself made.
    #[serde(default)]
    pub own: bool,
}

fn refused(world: &World, action: &str) -> Refusal {
    Refusal::new(world.settings.permission_status, "INSUFFICIENT_PERMISSIONS", json!({ "action": action }))
}

fn rights<'a>(world: &'a World, action: &'a str) -> impl Iterator<Item = &'a Right> {
    world.settings.rights.iter().filter(move |right| right.action == action || right.action == "all")
}

/// Refuses what the token may do nowhere.
pub(super) fn anywhere(world: &World, call: &Call, action: &str) -> Result<(), Refusal> {
    if call.token != TOKEN || rights(world, action).next().is_some() { Ok(()) } else { Err(refused(world, action)) }
}

/// Refuses what the token may not make in `collection`.
pub(super) fn create(world: &World, call: &Call, collection: Option<&str>) -> Result<(), Refusal> {
    let here = |right: &Right| right.collection.as_deref().is_none_or(|only| Some(only) == collection);
    if call.token != TOKEN || rights(world, "create").any(here) { Ok(()) } else { Err(refused(world, "create")) }
}

/// Refuses what the token may not do to `upload`.
pub(super) fn on(world: &World, call: &Call, action: &str, upload: &Upload) -> Result<(), Refusal> {
    let is_own = upload.creator.get("id").and_then(Value::as_str) == Some(TOKEN);
    let fits = |right: &Right| {
        (!right.own || is_own) && right.collection.as_ref().is_none_or(|only| Some(only) == upload.collection.as_ref())
    };
    if call.token != TOKEN || rights(world, action).any(fits) { Ok(()) } else { Err(refused(world, action)) }
}

/// The role of the token, as the service shows it.
pub(super) fn shown(world: &World, environment: &str) -> Value {
    let permissions = world.settings.rights.iter().filter(|right| right.action != "collections").map(|right| {
        json!({
            "environment": environment,
            "action": right.action,
            "on_creator": if right.own { "self" } else { "anyone" },
            "localization_scope": "all",
            "upload_collection": right.collection,
        })
    });
    permissions.collect()
}
