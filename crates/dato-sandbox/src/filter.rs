//! `filter[…]` and `order_by` of the listing.
//!
//! Owns: which fields and operators there are, and what they mean. Never does: the state.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::json;

use super::answer::Refusal;
use super::entity::Upload;
use super::metadata::Media;
use super::settings::InUseFilter;

/// How a field compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// eq, neq, in, notIn.
    Exact,
    /// matches, notMatches.
    Pattern,
    /// eq, neq, gt, lt, gte, lte.
    Number,
    /// As a number, truncated to the minute.
    Time,
    /// contains, allIn, anyIn, notIn.
    Tags,
    /// eq.
    Flag,
}

fn kind(field: &str) -> Option<Kind> {
    Some(match field {
        "id" | "md5" | "path" | "type" | "format" | "mime_type" => Kind::Exact,
        "filename" | "basename" => Kind::Pattern,
        "size" => Kind::Number,
        "_created_at" | "_updated_at" => Kind::Time,
        "tags" => Kind::Tags,
        "in_use" => Kind::Flag,
        _ => return None,
    })
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    field: String,
    op: String,
    values: Vec<String>,
    lookup: HashSet<String>,
}

/// All conditions; an upload must meet each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    conditions: Vec<Condition>,
    /// `filter[ids]`.
    pub(super) ids: Option<Vec<String>>,
    /// `filter[query]`, in lower case.
    text: Option<String>,
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(422, "INVALID_FILTER_FIELDS_PARAM", json!({ "message": message.into() }))
}

impl Filter {
    /// Reads the filter from a decoded query, ignoring other parameters; gives the parameters it did not know.
    pub(super) fn parse(query: &[(String, String)]) -> Result<(Self, Vec<(String, String)>), Refusal> {
        let mut filter = Self::default();
        let mut rest = Vec::new();
        for (key, value) in query {
            match key.as_str() {
                "filter[ids]" => filter.ids = Some(value.split(',').map(|id| id.trim().to_owned()).collect()),
                "filter[query]" => filter.text = Some(value.to_lowercase()),
                _ => match key.strip_prefix("filter[fields]") {
                    Some(place) => filter.take(place, value)?,
                    None => rest.push((key.clone(), value.clone())),
                },
            }
        }
        for condition in &filter.conditions {
            condition.check()?;
        }
        Ok((filter, rest))
    }

    /// What is made of a condition on use.
    pub(super) fn by_use(&mut self, made: InUseFilter) -> Result<(), Refusal> {
        let is_by_use = |condition: &Condition| condition.field == "in_use";
        if made == InUseFilter::Followed || !self.conditions.iter().any(is_by_use) {
            return Ok(());
        }
        if made == InUseFilter::Refused {
            return Err(bad("unknown field in_use"));
        }
        if made == InUseFilter::IgnoredWithIds {
            self.ids = None;
        }
        self.conditions.retain(|condition| !is_by_use(condition));
        Ok(())
    }

