//! What happens to a folder and its media area, at random.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dato_mirror::config::policy::{MaxDelete, OnRemoteChange};
use dato_mirror::error::{Exit, RunError};
use dato_mirror::sandbox::{Answers, AssetView, Fault, Settings};
use dato_mirror::sync::once::{OnceEnd, OnceOptions};

use super::editor::{Act, Left};
use super::machine::{Who, sync_partly};
use super::op::Op;
use crate::world::{World, run_with, stamped};

/// How many copies are a hundred and some.
const COPIES: usize = 110;

/// A world and all the model has to know of it.
pub struct History {
    pub world: World,
    pub(super) random: fastrand::Rng,
    told: Arc<Mutex<Vec<Op>>>,
    pub visited: BTreeMap<&'static str, u64>,
    /// What editors and strangers left.
    left: Arc<Mutex<Left>>,
    /// The files that each index has seen.
    pub seen: BTreeMap<Who, BTreeSet<String>>,
    /// What our index had seen when it was backed up.
    saved: BTreeSet<String>,
    /// Whether an editor's file could be let stand at any time: it stands from then on.
    pub accepted: bool,
}

impl History {
    pub async fn new(seed: u64, told: Arc<Mutex<Vec<Op>>>) -> Self {
        let answers = if seed.is_multiple_of(16) { Answers::Usual } else { Answers::Direct };
        // Both metadata shapes, with and without jobs.
        let by_field = (seed + seed / 16) % 2 == 1;
        let mut world = World::new(Settings { answers, by_field, ..Settings::fast() }).await;
        // The guard against mass deletions is another test's: a folder of five files would always meet it.
        world.mirror().max_delete = MaxDelete::Percent(100.0);
        Self {
            world,
            random: fastrand::Rng::with_seed(seed),
            told,
            visited: BTreeMap::new(),
            left: Arc::default(),
            seen: BTreeMap::new(),
            saved: BTreeSet::new(),
            accepted: false,
        }
    }

    /// A short life: operations and runs, with a look at every quiet point.
    pub async fn live(&mut self) {
        let first = self.policy();
        self.apply(first).await;
        let rounds = self.random.usize(2..5);
        for _ in 0..rounds {
            for _ in 0..self.random.usize(1..7) {
                let op = self.choose();
                self.apply(op).await;
            }
            self.apply(Op::Run).await;
        }
        let done = std::mem::take(&mut self.left().done);
        for (what, times) in done {
            *self.visited.entry(what).or_default() += times;
        }
    }

