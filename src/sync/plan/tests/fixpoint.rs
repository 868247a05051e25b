//! Plan, carry out, plan again gives nothing to do: random folders, editors and policies over a real index, with the
//! dry run's executor in the remote's place.

use crate::sync::timeouts::SyncTimeouts;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Mirror;
use crate::config::policy::MaxDelete;
use crate::config::template::Template;
use crate::disk::Fingerprint;
use crate::index::{FoundFile, Index, assets, files, settings};
use crate::model::{ActionKind, MetadataShape, Site};
use crate::remote::{Options, Remote};
use crate::report::MirrorReport;
use crate::sync::desired_state::Desires;
use crate::sync::pass::{self, PassContext, PriorityPaths};
use crate::sync::scope::Scope;

/// Never called: a dry pass asks nothing.
static REMOTE: LazyLock<Remote> =
    LazyLock::new(|| Remote::stamped(Options::new("http://127.0.0.1:1", "sandbox".to_owned().into())).unwrap());

const PATHS: [&str; 6] = ["a.png", "b.png", "d/a.png", "d/c.png", "e/c.jpg", "e/f/a.png"];
const CONTENTS: [&str; 4] = ["1", "2", "3", "4"];

/// What happens between two passes.
#[derive(Debug, Clone)]
enum Op {
    Write(usize, usize),
    Remove(usize),
    Rename(usize, usize),
    Pass,
    EditorReplaces(usize, usize),
    EditorDeletes(usize),
    EditorTags(usize),
    EditorUntags(usize),
    Foreign(usize),
    LoseIndex,
}

/// Prints on one line, so that a failing case can be copied into a test.
struct Ops(Vec<Op>);

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn op() -> impl Strategy<Value = Op> {
    let (path, content, nth) = (0..PATHS.len(), 0..CONTENTS.len(), 0..8_usize);
    prop_oneof![
        8 => (path.clone(), content.clone()).prop_map(|(p, c)| Op::Write(p, c)),
        3 => path.clone().prop_map(Op::Remove),
        3 => (path.clone(), path).prop_map(|(a, b)| Op::Rename(a, b)),
        6 => Just(Op::Pass),
        2 => (nth.clone(), content.clone()).prop_map(|(n, c)| Op::EditorReplaces(n, c)),
        1 => nth.clone().prop_map(Op::EditorDeletes),
        1 => nth.clone().prop_map(Op::EditorTags),
        1 => nth.prop_map(Op::EditorUntags),
        1 => content.prop_map(Op::Foreign),
        1 => Just(Op::LoseIndex),
    ]
}

struct World {
    policy: Policy,
    scope: Arc<Scope>,
    index: Index,
    /// The folder.
    tree: BTreeMap<usize, usize>,
    foreign: u32,
}

fn scope(policy: &Policy, mirror: i64) -> Scope {
    let mut config = Mirror::new("brand", "/nowhere");
    config.layer.tags = vec![Template::parse("brand").unwrap(), Template::parse("{dir}").unwrap()];
    config.on_remote_delete = policy.on_remote_delete;
    let site = Site {
        id: "1".into(),
        name: String::new(),
        locales: vec!["en".into()],
        shape: MetadataShape::ByLocale,
        custom_storage: policy.custom_storage,
        domain: None,
    };
    let (desires, _) = Desires::new(Arc::new(config), mirror, &site, &[]);
    Scope {
        mirror,
        name: "brand".into(),
        site,
        hide_paths: false,
        share: policy.duplicates == Duplicates::Share,
        desires,
        sidecar_changes: 0,
        sight: None,
        authoritative: false,
    }
}

fn new_index() -> (Index, i64) {
    let index = Index::snapshot(Path::new("/nonexistent/index.sqlite")).unwrap();
    let mirror = index.call_blocking(|conn| settings::mirror(conn, "brand")).unwrap().id;
    (index, mirror)
}

impl World {
    fn new(policy: Policy) -> Self {
        let (index, mirror) = new_index();
        let scope = Arc::new(scope(&policy, mirror));
        Self { policy, scope, index, tree: BTreeMap::new(), foreign: 0 }
    }