    /// Takes `[field][op]`, `[field][op][]` or `[field][matches][pattern]`.
    fn take(&mut self, place: &str, value: &str) -> Result<(), Refusal> {
        let inner = place.strip_prefix('[').and_then(|place| place.strip_suffix(']'));
        let parts: Vec<&str> =
            inner.ok_or_else(|| bad(format!("cannot read filter[fields]{place}")))?.split("][").collect();
        let (field, op, list) = match parts.as_slice() {
            [field, op] => (*field, *op, false),
            [field, op, ""] => (*field, *op, true),
            [field, op, option] if kind(field) == Some(Kind::Pattern) => match *option {
                "pattern" => (*field, *op, false),
                "case_sensitive" | "regexp" if value == "false" => return Ok(()),
                _ => return Err(bad(format!("{option}: the sandbox knows plain patterns only"))),
            },
            _ => return Err(bad(format!("cannot read filter[fields]{place}"))),
        };
        let known = kind(field).ok_or_else(|| bad(format!("unknown field {field}")))?;
        let (ops, lists): (&[&str], &[&str]) = match known {
            Kind::Exact => (&["eq", "neq", "in", "notIn"], &["in", "notIn"]),
            Kind::Pattern => (&["matches", "notMatches"], &[]),
            Kind::Number | Kind::Time => (&["eq", "neq", "gt", "lt", "gte", "lte"], &[]),
            Kind::Tags => (&["contains", "allIn", "anyIn", "notIn"], &["allIn", "anyIn", "notIn"]),
            Kind::Flag => (&["eq"], &[]),
        };
        if !ops.contains(&op) {
            return Err(bad(format!("{field} has no operator {op}")));
        }
        if list != lists.contains(&op) {
            return Err(bad(format!("{field}[{op}] takes {}", if list { "one value" } else { "a list: [{op}][]=" })));
        }
        let same = self.conditions.iter_mut().find(|condition| condition.field == field && condition.op == op);
        if let Some(condition) = same {
            if !list {
                return Err(bad(format!("{field}[{op}] is given twice")));
            }
            condition.values.push(value.to_owned());
            condition.lookup.insert(value.to_owned());
            return Ok(());
        }
        self.conditions.push(Condition {
            field: field.to_owned(),
            op: op.to_owned(),
            values: vec![value.to_owned()],
            lookup: HashSet::from([value.to_owned()]),
        });
        Ok(())
    }

    /// Whether there is anything to check besides `filter[ids]`.
    pub(super) const fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.text.is_none()
    }

    /// Whether an upload meets every condition (`filter[ids]` apart).
    pub(super) fn matches(&self, upload: &Upload, in_use: bool) -> bool {
        self.conditions.iter().all(|condition| condition.matches(upload, in_use)) && self.says(upload)
    }

    fn says(&self, upload: &Upload) -> bool {
        let Some(text) = &self.text else { return true };
        let has = |part: &str| part.to_lowercase().contains(text.as_str());
        let fields = [&upload.author, &upload.copyright, &upload.notes];
        has(upload.filename())
            || upload.tags.iter().any(|tag| has(tag))
            || fields.into_iter().flatten().any(|field| has(field))
    }
}

impl Condition {
    fn check(&self) -> Result<(), Refusal> {
        let value = self.values.first().map_or("", String::as_str);
        let readable = match kind(&self.field) {
            Some(Kind::Number) => value.parse::<u64>().is_ok(),
            Some(Kind::Time) => minute(value).is_some(),
            Some(Kind::Flag) => matches!(value, "true" | "false"),
            _ => true,
        };
        if readable { Ok(()) } else { Err(bad(format!("{}[{}]: cannot read {value}", self.field, self.op))) }
    }

    fn matches(&self, upload: &Upload, in_use: bool) -> bool {
        let value = self.values.first().map_or("", String::as_str);
        match self.field.as_str() {
            "tags" => {
                let has = |tag: &String| upload.tags.contains(tag);
                match self.op.as_str() {
                    "contains" | "allIn" => self.values.iter().all(has),
                    "anyIn" => self.values.iter().any(has),
                    _ => !self.values.iter().any(has),
                }
            }
            "size" => value.parse::<u64>().is_ok_and(|wanted| self.compares(upload.file.size.cmp(&wanted))),
            "_created_at" => {
                minute(value).is_some_and(|wanted| self.compares((upload.created_at / 60_000).cmp(&wanted)))
            }
            "_updated_at" => {
                minute(value).is_some_and(|wanted| self.compares((upload.updated_at / 60_000).cmp(&wanted)))
            }
            "in_use" => (value == "true") == in_use,
            "filename" => (self.op == "matches") == contains(upload.filename(), value),
            "basename" => (self.op == "matches") == contains(upload.basename(), value),
            field => {
                let found = match field {
                    "id" => Some(upload.id.as_str()),
                    "md5" => Some(upload.file.md5.as_str()),
                    "path" => Some(upload.path.as_str()),
                    "format" => upload.file.format.as_deref(),
                    "mime_type" => upload.file.mime_type.as_deref(),
                    _ => Some(type_of(upload)),
                };
                let inside = found.is_some_and(|found| self.lookup.contains(found));
                inside == matches!(self.op.as_str(), "eq" | "in")
            }
        }
    }

