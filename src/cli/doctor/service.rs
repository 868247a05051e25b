//! What can be wrong at the service: token, permissions, environment, locales, storage, limits, clock.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::cli::calls;
use crate::config::layer::Layer;
use crate::config::policy::{Collections, OnChange, OnDelete};
use crate::config::{Config, Mirror};
use crate::model::{GoesOn, Site};
use crate::remote::{
    self, ACTIONS, Allowed, ApiError, Environment, Extent, Options, Remote, Role, SubscriptionLimit, advice,
};

/// Clocks that differ by more make "changed since" unreliable to a person; the mirror itself goes by the service's.
const SKEW_SECONDS: u64 = 60;
/// A limit used to more than this share is worth a word.
const NEARLY: f64 = 0.9;

pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let options = Options {
        environment: config.api.environment.clone(),
        rate_share: config.api.rate_share,
        ..remote::options(&config.api.base_url, config.api.token.clone())
    };
    let remote = match Remote::stamped(options) {
        Ok(remote) => remote,
        Err(error) => return vec![refused("token", &error)],
    };
    let checks = ask(config, &remote).await;
    calls::count(config, &remote).await;
    checks
}

async fn ask(config: &Config, remote: &Remote) -> Vec<Check> {
    let site = match remote.site().await {
        Ok(site) => site,
        Err(error) => return vec![refused("project", &error)],
    };
    let origin = config.api.token_origin.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let mut checks = vec![
        Check::ok("token", format!("from {origin}")),
        Check::ok("project", format!("{} ({})", site.name, config.api.base_url)),
    ];
    let environments = remote.environments().await;
    let primary = match &environments {
        Ok(all) => all.iter().find(|one| one.primary).map_or("main", |one| one.id.as_str()).to_owned(),
        Err(_) => "main".to_owned(),
    };
    checks.push(environment(config.api.environment.as_deref(), environments.as_deref()));
    match remote.role().await {
        Ok(Some(role)) => {
            let name = config.api.environment.as_deref().unwrap_or(&primary);
            let labels = labels(remote, &role, name).await;
            checks.extend(permissions(&role, name, &config.mirrors, &labels));
        }
        Ok(None) => {
            let fix = "compare the role in the CMS with the list in the README";
            checks.push(Check::warn("permissions", "the service does not tell what the token may do", fix));
        }
        Err(error) => checks.push(Check::warn("permissions", error.to_string(), advice(&error).told(GoesOn::Nobody))),
    }
    checks.extend(config.mirrors.iter().map(|mirror| locales(mirror, &site)));
    checks.extend(config.mirrors.iter().filter_map(|mirror| storage(mirror, &site)));
    checks.push(rate(remote.usage().rate_limit, config.api.rate_share));
    match remote.subscription_limits().await {
        Ok(limits) => checks.extend(plan(&limits)),
        Err(error) => checks.push(Check::warn(
            "plan",
            format!("its limits are not told: {error}"),
            advice(&error).told(GoesOn::Nobody),
        )),
    }
    checks.push(clock(remote.clock_ahead()));
    checks
}

fn refused(check: &str, error: &ApiError) -> Check {
    Check { access: true, ..Check::fail(check, error.to_string(), advice(error).told(GoesOn::Nobody)) }
}

fn environment(wanted: Option<&str>, known: Result<&[Environment], &ApiError>) -> Check {
    let Ok(known) = known else {
        let fix = "give the token's role access to environments, or ignore this";
        return match wanted {
            None => Check::ok("environment", "the primary one"),
            Some(name) => Check::warn("environment", format!("{name}; the list of environments is not told"), fix),
        };
    };
    let names: Vec<&str> = known.iter().map(|one| one.id.as_str()).collect();
    match (wanted, known.iter().find(|one| Some(one.id.as_str()) == wanted)) {
        (None, _) => {
            let primary = known.iter().find(|one| one.primary).map_or("", |one| one.id.as_str());
            Check::ok("environment", format!("the primary one, {primary}"))
        }
        (Some(name), Some(found)) if found.primary => Check::ok("environment", format!("{name}, the primary one")),
        (Some(name), Some(_)) => Check::ok("environment", name),
        (Some(name), None) => {
            let fix = format!("correct `environment` in [api]; known are {}", names.join(", "));
            Check { access: true, ..Check::fail("environment", format!("there is no environment {name}"), fix) }
        }
    }
}

