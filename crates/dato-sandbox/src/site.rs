//! The project around the media area: site, environments, limits, usage, the token's role.
//!
//! Owns: the endpoints that tell about the project.

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
            "custom_upload_storage_settings": settings.custom_storage,
            "milliseconds_in_datetime": true,
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
            "last_data_change_at": rfc3339(row.created_at),
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

/// `PUT /environments/:name/promote`.
pub(super) fn promote(world: &mut World, call: &Call, name: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    if !world.promote(name) {
        return Err(Refusal::not_found("environment"));
    }
    let body = json!({ "data": environment(world, name) });
    Ok(world.begin(call, super::job::Work::Tell { status: 200, body }))
}

/// `GET /public-info`: what anybody may know, and with a token a little more.
pub(super) fn public_info(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let extras = json!({
        "blocks_depth": 3,
        "blocks_per_item": 600,
        "maximum_single_upload_bytes": world.settings.largest_upload,
        "overage_thresholds": {},
    });
    let extras = if world.settings.tells_largest_upload { extras } else { Value::Null };
    let attributes = json!({ "name": world.site_name, "theme": {}, "extras": extras });
    Ok(Answer::ok(json!({ "data": { "id": world.site_id, "type": "public_info", "attributes": attributes } })))
}

/// `GET /subscription-limits`.
pub(super) fn limits(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    if !world.settings.tells_limits {
        return Err(Refusal::new(403, "INSUFFICIENT_PERMISSIONS", json!({})));
    }
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

/// `GET /daily-site-usages`: the path that the official client asks; the documentation's page is named otherwise.
pub(super) fn daily(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let usage = |(date, calls): (&String, &u64)| {
        let attributes = json!({
            "date": date,
            "cda_api_calls": 0,
            "cma_api_calls": calls,
            "cda_traffic_bytes": 0,
            "cma_traffic_bytes": 0,
            "assets_traffic_bytes": 0,
            "mux_delivered_seconds": 0,
            "mux_high_resolution_delivered_seconds": 0,
            "mux_encoded_seconds": 0,
            "smart_tags_detections": 0,
        });
        json!({ "id": date, "type": "daily_usage", "attributes": attributes })
    };
    Ok(Answer::ok(json!({ "data": world.calls.iter().map(usage).collect::<Vec<_>>() })))
}

/// `GET /usage-log-counters/:id`: as the official client asks.
pub(super) fn counter(world: &World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&["period"])?;
    if !["cma_endpoint_requests", "cma_user_requests", "cma_ip_requests"].contains(&id) {
        return Err(Refusal::not_found("usage counter"));
    }
    let today = rfc3339(call.now)[..10].to_owned();
    let length = match call.param("period") {
        None | Some("today") => 10,
        Some("current_month") => 7,
        Some(_) => return Err(Refusal::format("period: the sandbox knows today and current_month")),
    };
    let calls = world.calls.iter().filter(|(date, _)| date[..length] == today[..length]).map(|(_, calls)| calls);
    let attributes = json!({ "result": [{ "value": "all", "counter": calls.sum::<u64>() }] });
    Ok(Answer::ok(json!({ "data": { "id": id, "type": "usage_counter", "attributes": attributes } })))
}

/// `GET /users/me`: who the token is.
pub(super) fn me(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&["include"])?;
    let attributes = json!({
        "name": call.token,
        "token": null,
        "can_access_cda": false,
        "can_access_cda_preview": false,
        "can_access_cma": true,
        "hardcoded_type": null,
        "last_cma_access": "today",
        "last_cda_access": "never",
    });
    let mut body = json!({ "data": {
        "id": call.token,
        "type": "access_token",
        "attributes": attributes,
        "relationships": { "role": { "data": { "type": "role", "id": call.token } } },
    }});
    match call.param("include") {
        None => {}
        Some("role") => body["included"] = json!([role_of(world, call, call.token)?]),
        Some(_) => return Err(Refusal::format("include: only role")),
    }
    Ok(Answer::ok(body))
}

/// `GET /roles/:id`: what a token may do.
pub(super) fn role(world: &World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    Ok(Answer::ok(json!({ "data": role_of(world, call, id)? })))
}

fn role_of(world: &World, call: &Call, id: &str) -> Result<Value, Refusal> {
    let (writes, action) = match id {
        "sandbox" => (true, "all"),
        "sandbox-readonly" => (false, "read"),
        super::rights::TOKEN => (world.settings.rights.iter().any(|right| right.action == "collections"), ""),
        _ => return Err(Refusal::not_found("role")),
    };
    let allowed = json!({
        "environment": call.environment,
        "action": action,
        "on_creator": "anyone",
        "localization_scope": "all",
        "upload_collection": null,
    });
    let allowed = match id {
        super::rights::TOKEN => super::rights::shown(world, &call.environment),
        _ => json!([allowed]),
    };
    let permissions = json!({
        "can_manage_upload_collections": writes,
        "can_manage_environments": writes,
        "environments_access": "all",
        "positive_upload_permissions": allowed,
        "negative_upload_permissions": [],
    });
    let mut attributes = permissions.clone();
    attributes["name"] = json!(id);
    Ok(json!({
        "id": id,
        "type": "role",
        "attributes": attributes,
        "relationships": { "inherits_permissions_from": { "data": [] } },
        "meta": { "final_permissions": permissions },
    }))
}
