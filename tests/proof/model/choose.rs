//! What happens next, by chance.
//!
//! Owns: how likely each operation is, and the few paths, contents and routes it is made of: few, so that they meet.
//! Never does: any of it (that is `history`).

use dato_mirror::config::policy::{Choice as _, Duplicates, OnDelete, OnRemoteChange, OnRemoteDelete};
use dato_mirror::sandbox::FaultKind;

use super::editor::{Act, FORGED};
use super::history::History;
use super::op::{Op, Save};

const PATHS: [&str; 8] = ["a.png", "b.png", "d/a.png", "d/b.png", "d/e/c.png", "f/a.png", "f/c.png", "g/b.png"];
const CONTENTS: [&str; 5] = ["one", "two", "three", "four", "five"];
const FOLDERS: [(&str, &str); 4] = [("d", "h"), ("f", "d/f"), ("h", "d"), ("g", "f")];
const ROUTES: [&str; 9] = [
    "GET /site",
    "GET /uploads",
    "POST /upload-requests",
    "PUT bucket",
    "POST /uploads",
    "PUT /uploads/:id",
    "DELETE /uploads/:id",
    "POST /uploads/bulk/tag",
    "POST /uploads/bulk/destroy",
];
/// Where something may happen in the midst of a run: what is done before the mirror's last look, it must see.
const MOMENTS: [&str; 9] = [
    "GET /site",
    "GET /uploads",
    "POST /upload-requests",
    "POST /upload-requests",
    "PUT bucket",
    "PUT bucket",
    "POST /uploads",
    "GET /uploads/:id/references",
    "GET /job-results/:id",
];
/// Where the look is over and the write on its way.
const IN_FLIGHT: [&str; 4] =
    ["PUT /uploads/:id", "DELETE /uploads/:id", "POST /uploads/bulk/tag", "POST /uploads/bulk/destroy"];

impl History {
    fn path(&mut self) -> &'static str {
        PATHS[self.random.usize(..PATHS.len())]
    }

    fn content(&mut self) -> &'static str {
        CONTENTS[self.random.usize(..CONTENTS.len())]
    }

    pub(super) fn policy(&mut self) -> Op {
        let random = &mut self.random;
        Op::Policy(
            OnDelete::ALL[random.usize(..3)],
            OnRemoteChange::ALL[random.usize(..3)],
            OnRemoteDelete::ALL[random.usize(..2)],
            Duplicates::ALL[random.usize(..2)],
        )
    }

    pub(super) fn choose(&mut self) -> Op {
        let (path, other, content) = (self.path(), self.path(), self.content());
        let nth = self.random.usize(..16);
        match self.random.u32(..90) {
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
            35..46 => Op::Editor(self.act(content)),
            46..50 => Op::Fault(ROUTES[self.random.usize(..ROUTES.len())], self.fault(), self.random.u64(..3)),
            50..53 => Op::Crash(self.random.u64(..40)),
            53 => Op::LoseIndex,
            54 => Op::Backup,
            55 => Op::OldIndex,
            56 => Op::OtherMachine,
            57 => Op::Clock(self.random.i64(-120_000..120_000)),
            58 => self.policy(),
            59 => Op::Exclude(nth.is_multiple_of(2)),
            60..71 => self.editor_during(content),
            71..78 => self.folder_during(path, other, content),
            78..81 => Op::Lagging(self.random.u64(..)),
            81..84 => Op::Web(path, (nth < 12).then_some(content)),
            84 => Op::Stranger,
            85 if self.random.u32(..4) == 0 => Op::Copies(content),
            _ => Op::Run,
        }
    }

    fn act(&mut self, content: &'static str) -> Act {
        let nth = self.random.usize(..16);
        match self.random.u32(..24) {
            0..4 => Act::Retag(nth),
            4..7 => Act::Alt(nth),
            7..9 => Act::Notes(nth),
            9 => Act::Custom(nth),
            10 => Act::Unstamp(nth),
            11..15 => Act::Replace(nth),
            15..18 => Act::Delete(nth),
            18 => Act::Reference(nth),
            19..22 => Act::Foreign(content),
            22 => Act::CopyStamp(nth),
            _ => Act::Forge(FORGED[nth % FORGED.len()]),
        }
    }

    fn editor_during(&mut self, content: &'static str) -> Op {
        let act = self.act(content);
        let skip = self.skip();
        let flight = act.is_safe_in_flight() && self.random.bool();
        let routes: &[&'static str] = if flight { &IN_FLIGHT } else { &MOMENTS };
        let route = routes[self.random.usize(..routes.len())];
        if self.random.bool() {
            return Op::SavedAndEdited(self.path(), content, route, act);
        }
        Op::EditorDuring(route, skip, act)
    }

    /// Most runs make few calls of a kind.
    fn skip(&mut self) -> u64 {
        self.random.u64(..8).saturating_sub(5)
    }

    fn folder_during(&mut self, path: &'static str, other: &'static str, content: &'static str) -> Op {
        let save = match self.random.u32(..10) {
            0..5 => Save::Write(path, content),
            5..7 => Save::Delete(path),
            7 => Save::Flicker(path),
            8 => Save::Rename(path, other),
            _ => Save::Folder(path),
        };
        let all: Vec<&'static str> = MOMENTS.into_iter().chain(IN_FLIGHT).collect();
        Op::FolderDuring(all[self.random.usize(..all.len())], self.skip(), save)
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
}