/// The actions that the configuration needs, each with the key that needs it.
fn needed(mirrors: &[Mirror]) -> BTreeMap<&'static str, String> {
    let mut needed = BTreeMap::from([
        ("read", "every run".to_owned()),
        ("create", "new files".to_owned()),
        ("update", "metadata".to_owned()),
        ("replace_asset", "changed files".to_owned()),
    ]);
    for mirror in mirrors {
        if mirror.on_delete == OnDelete::Delete {
            needed.insert("delete", format!("on_delete = \"delete\" of {}", mirror.name));
        }
        if uses_collections(mirror) {
            needed.insert("move", format!("`collections` of {}", mirror.name));
        }
    }
    needed
}

fn uses_collections(mirror: &Mirror) -> bool {
    let by_rule = mirror.rules.iter().filter_map(|rule| rule.collections.as_ref());
    by_rule.chain([&mirror.collections]).any(|collections| *collections != Collections::None)
}

/// The names of the collections, when some right is about some of them only.
async fn labels(remote: &Remote, role: &Role, environment: &str) -> BTreeMap<String, String> {
    let partial = ACTIONS.iter().any(|action| {
        let Extent { collections, without, .. } = role.extent(action, environment);
        !collections.is_empty() || !without.is_empty()
    });
    let collections = if partial { remote.collections().await.unwrap_or_default() } else { Vec::new() };
    collections.into_iter().map(|collection| (collection.id, collection.label)).collect()
}

/// What a partial right is about, for people.
fn told(extent: &Extent, labels: &BTreeMap<String, String>) -> String {
    let named = |ids: &BTreeSet<String>| {
        let names: Vec<&str> = ids.iter().map(|id| labels.get(id).unwrap_or(id).as_str()).collect();
        format!("{} {}", if names.len() == 1 { "the collection" } else { "the collections" }, names.join(", "))
    };
    let mut parts = Vec::new();
    if !extent.collections.is_empty() {
        parts.push(format!("only in {}", named(&extent.collections)));
    }
    if !extent.without.is_empty() {
        parts.push(format!("not in {}", named(&extent.without)));
    }
    if extent.own {
        parts.push("only assets of its own".into());
    }
    if parts.is_empty() { "only on some uploads".into() } else { parts.join(", ") }
}

fn permissions(role: &Role, environment: &str, mirrors: &[Mirror], labels: &BTreeMap<String, String>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut fine = Vec::new();
    for (action, why) in needed(mirrors) {
        let name = format!("may {action}");
        let fix = format!("allow \"{action}\" on uploads in {environment} to the role \"{}\" of the token", role.name);
        match role.allows(action, environment) {
            Allowed::Yes => fine.push(action),
            Allowed::Partly => {
                let extent = told(&role.extent(action, environment), labels);
                checks.push(Check::warn(name, format!("{extent}; needed for {why}"), fix));
            }
            Allowed::No => checks.push(Check::fail(name, format!("no; needed for {why}"), fix)),
        }
    }
    if mirrors.iter().any(uses_collections) && !role.manages_collections {
        let fix = format!("allow managing upload collections to the role \"{}\" of the token", role.name);
        checks.push(Check::fail("may make collections", "no; needed for `collections`", fix));
    }
    if !fine.is_empty() {
        checks.insert(0, Check::ok("permissions", format!("{} (role {})", fine.join(", "), role.name)));
    }
    checks
}

fn used_locales(mirror: &Mirror) -> BTreeSet<&str> {
    fn of(layer: &Layer) -> impl Iterator<Item = &str> {
        layer.alt.keys().chain(layer.title.keys()).chain(layer.custom_data.keys()).map(String::as_str)
    }
    of(&mirror.layer).chain(mirror.rules.iter().flat_map(|rule| of(&rule.layer))).collect()
}

fn locales(mirror: &Mirror, site: &Site) -> Check {
    let name = format!("mirror {}: locales", mirror.name);
    let unknown: Vec<&str> =
        used_locales(mirror).into_iter().filter(|used| !site.locales.iter().any(|known| known == used)).collect();
    let known = site.locales.join(", ");
    if unknown.is_empty() {
        return Check::ok(name, format!("the project has {known}"));
    }
    let fix = format!("use the project's locales, {known}, or add it to the project");
    Check::fail(name, format!("the project has no {}; its texts are left out", unknown.join(", ")), fix)
}

fn storage(mirror: &Mirror, site: &Site) -> Option<Check> {
    (site.custom_storage && mirror.on_change == OnChange::KeepUrl).then(|| {
        Check::fail(
            format!("mirror {}: storage", mirror.name),
            "the project keeps its files in a bucket of its own, where the service cannot replace a file and keep its URL",
            "set on_change = \"new_url\", and have your pages take URLs from the API",
        )
    })
}

