//! What the token may do.
//!
//! Owns: reading the token's role. Source: the API's documentation, and the shapes of the official client's
//! types: `meta.final_permissions` has what is inherited, too; older answers have only the role's own attributes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::http::Call;
use super::{ApiError, Client, Stamp};

/// The actions on uploads that a role can allow.
pub const ACTIONS: [&str; 7] = ["read", "create", "update", "replace_asset", "delete", "move", "edit_creator"];

/// A role's say about uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    rules: Vec<Rule>,
    /// It may make upload collections.
    pub manages_collections: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allows: bool,
    action: String,
    /// `None`: every environment.
    environment: Option<String>,
    /// It is about some collections or creators only.
    partial: bool,
    /// The one collection that it is about.
    collection: Option<String>,
    /// It is about what the token itself made.
    own: bool,
}

/// Whether an action is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// On every upload.
    Yes,
    /// On some.
    Partly,
    /// On none.
    No,
}

impl Role {
    fn read(role: &Value) -> Self {
        let own = &role["attributes"];
        let all = &role["meta"]["final_permissions"];
        let member = |name: &str| if all[name].is_null() { own[name].clone() } else { all[name].clone() };
        let mut rules = Vec::new();
        for (list, allows) in [("positive_upload_permissions", true), ("negative_upload_permissions", false)] {
            for rule in member(list).as_array().into_iter().flatten() {
                let text = |name: &str| rule[name].as_str().unwrap_or_default().to_owned();
                rules.push(Rule {
                    collection: rule["upload_collection"].as_str().map(str::to_owned),
                    own: rule["on_creator"].as_str() == Some("self"),
                    allows,
                    action: text("action"),
                    environment: rule["environment"].as_str().map(str::to_owned),
                    partial: !rule["upload_collection"].is_null()
                        || !matches!(rule["on_creator"].as_str(), None | Some("anyone"))
                        || !matches!(rule["localization_scope"].as_str(), None | Some("all")),
                });
            }
        }
        Self {
            name: own["name"].as_str().unwrap_or_default().to_owned(),
            rules,
            manages_collections: member("can_manage_upload_collections").as_bool().unwrap_or(false),
        }
    }

    /// Whether the role allows `action` in `environment`.
    #[must_use]
    pub fn allows(&self, action: &str, environment: &str) -> Allowed {
        let about = |rule: &&Rule| {
            (rule.action == action || rule.action == "all")
                && rule.environment.as_deref().is_none_or(|name| name == environment)
        };
        let (grants, denials): (Vec<&Rule>, Vec<&Rule>) = self.rules.iter().filter(about).partition(|rule| rule.allows);
        if grants.is_empty() || denials.iter().any(|rule| !rule.partial) {
            Allowed::No
        } else if !denials.is_empty() || grants.iter().all(|rule| rule.partial) {
            Allowed::Partly
        } else {
            Allowed::Yes
        }
    }
}

/// What an action that is allowed in part is allowed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// Only in these collections, by id; none: in all, and outside of any.
    pub collections: BTreeSet<String>,
    /// Only on assets that the token itself made.
    pub own: bool,
    /// Not in these collections.
    pub without: BTreeSet<String>,
}

impl Role {
    /// On what the role allows `action` in `environment`.
    #[must_use]
    pub fn extent(&self, action: &str, environment: &str) -> Extent {
        let about = |rule: &&Rule| {
            (rule.action == action || rule.action == "all")
                && rule.environment.as_deref().is_none_or(|name| name == environment)
        };
        let (grants, denials): (Vec<&Rule>, Vec<&Rule>) = self.rules.iter().filter(about).partition(|rule| rule.allows);
        let collections = |rules: &[&Rule]| rules.iter().filter_map(|rule| rule.collection.clone()).collect();
        let everywhere = grants.iter().any(|rule| rule.collection.is_none());
        Extent {
            collections: if everywhere { BTreeSet::new() } else { collections(&grants) },
            own: !grants.is_empty() && grants.iter().all(|rule| rule.own),
            without: collections(&denials),
        }
    }
}

impl<S: Stamp> Client<S> {
    /// The role of the token; `None` when the service does not tell.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn role(&self) -> Result<Option<Role>, ApiError> {
        let call = Call::get(&["users", "me"]).query("include=role");
        let me = match self.transport.result(&call).await {
            Ok(me) => me,
            Err(error) if error.is_not_found() || error.status == Some(422) => return Ok(None),
            Err(error) => return Err(error),
        };
        let included = me["included"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "role"));
        if let Some(role) = included {
            return Ok(Some(Role::read(role)));
        }
        let Some(id) = me["data"]["relationships"]["role"]["data"]["id"].as_str() else { return Ok(None) };
        match self.transport.result(&Call::get(&["roles", id])).await {
            Ok(role) => Ok(Some(Role::read(&role["data"]))),
            Err(error) if error.is_not_found() => Ok(None),
            // A token may not be allowed to look at roles.
            Err(error) if error.status == Some(403) || error.status == Some(401) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
    fn rule(action: &str, environment: &str, collection: Value) -> Value {
        json!({"action": action, "environment": environment, "on_creator": "anyone", "localization_scope": "all",
               "upload_collection": collection})
    }

    #[test]
    fn a_role_allows_what_its_rules_say_and_no_more() {
        let role = Role::read(&json!({"attributes": {
            "name": "Mirror",
            "can_manage_upload_collections": true,
            "positive_upload_permissions": [
                rule("read", "main", Value::Null), rule("create", "main", json!("c1")), rule("update", "main", Value::Null),
                rule("delete", "main", Value::Null), rule("move", "other", Value::Null)],
            "negative_upload_permissions": [rule("delete", "main", Value::Null), rule("update", "main", json!("c1"))],
        }}));
        for (action, expected) in [
            ("read", Allowed::Yes),
            ("create", Allowed::Partly),
            ("update", Allowed::Partly),
            ("delete", Allowed::No),
            ("move", Allowed::No),
            ("replace_asset", Allowed::No),
        ] {
            assert_eq!(role.allows(action, "main"), expected, "{action}");
        }
        assert!(role.manages_collections);
        assert_eq!(role.extent("create", "main").collections, BTreeSet::from(["c1".to_owned()]));
        let update = role.extent("update", "main");
        assert!(update.collections.is_empty() && update.without.contains("c1") && !update.own, "{update:?}");
    }

    #[test]
    fn inherited_permissions_count_and_all_means_all() {
        let role = Role::read(&json!({
            "attributes": {"name": "R", "positive_upload_permissions": []},
            "meta": {"final_permissions": {"positive_upload_permissions": [rule("all", "main", Value::Null)]}},
        }));
        assert!(ACTIONS.iter().all(|action| role.allows(action, "main") == Allowed::Yes));
        assert!(ACTIONS.iter().all(|action| Role::default().allows(action, "main") == Allowed::No));
    }
}
