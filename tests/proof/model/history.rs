//! What happens to a folder and its media area, at random.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dato_mirror::config::policy::{Choice as _, Duplicates, OnDelete, OnRemoteChange, OnRemoteDelete};
use dato_mirror::error::RunError;
use dato_mirror::pipeline::once::OnceEnd;
use dato_mirror::sandbox::{Answers, Edit, Fault, FaultKind, Settings};

use crate::world::World;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Op {
    Policy(OnDelete, OnRemoteChange, OnRemoteDelete, Duplicates),
    Write(&'static str, &'static str),
    Touch(&'static str),
    Rename(&'static str, &'static str),
    MoveFolder(&'static str, &'static str),
    Copy(&'static str, &'static str),
    Delete(&'static str),
    Swap(&'static str, &'static str),
    Rewrite(&'static str, &'static str),
    Retag(usize),
    Alt(usize),
    Replace(usize),
    EditorDeletes(usize),
    Foreign(&'static str),
    Reference(usize),
    Fault(&'static str, FaultKind, u64),
    Crash(u64),
    LoseIndex,
    Backup,
    OldIndex,
    OtherMachine,
    Clock(i64),
    Run,
}

const PATHS: [&str; 8] = ["a.png", "b.png", "d/a.png", "d/b.png", "d/e/c.png", "f/a.png", "f/c.png", "g/b.png"];
const CONTENTS: [&str; 5] = ["one", "two", "three", "four", "five"];
const FOLDERS: [(&str, &str); 4] = [("d", "h"), ("f", "d/f"), ("h", "d"), ("g", "f")];
const ROUTES: [&str; 8] = [
    "GET /site",
    "GET /uploads",
    "POST /upload-requests",
    "PUT bucket",
    "POST /uploads",
    "PUT /uploads/:id",
    "DELETE /uploads/:id",
    "POST /uploads/bulk/tag",
];

/// A world and all the model has to know of it.
pub struct History {
    pub world: World,
    random: fastrand::Rng,
    told: Arc<Mutex<Vec<Op>>>,
    pub visited: BTreeMap<&'static str, u64>,
    /// Tags and alt texts that editors typed, by asset.
    pub typed: BTreeMap<String, BTreeSet<String>>,
    /// Assets that editors replaced or deleted.
    pub meddled: BTreeSet<String>,
    /// Contents of assets of others.
    pub foreign: BTreeMap<String, String>,
    /// Assets that records use.
    pub referenced: BTreeSet<String>,
    /// Whether an editor's file could be let stand at any time: it stands from then on.
    pub accepted: bool,
    edits: u32,
}

impl History {
    pub async fn new(seed: u64, told: Arc<Mutex<Vec<Op>>>) -> Self {
        let answers = if seed.is_multiple_of(16) { Answers::Usual } else { Answers::Direct };
        let world = World::new(Settings { answers, by_field: seed % 2 == 1, ..Settings::fast() }).await;
        Self {
            world,
            random: fastrand::Rng::with_seed(seed),
            told,
            visited: BTreeMap::new(),
            typed: BTreeMap::new(),
            meddled: BTreeSet::new(),
            foreign: BTreeMap::new(),
            referenced: BTreeSet::new(),
            accepted: false,
            edits: 0,
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
    }

    fn path(&mut self) -> &'static str {
        PATHS[self.random.usize(..PATHS.len())]
    }

    fn content(&mut self) -> &'static str {
        CONTENTS[self.random.usize(..CONTENTS.len())]
    }

    fn policy(&mut self) -> Op {
        let random = &mut self.random;
        Op::Policy(
            OnDelete::ALL[random.usize(..3)],
            OnRemoteChange::ALL[random.usize(..3)],
            OnRemoteDelete::ALL[random.usize(..2)],
            Duplicates::ALL[random.usize(..2)],
        )
    }

    fn choose(&mut self) -> Op {
        let (path, other, content) = (self.path(), self.path(), self.content());
        let nth = self.random.usize(..16);
        match self.random.u32(..60) {
            0..16 => Op::Write(path, content),
            16..18 => Op::Touch(path),
            18..23 => Op::Rename(path, other),
            23..25 => {
                let (from, to) = FOLDERS[nth % FOLDERS.len()];
                Op::MoveFolder(from, to)
            }
            25..28 => Op::Copy(path, other),
            28..31 => Op::Delete(path),
            31..33 => Op::Swap(path, other),
            33..35 => Op::Rewrite(path, content),
            35..37 => Op::Retag(nth),
            37..39 => Op::Alt(nth),
            39..41 => Op::Replace(nth),
            41..43 => Op::EditorDeletes(nth),
            43..45 => Op::Foreign(content),
            45 => Op::Reference(nth),
            46..50 => Op::Fault(ROUTES[self.random.usize(..ROUTES.len())], self.fault(), self.random.u64(..3)),
            50..53 => Op::Crash(self.random.u64(..40)),
            53 => Op::LoseIndex,
            54 => Op::Backup,
            55 => Op::OldIndex,
            56 => Op::OtherMachine,
            57 => Op::Clock(self.random.i64(-120_000..120_000)),
            58 => self.policy(),
            _ => Op::Run,
        }
    }

    fn fault(&mut self) -> FaultKind {
        match self.random.u32(..9) {
            0 => FaultKind::Drop,
            1 | 2 => FaultKind::LoseReply,
            3 => FaultKind::CutBody,
            4 => FaultKind::Html { status: 502 },
            5 => FaultKind::Garbage,
            6 => FaultKind::HtmlReply { status: 504 },
            7 => FaultKind::Status {
                status: 503,
                code: "SERVICE_UNAVAILABLE".into(),
                transient: true,
                details: serde_json::Value::Null,
            },
            _ => FaultKind::AsJob,
        }
    }

    fn visit(&mut self, what: &'static str) {
        *self.visited.entry(what).or_default() += 1;
    }

    fn nth_asset(&self, nth: usize) -> Option<String> {
        let mut all = self.world.assets();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        (!all.is_empty()).then(|| all[nth % all.len()].id.clone())
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        Some(self.world.path(key)).filter(|path| path.is_file())
    }

    pub async fn apply(&mut self, op: Op) {
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
            Op::Retag(nth) | Op::Alt(nth) | Op::Replace(nth) | Op::EditorDeletes(nth) | Op::Reference(nth) => {
                if let Some(id) = self.nth_asset(nth) {
                    self.editor(&op, &id);
                }
            }
            Op::Foreign(content) => {
                let id = self.world.sandbox.create_foreign(None, "theirs.png", content.as_bytes()).unwrap();
                self.foreign.insert(id, content.to_owned());
                self.visit("foreign upload");
            }
            Op::Fault(route, kind, skip) => {
                self.world.sandbox.add_fault(Fault { route: route.into(), skip, times: Some(1), kind });
                let _ = self.run().await;
                self.world.sandbox.clear_faults();
                self.visit("fault");
            }
            Op::Crash(ms) => {
                // Dropping the run is a crash but for the index's thread, which ends what it has begun.
                let _ = tokio::time::timeout(Duration::from_millis(ms), self.run()).await;
                tokio::time::sleep(Duration::from_millis(3)).await;
                self.visit("crash");
            }
            Op::LoseIndex => {
                let state = self.world.config.state_path.parent().unwrap().to_owned();
                let _ = fs::remove_dir_all(state);
                self.visit("lost index");
            }
            Op::Backup => self.copy_index("state", "backup"),
            Op::OldIndex => {
                if self.world.path("../backup").exists() {
                    self.copy_index("backup", "state");
                    self.visit("old index");
                }
            }
            Op::OtherMachine => {
                let ours = self.world.config.state_path.clone();
                self.world.config.state_path = self.world.path("../other/index.sqlite");
                let _ = self.run().await;
                self.world.config.state_path = ours;
                self.visit("other machine");
            }
            Op::Clock(ms) => {
                self.world.sandbox.set(|settings| settings.clock_offset_ms += ms);
                self.visit("clock");
            }
            Op::Run => self.quiet_point().await,
        }
    }

    fn editor(&mut self, op: &Op, id: &str) {
        self.edits += 1;
        let sandbox = self.world.sandbox.clone();
        let asset = sandbox.assets(None).into_iter().find(|one| one.id == id).unwrap();
        match op {
            Op::Retag(_) => {
                let tag = format!("typed {}", self.edits);
                let mut tags: Vec<&str> = asset.tags.iter().map(String::as_str).collect();
                tags.push(&tag);
                sandbox.edit_tags(None, id, &tags).unwrap();
                self.typed.entry(id.to_owned()).or_default().insert(tag);
                self.visit("retag");
            }
            Op::Alt(_) => {
                let notes = Some(format!("typed {}", self.edits));
                sandbox.edit_metadata(None, id, Edit { notes, ..Edit::default() }).unwrap();
                self.visit("alt");
            }
            Op::Replace(_) => {
                let content = format!("editor's {}", self.edits);
                sandbox.replace_content(None, id, content.as_bytes()).unwrap();
                self.meddled.insert(id.to_owned());
                if let Some(theirs) = self.foreign.get_mut(id) {
                    *theirs = content;
                }
                self.visit("replace");
            }
            Op::EditorDeletes(_) => {
                sandbox.delete_asset(None, id).unwrap();
                self.meddled.insert(id.to_owned());
                self.foreign.remove(id);
                self.typed.remove(id);
                // Its records use nothing any more, also when it is made again under its id.
                self.referenced.remove(id);
                self.visit("editor deletes");
            }
            _ => {
                sandbox.add_reference(None, &format!("record{}", self.edits), &[id]).unwrap();
                self.referenced.insert(id.to_owned());
                self.visit("reference");
            }
        }
    }

    fn copy_index(&self, from: &str, to: &str) {
        let (from, to) = (self.world.path("..").join(from), self.world.path("..").join(to));
        let _ = fs::remove_dir_all(&to);
        if from.is_dir() {
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(&from).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }

    pub async fn run(&self) -> Result<OnceEnd, RunError> {
        self.world.run().await
    }
}