fn rate(limit: Option<u32>, share: f64) -> Check {
    match limit {
        Some(limit) => Check::ok(
            "rate limit",
            format!("{limit} calls in 3 s are allowed; at most {:.0} % of them are used", share * 100.0),
        ),
        None => Check::warn("rate limit", "the service told none", "nothing: 60 calls in 3 s are assumed"),
    }
}

fn plan(limits: &[SubscriptionLimit]) -> Vec<Check> {
    let shown = [("cma_api_calls", "API calls this month"), ("uploadable_bytes", "bytes stored")];
    let mut checks = Vec::new();
    for (code, name) in shown {
        let Some(found) = limits.iter().find(|limit| limit.code == code) else { continue };
        let (Some(usage), Some(limit)) = (found.usage, found.limit) else { continue };
        let says = format!("{usage:.0} of {limit:.0} {name}");
        let fix = "upgrade the plan, or wait for the next month; set monthly_budget to share it fairly";
        checks.push(match usage / limit {
            used if used >= 1.0 => Check::fail("plan", says, fix),
            used if used >= NEARLY => Check::warn("plan", says, fix),
            _ => Check::ok("plan", says),
        });
    }
    checks
}

fn clock(ahead: Option<i64>) -> Check {
    match ahead {
        None => Check::warn("clock", "the service tells no time", "nothing: compare the clock yourself"),
        Some(seconds) if seconds.unsigned_abs() <= SKEW_SECONDS => Check::ok("clock", "agrees with the service's"),
        Some(seconds) => {
            let direction = if seconds > 0 { "ahead of" } else { "behind" };
            let says = format!("{} s {direction} the service's", seconds.unsigned_abs());
            Check::warn("clock", says, "set it: timedatectl set-ntp true")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::config::template::Template;

    fn level(check: &Check) -> Level {
        check.level
    }

    #[test]
    fn an_environment_that_is_not_there_is_named_with_those_that_are() {
        let known =
            [Environment { id: "main".into(), primary: true }, Environment { id: "spring".into(), primary: false }];
        assert_eq!(level(&environment(None, Ok(&known))), Level::Ok);
        assert_eq!(level(&environment(Some("spring"), Ok(&known))), Level::Ok);
        let missing = environment(Some("sprnig"), Ok(&known));
        assert!(missing.access && missing.fix.is_some_and(|fix| fix.contains("main, spring")));
    }

    #[test]
    fn what_the_configuration_needs_is_what_is_asked_for() {
        let mut mirror = Mirror::new("brand", "/srv/brand");
        assert_eq!(needed(&[mirror.clone()]).len(), 4);
        mirror.on_delete = OnDelete::Delete;
        mirror.collections = Collections::Mirror;
        assert_eq!(needed(&[mirror.clone()]).len(), 6);
        let none = permissions(&Role::default(), "main", &[mirror], &BTreeMap::new());
        assert_eq!(none.iter().filter(|check| check.level == Level::Fail).count(), 7);
    }

    #[test]
    fn locales_storage_clock_and_limits_are_judged() {
        let mut mirror = Mirror::new("brand", "/srv/brand");
        let mut site = Site {
            id: "1".into(),
            name: "P".into(),
            locales: vec!["en".into()],
            shape: crate::model::MetadataShape::ByLocale,
            custom_storage: false,
            domain: None,
        };
        assert_eq!(level(&locales(&mirror, &site)), Level::Ok);
        mirror.layer.alt.insert("de".into(), Template::parse("x").unwrap());
        assert!(locales(&mirror, &site).says.contains("has no de"));
        assert_eq!(storage(&mirror, &site), None);
        site.custom_storage = true;
        assert!(storage(&mirror, &site).is_some());
        assert_eq!(
            [None, Some(3), Some(-600)].map(|ahead| level(&clock(ahead))),
            [Level::Warn, Level::Ok, Level::Warn]
        );
        assert!(clock(Some(-600)).says.contains("600 s behind"));
        let limit = |usage| SubscriptionLimit { code: "cma_api_calls".into(), usage: Some(usage), limit: Some(100.0) };
        let levels = [5.0, 95.0, 100.0].map(|usage| level(&plan(&[limit(usage)])[0]));
        assert_eq!(levels, [Level::Ok, Level::Warn, Level::Fail]);
        assert_eq!(level(&rate(None, 0.8)), Level::Warn);
    }
}
