//! The collections that files are to lie in: found by their labels, or made.
//!
//! Owns: which collection a path of labels means, in this order: the one found along the labels (case counts); the one
//! known before, or made by a mirror, that an editor has renamed since; else a new one. The id of a new one is a
//! function of project and labels, so that processes that race make one. An empty one is left alone. Never does: moving
//! assets.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::config::Mirror;
use crate::config::policy::Collections;
use crate::index::collections::{Known, known, remember, wanted};
use crate::index::{Index, IndexError, Problem};
use crate::metadata::desired::collection_of;
use crate::model::{ActionKind, CollectionId, Site, UploadId};
use crate::remote::{ApiError, ApiErrorKind, Collection, Remote, Scope};

/// Collections made at a time.
const AT_ONCE: usize = 8;
/// Ids tried for one collection: each was spent on one since deleted.
const GENERATIONS: u32 = 5;
/// A collection whose id is taken may show in the list late: it is looked for after these waits, ms.
const SHOWS_AFTER: [u64; 4] = [0, 300, 1000, 3000];

/// What came of it.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Labels from the outermost in, joined by `/` → id.
    pub ids: BTreeMap<String, CollectionId>,
    /// Those that a dry run would make.
    pub would_make: Vec<String>,
    /// Some could not be made.
    pub problem: Option<Problem>,
}

/// Why the collections could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The API failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// What resolving needs.
#[derive(Debug)]
pub struct Resolver<'a> {
    /// The index.
    pub index: &'a Index,
    /// The API.
    pub remote: &'a Remote,
    /// The project.
    pub site: &'a Site,
    /// The mirror's row in the index.
    pub row: i64,
    /// Nothing is made.
    pub dry_run: bool,
    /// What the index knows may be out of date.
    pub distrust: bool,
}