    /// The editors' book.
    pub fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap()
    }

    fn visit(&mut self, what: &'static str) {
        *self.visited.entry(what).or_default() += 1;
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        Some(self.world.path(key)).filter(|path| path.is_file())
    }

    pub async fn apply(&mut self, op: Op) {
        let name = format!("{op:?}");
        if std::env::var("WITHOUT").is_ok_and(|without| without.split(',').any(|one| name.contains(one))) {
            return;
        }
        self.told.lock().unwrap().push(op.clone());
        match op {
            Op::Policy(on_delete, on_remote_change, on_remote_delete, duplicates) => {
                let mirror = self.world.mirror();
                (mirror.on_delete, mirror.on_remote_change) = (on_delete, on_remote_change);
                (mirror.on_remote_delete, mirror.duplicates) = (on_remote_delete, duplicates);
                self.accepted |= on_remote_change == OnRemoteChange::Accept;
                self.visit("policy");
            }
            Op::Write(path, content) => {
                self.visit(if self.file(path).is_some() { "edit" } else { "write" });
                self.world.write(path, content);
            }
            Op::Touch(path) => {
                if let Some(file) = self.file(path) {
                    let content = fs::read(&file).unwrap();
                    fs::write(&file, content).unwrap();
                    self.visit("touch");
                }
            }
            Op::Rename(from, to) => {
                if self.file(from).is_some() && from != to {
                    self.world.rename(from, to);
                    self.visit("rename");
                }
            }
            Op::MoveFolder(from, to) => {
                let (from, to) = (self.world.path(from), self.world.path(to));
                if from.is_dir() && !to.exists() {
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::rename(from, to).unwrap();
                    self.visit("move folder");
                }
            }
            Op::Copy(from, to) => {
                if let Some(file) = self.file(from) {
                    let content = fs::read_to_string(file).unwrap();
                    self.world.write(to, &content);
                    self.visit("copy");
                }
            }
            Op::Delete(path) => {
                if self.file(path).is_some() {
                    self.world.remove(path);
                    self.visit("delete");
                }
            }
            Op::Swap(a, b) => {
                if let (Some(one), Some(two)) = (self.file(a), self.file(b))
                    && a != b
                {
                    let aside = self.world.path("aside.tmp~");
                    fs::rename(&one, &aside).unwrap();
                    fs::rename(&two, &one).unwrap();
                    fs::rename(&aside, &two).unwrap();
                    self.visit("swap");
                }
            }
            Op::Rewrite(path, content) => {
                if let Some(file) = self.file(path) {
                    fs::write(&file, "").unwrap();
                    fs::write(&file, content).unwrap();
                    self.visit("rewrite");
                }
            }
            Op::Editor(act) => {
                let sandbox = self.world.sandbox.clone();
                self.left().act(&sandbox, act);
            }
            Op::SavedAndEdited(path, content, route, act) => {
                self.world.write(path, content);
                self.left().aim = Some(path.to_owned());
                self.editor_acts_during(route, 0, act).await;
                self.left().aim = None;
            }
            Op::EditorDuring(route, skip, act) => self.editor_acts_during(route, skip, act).await,
            Op::FolderDuring(route, skip, save) => {
                let (root, acted) = (self.world.path(""), Arc::new(Mutex::new(false)));
                let done = acted.clone();
                self.world.sandbox.before(route, skip, move |_| {
                    save.apply(&root);
                    *done.lock().unwrap() = true;
                });
                self.run_between(Who::Ours).await;
                self.visit_if(*acted.lock().unwrap(), "folder during a run");
            }
            Op::Fault(route, kind, skip) => {
                self.world.sandbox.add_fault(Fault { route: route.into(), skip, times: Some(1), kind });
                self.run_between(Who::Ours).await;
                self.visit("fault");
            }
            Op::Crash(ms) => {
                self.sees(Who::Ours);
                // Dropping the run is a crash but for the index's thread, which ends what it has begun.
                let _ = tokio::time::timeout(Duration::from_millis(ms), self.world.run()).await;
                tokio::time::sleep(Duration::from_millis(3)).await;
                self.visit("crash");
            }
            Op::LoseIndex => {
                let _ = fs::remove_dir_all(Who::Ours.state(&self.world));
                self.seen.remove(&Who::Ours);
                self.visit("lost index");
            }
            Op::Backup => {
                self.copy_index("state", "backup");
                self.saved = self.seen.get(&Who::Ours).cloned().unwrap_or_default();
            }
            Op::OldIndex => {
                if self.world.path("../backup").exists() {
                    self.copy_index("backup", "state");
                    self.seen.insert(Who::Ours, self.saved.clone());
                    self.visit("old index");
                }
            }
            Op::OtherMachine => {
                self.run_between(Who::Twin).await;
                self.visit("other machine");
            }
            Op::Lagging(bits) => {
                sync_partly(&self.world, bits);
                self.run_between(Who::Lagging).await;
                self.visit("lagging machine");
            }
            Op::Web(path, content) => {
                let file = Who::Web.root(&self.world).join(path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                let _ = content.map_or_else(|| fs::remove_file(&file), |content| fs::write(&file, content));
                self.run_between(Who::Web).await;
                self.visit("other mirror");
            }
            Op::Stranger => self.stranger().await,
            Op::Exclude(excludes) => {
                self.world.mirror().exclude = excludes.then(|| "f/**".to_owned()).into_iter().collect();
                self.visit("exclude");
            }
            Op::Copies(content) => {
                for number in 0..COPIES {
                    self.world.write(&format!("many/{number:03}.png"), content);
                }
                self.visit("copies");
            }
            Op::Clock(ms) => {
                self.world.sandbox.set(|settings| settings.clock_offset_ms += ms);
                self.visit("clock");
            }
            Op::Run => self.quiet_point().await,
        }
    }

    async fn editor_acts_during(&mut self, route: &str, skip: u64, act: Act) {
        let (left, acted) = (self.left.clone(), Arc::new(Mutex::new(false)));
        let done = acted.clone();
        self.world.sandbox.before(route, skip, move |area| {
            left.lock().unwrap().act(area, act);
            *done.lock().unwrap() = true;
        });
        self.run_between(Who::Ours).await;
        self.visit_if(*acted.lock().unwrap(), "editor during a run");
    }

    fn visit_if(&mut self, happened: bool, what: &'static str) {
        if happened {
            self.visit(what);
        }
    }

    /// A run that may meet anything; what it leaves undone, the next quiet point sees done.
    async fn run_between(&mut self, who: Who) {
        let _ = self.run(who, OnceOptions::default()).await;
        self.world.sandbox.clear_faults();
    }

    /// Somebody's folder has nothing that the mirror of this name has: nothing of ours may change.
    async fn stranger(&mut self) {
        // What an editor or a forger gave a stamp tells of no folder.
        let made = |asset: &AssetView| {
            let left = self.left();
            !left.foreign.contains_key(&asset.id)
                && !left.meddled.contains(&asset.id)
                && !stamped(asset, "brand").is_empty()
        };
        if !self.world.assets().iter().any(made) {
            return;
        }
        let root = Who::Stranger.root(&self.world);
        fs::create_dir_all(&root).unwrap();
        for number in 0..3 {
            fs::write(root.join(format!("s{number}.png")), format!("a stranger's {number}")).unwrap();
        }
        let _ = fs::remove_dir_all(Who::Stranger.state(&self.world));
        self.world.sandbox.clear_log();
        let end = self.run(Who::Stranger, OnceOptions::default()).await;
        let stopped = matches!(&end, Err(error) if error.exit() == Exit::Guard)
            || matches!(&end, Ok(end) if end.exit == Exit::Guard);
        let changes = self.world.changes();
        assert!(stopped && changes.is_empty(), "another folder under the same name: {changes:#?}");
        self.visit("stranger");
    }

    fn copy_index(&self, from: &str, to: &str) {
        let (from, to) = (self.world.path("..").join(from), self.world.path("..").join(to));
        let _ = fs::remove_dir_all(&to);
        if from.is_dir() {
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(&from).unwrap() {
                let entry = entry.unwrap();
                match fs::copy(entry.path(), to.join(entry.file_name())) {
                    // A run that has just crashed in this process still puts its files away.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    copied => assert!(copied.is_ok(), "{copied:?}"),
                }
            }
        }
    }

    /// What is on a machine's disk, its index sees in a run.
    fn sees(&mut self, who: Who) {
        let disk = who.disk(&self.world);
        self.seen.entry(who).or_default().extend(disk);
    }

    /// One run, after which nobody has lost anything.
    pub async fn run(&mut self, who: Who, flags: OnceOptions) -> Result<OnceEnd, RunError> {
        self.sees(who);
        self.left().acts.clear();
        let before = self.by_id();
        let end = run_with(&who.config(&self.world), flags).await;
        self.sees(who);
        let after = self.by_id();
        if who == Who::Lagging {
            let changed = |(id, asset): &(&String, &AssetView)| after.get(*id).is_some_and(|now| now.md5 != asset.md5);
            let ids: Vec<String> = before.iter().filter(changed).map(|(id, _)| id.clone()).collect();
            self.left().meddled.extend(ids);
        }
        self.nothing_is_lost(who, &before, &after);
        end
    }

    /// Every asset.
    pub fn by_id(&self) -> BTreeMap<String, AssetView> {
        self.world.assets().into_iter().map(|one| (one.id.clone(), one)).collect()
    }
}
