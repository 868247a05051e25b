//! The three-way merge: what the mirror last pushed, what the folder says now, what the asset has now.
//!
//! Owns: the rules by which editors are safe. Never does: I/O, calling the service.
//!
//! For a field, with *base* what the mirror pushed last:
//! - the asset still has the base: the folder is followed, also when it has nothing any more;
//! - the folder still says the base: what the editor typed, or removed, stays;
//! - both changed to the same: nothing to do;
//! - both changed differently: a conflict. The editor's value stays, and what the folder says becomes the base, although
//!   it was not pushed. So the next merge takes the folder as unchanged and is silent, until the folder changes again.
//!
//! A field that has no base and is as desired stays the editor's: it gets no base, so it is never emptied.
//! For tags the same holds for each tag alone; a tag is there or not, so tags have no conflicts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Number, Value, json};

use crate::model::{FieldKey, Fields, MirrorStamp};

/// What the mirror last pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Name of the field → short digest of its canonical value.
    pub fields: BTreeMap<String, String>,
}

impl Base {
    /// What a creation with this metadata pushes.
    #[must_use]
    pub fn of(tags: &BTreeSet<String>, fields: &Fields) -> Self {
        let fields = fields.iter().map(|(key, value)| (key.to_string(), digest(value))).collect();
        Self { tags: tags.clone(), fields }
    }
}

impl From<&MirrorStamp> for Base {
    fn from(stamp: &MirrorStamp) -> Self {
        Self { tags: stamp.tags.clone(), fields: stamp.fields.clone() }
    }
}

/// What the folder says now.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Tags.
    pub tags: &'a BTreeSet<String>,
    /// All other fields.
    pub fields: &'a Fields,
}

/// What the asset has now.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    /// Tags in the service's order.
    pub tags: &'a [String],
    /// All other fields.
    pub fields: &'a Fields,
    /// Tags that another mirror's stamp on the same asset names: not ours to remove.
    pub others: &'a BTreeSet<String>,
}

/// An editor and the folder changed one field differently. The editor's value stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// The field.
    pub key: FieldKey,
    /// What the folder says; `None` when it says nothing any more.
    pub desired: Option<Value>,
    /// What the asset has; `None` when an editor emptied it.
    pub remote: Option<Value>,
}

/// What to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    /// All tags the asset should have: the service's order, new ones sorted at the end.
    pub tags: Vec<String>,
    /// Whether `tags` differ from what the asset has.
    pub tags_changed: bool,
    /// Fields to write.
    pub set: Fields,
    /// Fields to empty.
    pub clear: Vec<FieldKey>,
    /// What to report, once.
    pub conflicts: Vec<Conflict>,
    /// The next base, to be kept in stamp and index even when nothing is written.
    pub pushed: Base,
}

impl Merged {
    /// Whether the asset needs no write but perhaps that of the stamp.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        !self.tags_changed && self.set.is_empty() && self.clear.is_empty()
    }
}

/// Merges.
#[must_use]
pub fn merge(base: &Base, wanted: Wanted<'_>, remote: Remote<'_>) -> Merged {
    let mut merged = Merged::default();
    merge_tags(base, wanted, remote, &mut merged);
    let mut keys: BTreeSet<FieldKey> = wanted.fields.keys().chain(remote.fields.keys()).cloned().collect();
    for name in base.fields.keys() {
        match name.parse() {
            Ok(key) => {
                keys.insert(key);
            }
            // A later version's field: not understood, so not touched and not forgotten.
            Err(_) => {
                merged.pushed.fields.insert(name.clone(), base.fields[name].clone());
            }
        }
    }
    for key in keys {
        merge_field(key, base, wanted, remote, &mut merged);
    }
    merged
}

fn merge_tags(base: &Base, wanted: Wanted<'_>, remote: Remote<'_>, merged: &mut Merged) {
    let has: BTreeSet<&String> = remote.tags.iter().collect();
    for tag in base.tags.union(wanted.tags) {
        let (pushed, desired) = (base.tags.contains(tag), wanted.tags.contains(tag));
        // Pushed and still desired but gone: an editor removed it, and it stays so while the base has it. There
        // but never pushed: an editor's own, which gets no base.
        if desired && (pushed || !has.contains(tag)) {
            merged.pushed.tags.insert(tag.clone());
        }
    }
    let ours_to_remove =
        |tag: &String| base.tags.contains(tag) && !wanted.tags.contains(tag) && !remote.others.contains(tag);
    merged.tags = remote.tags.iter().filter(|tag| !ours_to_remove(tag)).cloned().collect();
    merged.tags.extend(wanted.tags.iter().filter(|tag| !base.tags.contains(*tag) && !has.contains(tag)).cloned());
    merged.tags_changed = merged.tags != remote.tags;
}