    fn call<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static) -> T {
        self.index.call_blocking(work).unwrap()
    }

    fn assets(&self) -> Vec<Asset> {
        self.call(|conn| {
            let mut all = Vec::new();
            for id in conn
                .prepare("SELECT id FROM asset ORDER BY id")?
                .query_map([], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<_>>>()?
            {
                all.extend(assets::by_id(conn, &UploadId::new(id))?);
            }
            Ok(all)
        })
    }

    fn edit_asset(&self, nth: usize, change: impl FnOnce(&mut Asset)) {
        let mut all = self.assets();
        if all.is_empty() {
            return;
        }
        let at = nth % all.len();
        let mut one = all.swap_remove(at);
        change(&mut one);
        self.call(move |conn| assets::upsert(conn, &one, None));
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Write(path, content) => drop(self.tree.insert(path, content)),
            Op::Remove(path) => drop(self.tree.remove(&path)),
            Op::Rename(from, to) => {
                if let Some(content) = self.tree.remove(&from) {
                    self.tree.insert(to, content);
                }
            }
            Op::Pass => self.settle(),
            Op::EditorReplaces(nth, content) => {
                self.edit_asset(nth, |asset| asset.md5 = Some(md5(CONTENTS[content])));
            }
            Op::EditorDeletes(nth) => {
                let all = self.assets();
                if let Some(asset) = (!all.is_empty()).then(|| all[nth % all.len()].id.clone()) {
                    self.call(move |conn| assets::remove(conn, &asset));
                }
            }
            Op::EditorTags(nth) => self.edit_asset(nth, |asset| asset.tags.push("typed".into())),
            Op::EditorUntags(nth) => self.edit_asset(nth, |asset| drop(asset.tags.pop())),
            Op::Foreign(content) => {
                self.foreign += 1;
                let asset = asset(&format!("foreign{}", self.foreign), CONTENTS[content], None);
                self.call(move |conn| assets::upsert(conn, &asset, None));
            }
            Op::LoseIndex => {
                let all = self.assets();
                let (index, mirror) = new_index();
                self.index = index;
                self.scope = Arc::new(scope(&self.policy, mirror));
                self.call(move |conn| all.iter().try_for_each(|asset| assets::upsert(conn, asset, None).map(drop)));
            }
        }
    }

    fn scan(&self) {
        let mirror = self.scope.mirror;
        let found: Vec<FoundFile> = self
            .tree
            .iter()
            .map(|(path, content)| FoundFile {
                path: super::path(PATHS[*path]),
                print: Fingerprint { size: 1, mtime_ns: 0, ctime_ns: 0, inode: 0, dev: 0 },
                read_at_ns: 0,
                md5: md5(CONTENTS[*content]),
                embedded: None,
            })
            .collect();
        self.call(move |conn| {
            let there: HashSet<String> = found.iter().map(|file| file.path.key().to_owned()).collect();
            let gone: Vec<i64> = files::below(conn, mirror, "")?
                .into_iter()
                .filter(|row| !there.contains(row.path.key()))
                .map(|row| row.id)
                .collect();
            files::found(conn, mirror, &found)?;
            files::vanished(conn, &gone)
        });
    }

    /// A dry pass: what it would do, in words.
    fn pass(&self) -> Vec<String> {
        let context = PassContext {
            rounds: SyncTimeouts::default().rounds,
            progress: Arc::default(),
            verifier: None,
            scope: self.scope.clone(),
            policy: Arc::new(self.policy.clone()),
            executor: None,
            index: self.index.clone(),
            remote: REMOTE.clone(),
            max_delete: MaxDelete::Files(1000),
            force: false,
            only: None,
            stop: CancellationToken::new(),
            impatient: true,
            urgent: PriorityPaths::default(),
            live: None,
        };
        let mut report = MirrorReport { plan: Some(Vec::new()), ..MirrorReport::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(pass::run(&context, &mut report)).unwrap();
        let done = report.plan.unwrap_or_default().into_iter().filter(|one| one.action != ActionKind::Report);
        done.map(|one| format!("{} {}: {}", one.action, one.path, one.why)).collect()
    }

    /// One pass does all there is to do, and leaves the media area as promised.
    fn settle(&self) {
        self.scan();
        let before = self.assets();
        let first = self.pass();
        self.call(|conn| conn.execute("UPDATE file SET news = news + 1", []).map(drop));
        assert_eq!(self.pass(), Vec::<String>::new(), "a second pass has nothing to do after {first:#?}");
        self.check(&before);
    }

    fn check(&self, before: &[Asset]) {
        let mirror = self.scope.mirror;
        let rows = self.call(move |conn| files::below(conn, mirror, ""));
        let problems: HashSet<String> =
            self.call(move |conn| files::problems(conn, mirror)).into_iter().map(|one| one.path).collect();
        let after: BTreeMap<UploadId, Asset> = self.assets().into_iter().map(|one| (one.id.clone(), one)).collect();
        let mut holders: BTreeMap<&UploadId, &str> = BTreeMap::new();
        for row in &rows {
            if problems.contains(row.path.key()) {
                continue;
            }
            let id = row.asset.as_ref().unwrap_or_else(|| panic!("{} has no asset", row.path));
            let asset = after.get(id).unwrap_or_else(|| panic!("the asset of {} is gone", row.path));
            let accepts = self.policy.on_remote_change == OnRemoteChange::Accept;
            assert!(asset.md5 == row.md5 || accepts, "{} has an asset with other content", row.path);
            let first = holders.insert(id, row.path.key());
            assert!(first.is_none() || self.scope.share, "{first:?} and {} share an asset", row.path);
            assert!(asset.stamp.0["brand"].paths.contains(row.path.key()), "{} is not on the stamp", row.path);
        }
        for old in before {
            let Some(new) = after.get(&old.id) else {
                assert_eq!(self.policy.on_delete, OnDelete::Delete, "{} was deleted", old.id);
                assert!(!old.id.as_str().starts_with("foreign"), "{} was not ours to delete", old.id);
                continue;
            };
            assert_eq!((&old.path, &old.url, &old.filename), (&new.path, &new.url, &new.filename));
            let lost: Vec<_> = old.tags.iter().filter(|tag| !new.tags.contains(tag)).collect();
            assert!(!lost.iter().any(|tag| ["typed", "editor"].contains(&tag.as_str())), "{lost:?} of {}", old.id);
        }
    }
}

