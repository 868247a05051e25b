//! The rules of the scheduler, one test a rule, in simulated time: whoever breaks a rule fails the test with its name.

mod assets;
mod bounds;
mod rounds;
mod simulation;
mod stages;

use super::retry::{REPLANS, TURNS};
use super::*;
use crate::index::files::RetryAt;
use crate::model::{Antivirus, Asset, Fields, Md5, MirrorStamp, RelPath, Stamp, UploadId};
use crate::sync::plan::edit::{Edit, FileIs};
use crate::sync::plan::{Action, KeepUrl, Member, Part, decide};

/// The time of all tests, unless one says otherwise.
const NOW: i64 = 1_700_000_000_000;

/// No row.
const NONE: [i64; 0] = [];

fn md5(text: &str) -> Md5 {
    Md5::of(text.as_bytes())
}

fn id(name: &str) -> UploadId {
    UploadId::new(name)
}

/// The path of a row: in the order of the ids.
fn path(row: i64) -> String {
    format!("{row:07}.png")
}

fn row(row: i64) -> FileRow {
    FileRow {
        id: row,
        path: RelPath::from_key(&path(row)).unwrap(),
        present: true,
        print: None,
        md5: Some(md5(&path(row))),
        embedded: None,
        asset: None,
        base_md5: None,
        failures: 0,
        cached: false,
        seen: true,
        news: 1,
    }
}

fn asset(name: &str) -> Box<Asset> {
    Box::new(Asset {
        id: id(name),
        md5: None,
        size: 1,
        path: String::new(),
        url: String::new(),
        filename: String::new(),
        format: None,
        mime_type: None,
        width: None,
        height: None,
        blurhash: None,
        tags: Vec::new(),
        fields: Fields::new(),
        stamp: Stamp::default(),
        antivirus: Antivirus::default(),
        created_at: String::new(),
        updated_at: String::new(),
    })
}

/// A change that needs a call of its own; with tags and nothing else, one that is made for many at once.
fn edit(tags: &[&str]) -> Edit {
    Edit {
        tags: None,
        added_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        removes_tags: false,
        fields: Fields::new(),
        write: [].into(),
        stamp: Stamp::default(),
        entry: MirrorStamp::default(),
        stamp_due: tags.is_empty(),
        conflicts: Vec::new(),
        unfinished: false,
    }
}

fn planned(row: FileRow, action: Action) -> Planned {
    Planned { row, plan: decide(action, "why") }
}

/// A new asset for the row.
fn create(number: i64) -> Planned {
    let content = md5(&path(number));
    planned(row(number), Action::Create { id: id(&format!("new-{number}")), content, edit: edit(&[]) })
}

/// A new asset for a row that had another, which others keep.
fn leave(number: i64, left: &str) -> Planned {
    let mut planned = create(number);
    planned.row.asset = Some(id(left));
    planned.plan.others_stay = true;
    planned
}

fn replace(number: i64, of: &str) -> Planned {
    let content = md5(&path(number));
    planned(row(number), Action::Replace { asset: asset(of), content, keep_url: KeepUrl::Yes, edit: edit(&[]) })
}

fn retag(number: i64, of: &str) -> Planned {
    planned(row(number), Action::Retag { asset: asset(of), edit: edit(&[]), file: FileIs::InStep })
}

/// A change that is made for many assets at once.
fn add_tag(number: i64, tag: &str) -> Planned {
    let asset = asset(&format!("asset-{number}"));
    planned(row(number), Action::Retag { asset, edit: edit(&[tag]), file: FileIs::InStep })
}

fn delete(number: i64) -> Planned {
    let row = FileRow { present: false, ..row(number) };
    planned(row, Action::Delete { asset: asset(&format!("asset-{number}")) })
}

fn wait(number: i64) -> Planned {
    planned(row(number), Action::Wait)
}

fn report(number: i64) -> Planned {
    planned(row(number), Action::Report { cause: "cause".into(), advice: "advice".into() })
}

fn with_members(mut planned: Planned, members: impl IntoIterator<Item = i64>) -> Planned {
    let member = |number| Member { row: row(number), part: Part::Alias, why: "why".into() };
    planned.plan.members = members.into_iter().map(member).collect();
    planned
}