fn merge_field(key: FieldKey, base: &Base, wanted: Wanted<'_>, remote: Remote<'_>, merged: &mut Merged) {
    let name = key.to_string();
    let desired = wanted.fields.get(&key);
    let there = remote.fields.get(&key).filter(|value| !is_default(&key, value));
    let (b, d, r) = (base.fields.get(&name).cloned(), desired.map(digest), there.map(digest));
    if d == r {
        // Agreed. Only what had a base keeps one.
        if let (Some(_), Some(d)) = (b, d) {
            merged.pushed.fields.insert(name, d);
        }
        return;
    }
    // The service fills in a creator by itself: nobody typed it.
    let untouched = r == b || (key == FieldKey::Creator && b.is_none());
    if untouched {
        match (desired, d) {
            (Some(value), Some(d)) => {
                merged.set.insert(key, canonical(value));
                merged.pushed.fields.insert(name, d);
            }
            // An asset always has a creator; there is no emptying it.
            _ if key == FieldKey::Creator => {}
            _ => merged.clear.push(key),
        }
        return;
    }
    if d != b {
        merged.conflicts.push(Conflict { key, desired: desired.cloned(), remote: there.cloned() });
    }
    if let Some(d) = d {
        merged.pushed.fields.insert(name, d);
    }
}

/// Whether the service fills this value in where nobody gave one: the middle as focal point.
fn is_default(key: &FieldKey, value: &Value) -> bool {
    *key == FieldKey::FocalPoint && *value == json!({"x": 0.5, "y": 0.5})
}

/// The short digest of a value's canonical form.
fn digest(value: &Value) -> String {
    MirrorStamp::value_digest(&canonical(value))
}