    fn compares(&self, found: Ordering) -> bool {
        match self.op.as_str() {
            "eq" => found == Ordering::Equal,
            "neq" => found != Ordering::Equal,
            "gt" => found == Ordering::Greater,
            "lt" => found == Ordering::Less,
            "gte" => found != Ordering::Less,
            _ => found != Ordering::Greater,
        }
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// A time as minutes since 1970: the service forgets the seconds.
fn minute(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond() / 60_000)
}

/// The service's word for the kind of asset.
fn type_of(upload: &Upload) -> &'static str {
    match (upload.file.media(), upload.file.mime_type.as_deref().unwrap_or("")) {
        (Media::Image, _) => "image",
        (Media::Video, _) => "video",
        (_, "application/pdf") => "pdfdocument",
        (_, mime) if mime.starts_with("audio/") => "audio",
        (_, mime) if mime.contains("zip") || mime.contains("tar") => "archive",
        _ => "other",
    }
}

/// One rule of `order_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    field: Order,
    descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Id,
    Created,
    Updated,
    Size,
    Filename,
    Basename,
    Path,
    Mime,
}

/// Reads `order_by`: rules `<field>_<ASC|DESC>`, comma separated; newest first when there is none.
pub(super) fn order(text: Option<&str>) -> Result<Vec<Rule>, Refusal> {
    let Some(text) = text else { return Ok(vec![Rule { field: Order::Created, descending: true }]) };
    let rules = text.split(',').map(|rule| {
        let bad = || Refusal::new(422, "INVALID_FORMAT", json!({ "message": format!("unknown order_by rule {rule}") }));
        let (field, direction) = rule.trim().rsplit_once('_').ok_or_else(bad)?;
        let field = match field {
            "id" => Order::Id,
            "_created_at" => Order::Created,
            "_updated_at" => Order::Updated,
            "size" => Order::Size,
            "filename" => Order::Filename,
            "basename" => Order::Basename,
            "path" => Order::Path,
            "mime_type" => Order::Mime,
            _ => return Err(bad()),
        };
        match direction {
            "ASC" => Ok(Rule { field, descending: false }),
            "DESC" => Ok(Rule { field, descending: true }),
            _ => Err(bad()),
        }
    });
    rules.collect()
}

/// Whether these rules are the order in which uploads are kept.
pub(super) fn is_by_id(rules: &[Rule]) -> bool {
    rules.first().is_some_and(|rule| rule.field == Order::Id && !rule.descending)
}

/// Compares two uploads by the rules; age, then id decide ties so that pages never overlap.
pub(super) fn compare(rules: &[Rule], a: &Upload, b: &Upload) -> Ordering {
    for rule in rules {
        let found = match rule.field {
            Order::Id => a.id.cmp(&b.id),
            Order::Created => (a.created_at, a.seq).cmp(&(b.created_at, b.seq)),
            Order::Updated => a.updated_at.cmp(&b.updated_at),
            Order::Size => a.file.size.cmp(&b.file.size),
            Order::Filename => a.filename().cmp(b.filename()),
            Order::Basename => a.basename().cmp(b.basename()),
            Order::Path => a.path.cmp(&b.path),
            Order::Mime => a.file.mime_type.cmp(&b.file.mime_type),
        };
        let found = if rule.descending { found.reverse() } else { found };
        if found != Ordering::Equal {
            return found;
        }
    }
    (a.created_at, a.seq, &a.id).cmp(&(b.created_at, b.seq, &b.id))
}

#[cfg(test)]
mod tests {
    use super::super::call::parse_query;
    use super::super::entity::StoredFile;
    use super::super::metadata::Metadata;
    use super::*;

