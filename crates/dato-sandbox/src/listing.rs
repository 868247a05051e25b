//! Lists: uploads and tags.
//!
//! Owns: `GET /uploads` and `GET /upload-tags`, paging, and what a lagging listing shows.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::Call;
use super::entity::Upload;
use super::filter::{Filter, compare, is_by_id, order};
use super::rights;
use super::state::World;

/// Reads `page[offset]` and `page[limit]`.
fn page(call: &Call, default: usize, most: usize) -> Result<(usize, usize), Refusal> {
    let read = |name: &str, default: usize| match call.param(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Refusal::format(format!("{name} must be a whole number"))),
    };
    let (offset, limit) = (read("page[offset]", 0)?, read("page[limit]", default)?);
    if limit > most {
        return Err(Refusal::format(format!("page[limit] is {most} at most")));
    }
    Ok((offset, limit))
}

/// `GET /uploads`.
pub(super) fn uploads(world: &World, call: &Call) -> Result<Answer, Refusal> {
    let (mut filter, rest) = Filter::parse(&call.query)?;
    filter.by_use(world.settings.in_use_filter)?;
    let known = ["locale", "order_by", "page[offset]", "page[limit]"];
    if let Some((key, _)) = rest.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        return Err(Refusal::format(format!("unknown query parameter {key}")));
    }
    rights::anywhere(world, call, "read")?;
    let (offset, limit) = page(call, 30, 500)?;
    let rules = order(call.param("order_by"))?;
    let Some(space) = world.environments.get(&call.environment) else { return Err(Refusal::not_found("environment")) };

    // What listings do not know yet: the upload as it was, or nothing when it was not there.
    let lagging = |id: &str| space.lagging.get(id).filter(|(until, _)| *until > call.now).map(|(_, before)| before);
    let seen = |upload: &'_ Upload| -> bool { lagging(&upload.id).is_none() };
    let in_use = space.in_use();
    let wanted: Option<HashSet<&str>> = filter.ids.as_ref().map(|ids| ids.iter().map(String::as_str).collect());
    let fits = |upload: &&Upload| {
        wanted.as_ref().is_none_or(|ids| ids.contains(upload.id.as_str()))
            && (filter.is_empty() || filter.matches(upload, in_use.contains(upload.id.as_str())))
    };
    let mut found: Vec<&Upload> = match &wanted {
        Some(ids) => ids.iter().filter_map(|id| space.uploads.get(*id)).filter(|u| seen(u)).filter(fits).collect(),
        None if space.lagging.is_empty() => space.uploads.values().filter(fits).collect(),
        None => space.uploads.values().filter(|upload| seen(upload)).filter(fits).collect(),
    };
    let old = space.lagging.values().filter(|(until, _)| *until > call.now).filter_map(|(_, before)| before.as_ref());
    found.extend(old.filter(fits));

    let total = found.len();
    if limit > 0 && !(is_by_id(&rules) && wanted.is_none() && space.lagging.is_empty()) {
        let by_rules = |a: &&Upload, b: &&Upload| compare(&rules, a, b).then_with(|| a.id.cmp(&b.id));
        // A page of a hundred thousand needs no order behind it.
        let end = offset.saturating_add(limit);
        if end < found.len() {
            found.select_nth_unstable_by(end, by_rules);
            found.truncate(end);
        }
        found.sort_unstable_by(by_rules);
    }
    let data: Vec<Value> = found.into_iter().skip(offset).take(limit).map(|upload| world.show(upload)).collect();
    Ok(Answer::ok(json!({ "data": data, "meta": { "total_count": total } })))
}

/// `GET /upload-tags`.
pub(super) fn tags(world: &World, call: &Call) -> Result<Answer, Refusal> {
    call.only_params(&["filter[query]", "page[offset]", "page[limit]"])?;
    let (offset, limit) = page(call, 50, 500)?;
    let part = call.param("filter[query]").unwrap_or_default().to_lowercase();
    let uploads = world.environments.get(&call.environment).into_iter().flat_map(|space| space.uploads.values());
    let tags: BTreeSet<&str> = uploads.flat_map(|upload| upload.tags.iter().map(String::as_str)).collect();
    let tags: Vec<_> = tags.into_iter().filter(|tag| tag.to_lowercase().contains(&part)).collect();
    let total = tags.len();
    let page = tags.into_iter().skip(offset).take(limit);
    let data: Vec<Value> =
        page.map(|tag| json!({ "id": tag, "type": "upload_tag", "attributes": { "name": tag } })).collect();
    Ok(Answer::ok(json!({ "data": data, "meta": { "total_count": total } })))
}