/// The value with every whole number written as an integer: JSON tells `1` from `1.0`, and the service may answer either
/// for what it was sent.
#[must_use]
pub fn canonical(value: &Value) -> Value {
    /// Up to here floats hold every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT);
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            whole.map_or_else(|| value.clone(), |float| Value::Number(Number::from(float as i64)))
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), canonical(value))).collect()),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Base, desired, remote; then what the asset has, the next base, and whether it is a conflict. A space is absent.
    const FIELD_TABLE: [(&str, &str, &str, &str, &str, bool); 15] = [
        (" ", " ", " ", " ", " ", false),
        (" ", " ", "a", "a", " ", false), // the editor's own
        (" ", "a", " ", "a", "a", false), // new in the folder
        (" ", "a", "a", "a", " ", false), // the editor's own, though the same
        (" ", "a", "b", "b", "a", true),  // the editor was there first
        ("a", " ", " ", " ", " ", false), // both removed it
        ("a", " ", "a", " ", " ", false), // removed in the folder
        ("a", " ", "b", "b", " ", true),  // removed in the folder, changed by an editor
        ("a", "a", " ", " ", "a", false), // an editor removed it
        ("a", "a", "a", "a", "a", false), // nothing happened
        ("a", "a", "b", "b", "a", false), // an editor changed it
        ("a", "b", " ", " ", "b", true),  // changed in the folder, removed by an editor
        ("a", "b", "a", "b", "b", false), // changed in the folder
        ("a", "b", "b", "b", "b", false), // both changed it to the same
        ("a", "b", "c", "c", "b", true),  // both changed it
    ];

    /// Base, desired, remote; then whether the asset has the tag and whether the next base has it.
    const TAG_TABLE: [(bool, bool, bool, bool, bool); 8] = [
        (false, false, false, false, false),
        (false, false, true, true, false), // the editor's own
        (false, true, false, true, true),  // new in the folder
        (false, true, true, true, false),  // the editor's own, though wanted
        (true, false, false, false, false),
        (true, false, true, false, false), // gone from the folder
        (true, true, false, false, true),  // an editor removed it
        (true, true, true, true, true),
    ];

    fn keys() -> Vec<FieldKey> {
        vec![
            FieldKey::Author,
            FieldKey::Collection,
            FieldKey::Copyright,
            FieldKey::Notes,
            FieldKey::Alt("en".into()),
            FieldKey::Title("it".into()),
            FieldKey::CustomData("en".into(), "a.b".into()),
            FieldKey::FocalPoint,
            FieldKey::PosterTime,
        ]
    }

    fn fields(key: &FieldKey, value: &str) -> Fields {
        if value == " " { Fields::new() } else { Fields::from([(key.clone(), json!(value))]) }
    }

    /// What the asset has after the merge is carried out.
    fn carried_out(remote: &Fields, merged: &Merged) -> Fields {
        let mut fields = remote.clone();
        fields.retain(|key, _| !merged.clear.contains(key));
        fields.extend(merged.set.clone());
        fields
    }

    fn merge_plain(base: &Base, tags: &BTreeSet<String>, want: &Fields, has_tags: &[String], has: &Fields) -> Merged {
        let others = BTreeSet::new();
        merge(base, Wanted { tags, fields: want }, Remote { tags: has_tags, fields: has, others: &others })
    }

    #[test]
    fn every_pattern_of_a_field_for_every_field() {
        let none = BTreeSet::new();
        for key in keys() {
            for (base, desired, remote, result, next, conflict) in FIELD_TABLE {
                let case = format!("{key}: base {base:?} desired {desired:?} remote {remote:?}");
                let base = Base::of(&none, &fields(&key, base));
                let (desired, remote) = (fields(&key, desired), fields(&key, remote));
                let merged = merge_plain(&base, &none, &desired, &[], &remote);
                assert_eq!(carried_out(&remote, &merged), fields(&key, result), "{case}");
                assert_eq!(merged.pushed, Base::of(&none, &fields(&key, next)), "{case}");
                assert_eq!(merged.conflicts.len(), usize::from(conflict), "{case}");
                if let Some(found) = merged.conflicts.first() {
                    assert_eq!((found.desired.as_ref(), found.remote.as_ref()), (desired.get(&key), remote.get(&key)));
                }
            }
        }
        let patterns: BTreeSet<_> = FIELD_TABLE.iter().map(|row| (row.0, row.1, row.2)).collect();
        assert_eq!(patterns.len(), 15, "each pattern of absent, equal and different once");
    }

    #[test]
    fn every_pattern_of_a_tag() {
        let set = |there: bool| if there { BTreeSet::from(["t".to_owned()]) } else { BTreeSet::new() };
        for (base, desired, remote, result, next) in TAG_TABLE {
            let has: Vec<_> = set(remote).into_iter().collect();
            let base_set = Base { tags: set(base), ..Base::default() };
            let merged = merge_plain(&base_set, &set(desired), &Fields::new(), &has, &Fields::new());
            let case = format!("base {base} desired {desired} remote {remote}");
            assert_eq!(merged.tags, set(result).into_iter().collect::<Vec<_>>(), "{case}");
            assert_eq!(merged.pushed.tags, set(next), "{case}");
            assert_eq!(merged.tags_changed, remote != result, "{case}");
        }
    }

    #[test]
    fn tags_keep_the_editors_order_and_new_ones_come_sorted() {
        let text = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let base = Base { tags: text(&["old", "both"]).into_iter().collect(), ..Base::default() };
        let wanted: BTreeSet<_> = text(&["zoo", "both", "ant"]).into_iter().collect();
        let remote = text(&["z-editor", "old", "both", "a-editor"]);
        let merged = merge_plain(&base, &wanted, &Fields::new(), &remote, &Fields::new());
        assert_eq!(merged.tags, text(&["z-editor", "both", "a-editor", "ant", "zoo"]));
    }

    #[test]
    fn a_tag_that_another_mirror_pushed_stays() {
        let old: BTreeSet<_> = ["old".to_owned()].into();
        let base = Base { tags: old.clone(), ..Base::default() };
        let (none, fields) = (BTreeSet::new(), Fields::new());
        let remote = Remote { tags: &["old".to_owned()], fields: &fields, others: &old };
        let merged = merge(&base, Wanted { tags: &none, fields: &fields }, remote);
        assert_eq!((merged.tags_changed, merged.pushed.tags.len()), (false, 0));
    }

    #[test]
    fn a_conflict_is_told_once_until_the_folder_changes_again() {
        let (key, none) = (FieldKey::Author, BTreeSet::new());
        let base = Base::of(&none, &fields(&key, "a"));
        let remote = fields(&key, "editor's");
        let first = merge_plain(&base, &none, &fields(&key, "b"), &[], &remote);
        assert_eq!((first.conflicts.len(), first.is_quiet()), (1, true));
        let second = merge_plain(&first.pushed, &none, &fields(&key, "b"), &[], &remote);
        assert!(second.conflicts.is_empty() && second.is_quiet());
        let third = merge_plain(&second.pushed, &none, &fields(&key, "c"), &[], &remote);
        assert_eq!(third.conflicts.len(), 1);
        let agreed = merge_plain(&third.pushed, &none, &fields(&key, "c"), &[], &fields(&key, "c"));
        let followed = merge_plain(&agreed.pushed, &none, &fields(&key, "d"), &[], &fields(&key, "c"));
        assert_eq!(followed.set, fields(&key, "d"), "once they agree the folder is followed again");
    }

    #[test]
    fn what_the_service_fills_in_is_no_editors() {
        let none = BTreeSet::new();
        let creator = |id: &str| Fields::from([(FieldKey::Creator, json!({"type": "user", "id": id}))]);
        let merged = merge_plain(&Base::default(), &none, &creator("2"), &[], &creator("1"));
        assert_eq!((merged.set, merged.conflicts.len()), (creator("2"), 0));
        let merged = merge_plain(&Base::of(&none, &creator("2")), &none, &Fields::new(), &[], &creator("2"));
        assert!(merged.is_quiet() && merged.pushed == Base::default(), "no asset is without a creator");
        let point = |x: f64| Fields::from([(FieldKey::FocalPoint, json!({"x": x, "y": 0.5}))]);
        let merged = merge_plain(&Base::default(), &none, &point(0.1), &[], &point(0.5));
        assert_eq!((merged.set, merged.conflicts.len()), (point(0.1), 0));
        let merged = merge_plain(&Base::of(&none, &point(0.5)), &none, &point(0.5), &[], &Fields::new());
        assert!(merged.is_quiet() && merged.conflicts.is_empty(), "the middle is not sent again and again");
    }

    #[test]
    fn one_number_has_one_digest() {
        let none = BTreeSet::new();
        let time = |value: Value| Fields::from([(FieldKey::PosterTime, value)]);
        let merged =
            merge_plain(&Base::of(&none, &time(json!(12.0))), &none, &time(json!(12.0)), &[], &time(json!(12)));
        assert!(merged.is_quiet());
        assert_eq!(canonical(&json!([1.0, 1.5, {"x": -0.0, "y": 1e300}])), json!([1, 1.5, {"x": 0, "y": 1e300}]));
    }

    #[test]
    fn a_later_versions_field_is_kept_in_the_base() {
        let base = Base { fields: BTreeMap::from([("hologram".into(), "x".into())]), ..Base::default() };
        assert_eq!(merge_plain(&base, &BTreeSet::new(), &Fields::new(), &[], &Fields::new()).pushed, base);
    }

    fn some_fields() -> impl Strategy<Value = Fields> {
        let key = prop::sample::select(
            keys().into_iter().chain([FieldKey::Creator, FieldKey::Alt("it".into())]).collect::<Vec<_>>(),
        );
        let value = prop::sample::select(vec![json!("a"), json!("b"), json!("c"), json!({"x": 0.5, "y": 0.5})]);
        prop::collection::btree_map(key, value, 0..8)
    }

    fn some_tags() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("[a-e]", 0..5)
    }

    proptest! {
        /// Merging what was merged gives nothing to do and nothing to report, and the base stands.
        #[test]
        fn merging_twice_is_merging_once(
            base_fields in some_fields(), desired in some_fields(), remote in some_fields(),
            base_tags in some_tags(), tags in some_tags(), has in some_tags(), others in some_tags(),
        ) {
            let has: Vec<_> = has.into_iter().rev().collect();
            let base = Base::of(&base_tags, &base_fields);
            let wanted = Wanted { tags: &tags, fields: &desired };
            let first = merge(&base, wanted, Remote { tags: &has, fields: &remote, others: &others });
            let after = carried_out(&remote, &first);
            let second = merge(&first.pushed, wanted, Remote { tags: &first.tags, fields: &after, others: &others });
            prop_assert!(second.is_quiet(), "{second:?}");
            prop_assert!(second.conflicts.is_empty());
            prop_assert_eq!(&second.tags, &first.tags);
            prop_assert_eq!(second.pushed, first.pushed);
        }

        /// No tag goes that the mirror did not push, and no field is emptied or changed that an editor changed.
        #[test]
        fn editors_lose_nothing(
            base_fields in some_fields(), desired in some_fields(), remote in some_fields(),
            base_tags in some_tags(), tags in some_tags(), has in some_tags(),
        ) {
            let has: Vec<_> = has.into_iter().collect();
            let base = Base::of(&base_tags, &base_fields);
            let merged = merge_plain(&base, &tags, &desired, &has, &remote);
            for tag in &has {
                prop_assert!(base_tags.contains(tag) || merged.tags.contains(tag), "{tag}");
            }
            for key in merged.set.keys().chain(&merged.clear) {
                let there = remote.get(key).filter(|value| !is_default(key, value));
                let typed = there.is_some() && there != base_fields.get(key);
                prop_assert!(!typed || (*key == FieldKey::Creator && !base_fields.contains_key(key)), "{key}");
            }
        }
    }
}