    fn upload() -> Upload {
        Upload {
            seq: 1,
            id: "a".into(),
            path: "/1/1600000000-logo.png".into(),
            file: StoredFile {
                blob: "1".into(),
                size: 500,
                md5: "900150983cd24fb0d6963f7d28e17f72".into(),
                width: None,
                height: None,
                format: Some("png".into()),
                mime_type: Some("image/png".into()),
            },
            author: Some("Design team".into()),
            copyright: None,
            notes: None,
            tags: vec!["brand".into(), "logo".into()],
            metadata: Metadata::default(),
            collection: None,
            creator: json!(null),
            antivirus: super::super::entity::Antivirus::Clean,
            tracks: Vec::new(),
            created_at: 1_600_000_030_000,
            updated_at: 1_600_000_030_000,
        }
    }

    fn matches(query: &str) -> Result<bool, String> {
        let (filter, rest) = Filter::parse(&parse_query(query)).map_err(|refusal| refusal.code)?;
        assert!(rest.is_empty(), "{rest:?}");
        Ok(filter.matches(&upload(), false))
    }

    #[test]
    fn conditions_mean_what_they_say() {
        let cases = [
            ("", true),
            ("filter[fields][md5][eq]=900150983cd24fb0d6963f7d28e17f72", true),
            ("filter[fields][md5][neq]=900150983cd24fb0d6963f7d28e17f72", false),
            ("filter[fields][md5][in][]=x&filter[fields][md5][in][]=900150983cd24fb0d6963f7d28e17f72", true),
            ("filter%5Bfields%5D%5Bmd5%5D%5Bin%5D%5B%5D=900150983cd24fb0d6963f7d28e17f72", true),
            ("filter[fields][md5][notIn][]=x", true),
            ("filter[fields][filename][matches]=LOGO", true),
            ("filter[fields][filename][matches][pattern]=x", false),
            ("filter[fields][basename][notMatches]=png", true),
            ("filter[fields][size][gt]=499&filter[fields][size][lt]=501", true),
            ("filter[fields][size][gte]=501", false),
            ("filter[fields][tags][allIn][]=brand&filter[fields][tags][allIn][]=logo", true),
            ("filter[fields][tags][anyIn][]=brand&filter[fields][tags][anyIn][]=x", true),
            ("filter[fields][tags][contains]=x", false),
            ("filter[fields][tags][notIn][]=logo", false),
            ("filter[fields][type][eq]=image", true),
            ("filter[fields][in_use][eq]=true", false),
            // 12:26:40 + 30 s is 12:27:10: the same minute is neither before nor after.
            ("filter[fields][_updated_at][gt]=2020-09-13T12:27:00Z", false),
            ("filter[fields][_updated_at][gt]=2020-09-13T12:26:59Z", true),
            ("filter[fields][_updated_at][eq]=2020-09-13T12:27:59Z", true),
            ("filter[query]=design", true),
            ("filter[query]=nothing", false),
        ];
        for (query, expected) in cases {
            assert_eq!(matches(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_the_api_does_not_know_is_refused() {
        for query in [
            "filter[fields][colour][eq]=x",
            "filter[fields][md5][matches]=x",
            "filter[fields][md5][in]=x",
            "filter[fields][md5][eq][]=x",
            "filter[fields][md5][not_in][]=x",
            "filter[fields][filename][eq]=x",
            "filter[fields][updated_at][gt]=2020-09-13T12:27:00Z",
            "filter[fields][_updated_at][gt]=yesterday",
            "filter[fields][size][gt]=big",
            "filter[fields][md5]=x",
            "filter[fields][size][gt]=1&filter[fields][size][gt]=2",
        ] {
            assert_eq!(matches(query), Err("INVALID_FILTER_FIELDS_PARAM".to_owned()), "{query}");
        }
    }

    #[test]
    fn order_rules_are_read_and_applied_in_turn() {
        let (small, mut large) = (upload(), upload());
        large.file.size = 501;
        large.id = "b".into();
        let rules = order(Some("_updated_at_DESC,size_DESC")).unwrap();
        assert_eq!(compare(&rules, &small, &large), Ordering::Greater);
        assert_eq!(compare(&order(Some("id_ASC")).unwrap(), &small, &large), Ordering::Less);
        for text in ["size", "size_UP", "colour_ASC", "_updated_at_DESC,"] {
            assert!(order(Some(text)).is_err(), "{text}");
        }
    }
}