/// What is next, in a word or two.
fn name(next: &Next) -> &'static str {
    match next {
        Next::Read { rows: Rows::PriorityPaths, .. } => "read urgent",
        Next::Read { rows: Rows::After { present: true, .. }, .. } => "read",
        Next::Read { rows: Rows::After { present: false, .. }, .. } => "read gone",
        Next::Start(Start::One(_)) => "start one",
        Next::Start(Start::Same(..)) => "start same",
        Next::Start(Start::Deletions(_)) => "start deletions",
        Next::Wait(WaitFor::Slot) => "wait for a slot",
        Next::Wait(WaitFor::All) => "wait for all",
        Next::Tracks(_) => "tracks",
        Next::AskGuard => "guard",
        Next::AskGone => "ask gone",
        Next::CorrectStamps => "stamps",
        Next::GiveUp(_) => "give up",
        Next::LookForFilesBack => "files back",
        Next::TellLeft => "left",
        Next::Done => "done",
    }
}

/// A driver without an index and without an API: the test says what is read and what comes of it.
struct Driver {
    scheduler: Scheduler,
    /// A person waits for paths.
    urgent: bool,
    /// What was started together and has not ended.
    under_way: Vec<Vec<Planned>>,
}

impl Driver {
    fn new() -> Self {
        Self::with(Rules { rounds: 1000, makes_calls: true, is_impatient: false })
    }

    fn with(rules: Rules) -> Self {
        Self { scheduler: Scheduler::new(rules), urgent: false, under_way: Vec::new() }
    }

    fn next(&mut self) -> Next {
        let next = self.scheduler.next(NOW, self.urgent);
        if let Next::Start(start) = &next {
            self.under_way.push(match start {
                Start::One(planned) => vec![(**planned).clone()],
                Start::Same(_, group) | Start::Deletions(group) => group.clone(),
            });
        }
        next
    }

    /// What is next, where that is not a start.
    fn then(&mut self) -> &'static str {
        name(&self.next())
    }

    /// Answers a read by these plans.
    fn offer(&mut self, plans: Vec<Planned>) {
        let next = self.then();
        assert!(next.starts_with("read"), "it is about to {next}");
        let last = plans.last().map(|planned| planned.row.path.key().to_owned());
        let seen = plans.iter().flat_map(|planned| planned.plan.rows(&planned.row)).map(|row| row.id).collect();
        self.scheduler.offer(Offer { plans, last, seen, ..Offer::default() });
    }

    /// The rows for which actions start, until something else is next.
    fn starts(&mut self) -> Vec<i64> {
        let mut started = Vec::new();
        while let Next::Start(_) = self.next() {
            started.extend(self.under_way.last().unwrap().iter().map(|planned| planned.row.id));
        }
        started
    }

    /// Offers these plans and tells which start.
    fn starts_of(&mut self, plans: Vec<Planned>) -> Vec<i64> {
        self.offer(plans);
        self.starts()
    }

    /// Nothing more is to be read in this round, in which something is under way; that ends well.
    fn end_round(&mut self) {
        self.offer(Vec::new());
        self.starts();
        for row in self.rows_under_way() {
            self.end(row, Outcome::Done);
        }
    }

    fn rows_under_way(&self) -> Vec<i64> {
        self.under_way.iter().flatten().map(|planned| planned.row.id).collect()
    }

    /// The action that the row asked for comes to this end.
    fn end(&mut self, row: i64, outcome: Outcome) -> Verdict {
        let group = self.under_way.iter().position(|group| group.iter().any(|planned| planned.row.id == row)).unwrap();
        let place = self.under_way[group].iter().position(|planned| planned.row.id == row).unwrap();
        let Planned { row, plan } = self.under_way[group].remove(place);
        let verdict = self.scheduler.finished(&row, &plan, outcome, NOW);
        if self.under_way[group].is_empty() {
            self.under_way.remove(group);
            self.scheduler.slot_is_free();
        }
        verdict
    }

    fn state(&self, row: i64) -> crate::sync::row_state::RowState {
        self.scheduler.rows().of(row)
    }
}