fn some_policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(policies())
}

proptest! {
    // More with PROPTEST_CASES=20000.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plan_carry_out_plan_again_gives_nothing_to_do(
        policy in some_policy(),
        ops in prop::collection::vec(op(), 1..24).prop_map(Ops),
    ) {
        let mut world = World::new(policy);
        for op in &ops.0 {
            world.apply(op);
        }
        world.settle();
    }
}

/// What the property found, shrunk.
#[test]
fn what_was_found_stays_found() {
    use Op::{EditorDeletes, EditorReplaces, Pass, Remove, Rename, Write};
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = default_policy();
        change(&mut policy);
        policy
    };
    let recreate = with(&|policy| policy.on_remote_delete = OnRemoteDelete::Recreate);
    let overwrite = with(&|policy| policy.on_remote_change = OnRemoteChange::Overwrite);
    let accept = with(&|policy| policy.on_remote_change = OnRemoteChange::Accept);
    let cases = [
        (
            "who keeps a shared asset loses the tags of who left it, in the same pass",
            default_policy(),
            vec![Write(0, 2), Write(4, 2), Pass, Write(4, 0)],
        ),
        (
            "a file that is made again is waited for by those with its content",
            recreate.clone(),
            vec![Write(3, 0), Pass, Write(4, 2), EditorDeletes(0), Write(3, 2)],
        ),
        (
            "a path that comes back while another has its asset gets an id of its own",
            overwrite.clone(),
            vec![Write(1, 3), Write(2, 3), Pass, Remove(1), Pass, Write(1, 0)],
        ),
        (
            "an accepted file is not overwritten by a path that shared it",
            accept.clone(),
            vec![Write(0, 2), Write(5, 2), Pass, Write(5, 1), EditorReplaces(0, 0)],
        ),
        (
            "two paths never overwrite a shared asset by turns",
            overwrite.clone(),
            vec![Write(1, 3), Write(2, 3), Pass, Write(1, 0), EditorReplaces(0, 1)],
        ),
        (
            "an editor's file that another path has as well is not overwritten by turns",
            with(&|policy| {
                policy.on_rename = OnRename::Rename;
                policy.on_delete = OnDelete::Delete;
                policy.on_remote_change = OnRemoteChange::Overwrite;
                policy.on_remote_delete = OnRemoteDelete::Recreate;
            }),
            vec![Write(1, 2), Write(5, 2), Rename(5, 0), Pass, EditorReplaces(0, 0), Write(0, 0), Write(2, 0)],
        ),
        (
            "a path for which an asset is being made does not move to another one meanwhile",
            with(&|policy| {
                policy.on_change = OnChange::NewUrl;
                policy.on_remote_change = OnRemoteChange::Overwrite;
            }),
            vec![Write(4, 3), Write(1, 3), Pass, Rename(4, 0), EditorReplaces(0, 0), Write(2, 3), Pass],
        ),
        (
            "a path to which others give more and more to do is done with in one pass",
            with(&|policy| {
                policy.on_change = OnChange::NewUrl;
                policy.on_delete = OnDelete::Delete;
                policy.on_remote_change = OnRemoteChange::Accept;
            }),
            vec![Write(5, 0), Write(2, 0), Write(0, 0), Pass, Write(5, 1), EditorReplaces(0, 2), Rename(2, 0)],
        ),
        (
            "a path does not wait for one about which only a person can decide",
            with(&|policy| {
                policy.on_change = OnChange::NewUrl;
                policy.on_rename = OnRename::Rename;
            }),
            vec![Write(0, 0), Write(5, 0), Pass, Write(1, 0), EditorReplaces(0, 3), Write(5, 3)],
        ),
        (
            "no asset is made for a path that keeps its own, with an editor's file in it",
            with(&|policy| {
                policy.on_change = OnChange::NewUrl;
                policy.on_remote_change = OnRemoteChange::Accept;
                policy.on_remote_delete = OnRemoteDelete::Recreate;
            }),
            vec![
                Write(3, 0),
                Rename(0, 0),
                Rename(3, 4),
                Write(5, 0),
                Pass,
                EditorReplaces(0, 1),
                Write(4, 1),
                Write(0, 0),
            ],
        ),
        (
            "no asset is made for a path that does not wait for it",
            with(&|policy| {
                policy.on_change = OnChange::NewUrl;
                policy.on_delete = OnDelete::Tag;
                policy.on_remote_delete = OnRemoteDelete::Recreate;
            }),
            vec![Write(0, 3), Pass, EditorReplaces(0, 0), Pass, Write(2, 3), EditorDeletes(0)],
        ),
        (
            "a path shares the asset that was made with it in mind",
            accept,
            vec![Write(2, 0), Pass, Write(4, 2), Write(2, 2), Write(3, 2)],
        ),
        (
            "one sharer moves and the other changes: nothing is reported by a stale look",
            default_policy(),
            vec![Write(4, 0), Write(3, 0), Pass, Rename(3, 0), Write(4, 1)],
        ),
        (
            "an id that moved on to another path is not used again for the first",
            with(&|policy| {
                policy.on_remote_delete = OnRemoteDelete::Recreate;
                policy.duplicates = Duplicates::Separate;
            }),
            vec![Write(1, 0), Pass, Write(2, 0), Remove(1), Pass, Write(1, 0), EditorDeletes(0), Pass],
        ),
        (
            "what cannot be replaced may yet find another place in the same pass",
            with(&|policy| policy.custom_storage = true),
            vec![Write(1, 0), Write(0, 1), Write(2, 0), Pass, Rename(0, 2), Remove(1), Write(3, 0)],
        ),
        (
            "who is overwritten forgets who left in the same pass",
            overwrite,
            vec![Write(3, 1), Write(5, 1), Pass, Write(3, 0), EditorReplaces(0, 2), Pass],
        ),
        (
            "nobody follows a path that changes",
            recreate,
            vec![Write(1, 1), Write(2, 1), Pass, Write(3, 3), Write(1, 3)],
        ),
    ];
    for (why, policy, ops) in cases {
        eprintln!("{why}");
        let mut world = World::new(policy);
        for op in &ops {
            world.apply(op);
        }
        world.settle();
    }
}