impl Resolver<'_> {
    /// Finds or makes the collections that the files to be planned are to lie in. No call when all are known.
    ///
    /// # Errors
    /// What stops everything; a collection that cannot be made is told in the answer.
    pub async fn resolve(&self, mirror: &std::sync::Arc<Mirror>) -> Result<Resolved, ResolveError> {
        let is_used = |collections: &Collections| *collections != Collections::None;
        if !is_used(&mirror.collections)
            && !mirror.rules.iter().any(|rule| rule.collections.as_ref().is_some_and(is_used))
        {
            return Ok(Resolved::default());
        }
        let (row, rules) = (self.row, mirror.clone());
        let (mut wanted, known) = self
            .index
            .call(move |conn| Ok((wanted(conn, row, |path| collection_of(&rules, path))?, known(conn, row)?)))
            .await?;
        wanted.extend(known.iter().filter(|(_, id)| id.is_none()).map(|(path, _)| path.clone()));
        let all_known = wanted.iter().all(|path| known.get(path).is_some_and(Option::is_some));
        if all_known && !self.distrust {
            return Ok(Resolved { ids: with_ids(&known), ..Resolved::default() });
        }
        let mut resolved = Resolved::default();
        match self.remote.collections().await {
            Ok(listed) => {
                let mut tree = Tree::new(&self.site.id, listed, &known);
                self.make(&mut tree, &wanted, &mut resolved).await?;
                resolved.ids = tree.ids;
            }
            Err(error) => {
                resolved.problem = Some(self.problem(error, &wanted)?);
                resolved.ids = with_ids(&known);
            }
        }
        let mut now: Known = resolved.ids.iter().map(|(path, id)| (path.clone(), Some(id.clone()))).collect();
        for path in wanted {
            now.entry(path).or_default();
        }
        self.index.call(move |conn| remember(conn, row, &now)).await?;
        Ok(resolved)
    }

    /// Makes what is missing, outermost first.
    async fn make(
        &self,
        tree: &mut Tree,
        wanted: &BTreeSet<String>,
        resolved: &mut Resolved,
    ) -> Result<(), ResolveError> {
        let missing: BTreeSet<String> = wanted
            .iter()
            .flat_map(|path| prefixes(path))
            .filter(|path| !tree.ids.contains_key(*path))
            .map(str::to_owned)
            .collect();
        let mut by_depth: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for path in missing {
            by_depth.entry(path.matches('/').count()).or_default().push(path);
        }
        for (_, level) in by_depth {
            // One that an editor has renamed is found when its parent is known.
            let level: Vec<String> = level.into_iter().filter(|path| !tree.finds(path)).collect();
            for some in level.chunks(AT_ONCE) {
                if self.dry_run {
                    for path in some {
                        tree.put(path, UploadId::of_collection(&self.site.id, path, 0));
                        resolved.would_make.push(path.clone());
                    }
                    continue;
                }
                let made = futures_util::future::join_all(some.iter().map(|path| self.make_one(tree, path))).await;
                let mut refused = None;
                for (path, outcome) in some.iter().zip(made) {
                    match outcome {
                        Ok(id) => tree.put(path, id),
                        Err(error) => drop(refused.get_or_insert(error)),
                    }
                }
                if let Some(error) = refused {
                    let missing = wanted.iter().filter(|path| !tree.ids.contains_key(*path)).cloned().collect();
                    resolved.problem = Some(self.problem(error, &missing)?);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn make_one(&self, tree: &Tree, path: &str) -> Result<CollectionId, ApiError> {
        let (parent, label) = path.rsplit_once('/').map_or((None, path), |(parent, label)| (Some(parent), label));
        let parent = parent.and_then(|parent| tree.ids.get(parent)).map(String::as_str);
        for generation in 0..GENERATIONS {
            let id = UploadId::of_collection(&self.site.id, path, generation);
            match self.remote.create_collection(&id, label, parent).await {
                Ok(Some(_)) => return Ok(id),
                Ok(None) if self.shows(&id).await? => return Ok(id),
                Ok(None) => {}
                // The service's word for a taken id is not known.
                Err(error) if error.may_be_of_the_id() => {
                    return if self.is_listed(&id).await? { Ok(id) } else { Err(error) };
                }
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::new(ApiErrorKind::Invalid, format!("the service refuses every id for the collection {path}")))
    }

    /// Whether a collection has the id; else it was spent on one since deleted.
    async fn shows(&self, id: &str) -> Result<bool, ApiError> {
        for wait in SHOWS_AFTER {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if self.is_listed(id).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_listed(&self, id: &str) -> Result<bool, ApiError> {
        Ok(self.remote.collections().await?.iter().any(|collection| collection.id == id))
    }

    /// What to say about collections that cannot be had; what stops everything else too stops here.
    fn problem(&self, error: ApiError, missing: &BTreeSet<String>) -> Result<Problem, ApiError> {
        if error.scope() == Scope::All && !matches!(error.kind, ApiErrorKind::Permission | ApiErrorKind::Plan) {
            return Err(error);
        }
        let some: Vec<&str> = missing.iter().take(5).map(String::as_str).collect();
        let more = missing.len().saturating_sub(some.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let advice = if error.kind == ApiErrorKind::Permission {
            "let the token's role manage upload collections (can_manage_upload_collections), or make these collections \
             by hand; until then the files are mirrored without"
        } else {
            "make these collections by hand, or set collections = \"none\"; until then the files are mirrored without"
        };
        let cause = format!("the collections {}{more} are missing and cannot be made: {error}", some.join(", "));
        Ok(Problem::new(ActionKind::Report, cause, advice))
    }
}

fn with_ids(known: &Known) -> BTreeMap<String, CollectionId> {
    known.iter().filter_map(|(path, id)| Some((path.clone(), id.clone()?))).collect()
}

/// `a`, `a/b`, `a/b/c`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])
}

/// The collections of the project by their labels.
#[derive(Debug)]
struct Tree {
    site: String,
    ids: BTreeMap<String, CollectionId>,
    listed: HashSet<CollectionId>,
    before: BTreeMap<String, CollectionId>,
}

impl Tree {
    fn new(site: &str, listed: Vec<Collection>, known: &Known) -> Self {
        let mut inside: HashMap<Option<CollectionId>, Vec<Collection>> = HashMap::new();
        let ids: HashSet<CollectionId> = listed.iter().map(|collection| collection.id.clone()).collect();
        for collection in listed {
            // One whose parent does not show lies at the top.
            let parent = collection.parent.clone().filter(|parent| ids.contains(parent));
            inside.entry(parent).or_default().push(collection);
        }
        let mut before = with_ids(known);
        before.retain(|_, id| ids.contains(id));
        let mut tree = Self { site: site.to_owned(), ids: BTreeMap::new(), listed: ids, before };
        let mut open = vec![(String::new(), None)];
        while let Some((prefix, parent)) = open.pop() {
            for collection in inside.remove(&parent).unwrap_or_default() {
                // A label with a slash would read as two.
                if collection.label.contains('/') {
                    continue;
                }
                let path = if prefix.is_empty() { collection.label } else { format!("{prefix}/{}", collection.label) };
                // Of two with one name every machine must take the same: the one known before, else a mirror's own,
                // else the first by id.
                let rank = |id: &CollectionId| {
                    let known = tree.before.get(&path) == Some(id);
                    (!known, *id != UploadId::of_collection(&tree.site, &path, 0), id.clone())
                };
                if tree.ids.get(&path).is_none_or(|other| rank(&collection.id) < rank(other)) {
                    tree.ids.insert(path.clone(), collection.id.clone());
                }
                open.push((path, Some(collection.id)));
            }
        }
        tree
    }

    /// Finds a collection that an editor has renamed or moved since.
    fn finds(&mut self, path: &str) -> bool {
        let own = || (0..GENERATIONS).map(|generation| UploadId::of_collection(&self.site, path, generation));
        let id = self.before.get(path).cloned().or_else(|| own().find(|id| self.listed.contains(id)));
        id.is_some_and(|id| {
            self.ids.insert(path.to_owned(), id);
            true
        })
    }

    fn put(&mut self, path: &str, id: CollectionId) {
        self.listed.insert(id.clone());
        self.ids.insert(path.to_owned(), id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(id: &str, label: &str, parent: Option<&str>) -> Collection {
        Collection { id: id.into(), label: label.into(), parent: parent.map(str::to_owned) }
    }

    #[test]
    fn a_path_is_found_along_its_labels_and_case_counts() {
        let listed = vec![
            collection("3", "b", Some("1")),
            collection("1", "a", None),
            collection("2", "A", None),
            collection("4", "b", Some("nowhere")),
            collection("5", "x/y", None),
        ];
        let tree = Tree::new("s", listed, &Known::new());
        let found: Vec<(&str, &str)> = tree.ids.iter().map(|(path, id)| (path.as_str(), id.as_str())).collect();
        assert_eq!(found, [("A", "2"), ("a", "1"), ("a/b", "3"), ("b", "4")]);
    }

    #[test]
    fn of_two_with_one_name_the_known_one_counts_then_a_mirrors_own_then_the_first() {
        let own = UploadId::of_collection("s", "a", 0);
        let listed = || vec![collection("9", "a", None), collection(&own, "a", None), collection("1", "a", None)];
        assert_eq!(Tree::new("s", listed(), &Known::new()).ids["a"], own);
        let known = Known::from([("a".to_owned(), Some("9".to_owned()))]);
        assert_eq!(Tree::new("s", listed(), &known).ids["a"], "9");
        let others = vec![collection("9", "a", None), collection("1", "a", None)];
        assert_eq!(Tree::new("s", others, &Known::new()).ids["a"], "1");
    }

    #[test]
    fn one_that_an_editor_renamed_is_found_by_its_id() {
        let own = UploadId::of_collection("s", "a", 0);
        let mut tree = Tree::new("s", vec![collection(&own, "renamed", None)], &Known::new());
        assert!(tree.finds("a") && !tree.finds("b"));
        assert_eq!(tree.ids["a"], own);
    }

    #[test]
    fn prefixes_lead_from_the_outermost_in() {
        assert_eq!(prefixes("a/b/c").collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
        assert_eq!(prefixes("a").collect::<Vec<_>>(), ["a"]);
    }
}
