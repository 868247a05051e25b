//! The project around the media area: site, environments, limits, usage, the token's role.
//!
//! Owns: the endpoints that tell about the project. Called by: `api`.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::Call;
use super::create::used_bytes;
use super::entity::rfc3339;
use super::state::World;

/// `GET /site`.
pub(super) fn site(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&["include"])?;
    let settings = &world.settings;
    let storage = if settings.custom_storage { json!({ "type": "s3", "bucket": "own" }) } else { Value::Null };
    Ok(Answer::ok(json!({ "data": {
        "id": world.site_id,
        "type": "site",
        "attributes": {
            "name": world.site_name,
            "locales": settings.locales,
            "timezone": "Europe/London",
            "domain": null,
            "internal_domain": "sandbox.admin.datocms.com",
            "no_index": true,
            "imgix_host": "www.datocms-assets.com",
        },
        "relationships": {
            "account": { "data": { "type": "account", "id": "1" } },
            "item_types": { "data": [] },
        },
        "meta": {
            "created_at": rfc3339(0),
            "non_localized_focal_points": settings.by_field,
            "custom_upload_storage_settings": storage,
            "improved_timezone_management": true,
        },
    }})))
}

fn environment(world: &World, name: &str) -> Option<Value> {
    let row = &world.environments.get(name)?.row;
    Some(json!({
        "id": name,
        "type": "environment",
        "meta": {
            "status": "ready",
            "primary": row.primary,
            "created_at": rfc3339(row.created_at),
            "read_only_mode": world.settings.read_only,
            "forked_from": row.forked_from,
        },
    }))
}

/// `GET /environments`.
pub(super) fn environments(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let data: Vec<_> = world.environments.keys().filter_map(|name| environment(world, name)).collect();
    Ok(Answer::ok(json!({ "data": data })))
}

/// `GET /environments/:name`.
pub(super) fn one_environment(world: &World, call: &Call, name: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let data = environment(world, name).ok_or_else(|| Refusal::not_found("environment"))?;
    Ok(Answer::ok(json!({ "data": data })))
}

/// `POST /environments/:name/fork`.
pub(super) fn fork(world: &mut World, call: &Call, source: &str) -> Result<Answer, Refusal> {
    call.only_params(&["immediate_return", "fast", "force"])?;
    let name = call.document("environment", &[], &[])?.id.unwrap_or_default().to_owned();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(fits) {
        return Err(Refusal::field("id", "INVALID_FORMAT", "lower case letters, digits and dashes"));
    }
    if !world.environments.contains_key(source) {
        return Err(Refusal::not_found("environment"));
    }
    if !world.fork(source, &name, call.now) {
        return Err(Refusal::field("id", "VALIDATION_UNIQUENESS", "the name is taken"));
    }
    let body = json!({ "data": environment(world, &name) });
    Ok(world.begin(call, super::job::Work::Tell { status: 200, body }))
}

/// `GET /subscription-limits`.
pub(super) fn limits(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let limit = |value: u64| if value == 0 { Value::Null } else { json!(value) };
    let calls: u64 = world.calls.values().sum();
    let rows = [
        ("uploadable_bytes", limit(world.settings.uploadable_bytes), used_bytes(world)),
        ("cma_api_calls", limit(world.settings.monthly_calls), calls),
        ("environments", Value::Null, world.environments.len() as u64),
    ];
    let data = rows.map(|(code, limit, usage)| {
        json!({ "id": code, "type": "subscription_limit", "attributes": { "code": code, "limit": limit, "usage": usage } })
    });
    Ok(Answer::ok(json!({ "data": data })))
}

/// `GET /daily-usages`.
pub(super) fn daily(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let data: Vec<_> = world
        .calls
        .iter()
        .map(|(date, calls)| {
            let attributes = json!({ "date": date, "cma_api_calls": calls, "cda_api_calls": 0 });
            json!({ "id": date, "type": "daily_usage", "attributes": attributes })
        })
        .collect();
    Ok(Answer::ok(json!({ "data": data })))
}

/// `GET /usage-counters/:id`.
pub(super) fn counter(world: &World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&["period"])?;
    if id != "cma_api_calls" {
        return Err(Refusal::not_found("usage counter"));
    }
    let result: Vec<_> = world.calls.iter().map(|(date, calls)| json!({ "value": date, "counter": calls })).collect();
    let total: u64 = world.calls.values().sum();
    let attributes = json!({ "result": result, "total_value": total });
    Ok(Answer::ok(json!({ "data": { "id": id, "type": "usage_counter", "attributes": attributes } })))
}

/// `GET /users/me`: who the token is.
pub(super) fn me(call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&["include"])?;
    Ok(Answer::ok(json!({ "data": {
        "id": call.token,
        "type": "access_token",
        "attributes": { "name": call.token, "can_access_cma": true, "can_access_cda": true },
        "relationships": { "role": { "data": { "type": "role", "id": call.token } } },
    }})))
}

/// `GET /roles/:id`: what a token may do.
pub(super) fn role(call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let writes = match id {
        "sandbox" => true,
        "sandbox-readonly" => false,
        _ => return Err(Refusal::not_found("role")),
    };
    let actions: &[&str] = if writes {
        &["read", "create", "update", "delete", "edit_creator", "replace_asset", "move"]
    } else {
        &["read"]
    };
    let allowed: Vec<_> = actions
        .iter()
        .map(|action| json!({ "action": action, "environment": "main", "on_creator": "anyone", "localization_scope": "all", "upload_collection": null }))
        .collect();
    let permissions = json!({
        "can_manage_upload_collections": writes,
        "environments_access": "all",
        "positive_upload_permissions": allowed,
        "negative_upload_permissions": [],
    });
    let mut attributes = permissions.clone();
    attributes["name"] = json!(id);
    Ok(Answer::ok(json!({ "data": {
        "id": id, "type": "role", "attributes": attributes, "meta": { "final_permissions": permissions },
    }})))
}
