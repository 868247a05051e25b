//! One round over the rows: which of the planned actions start, and when the round, and the stage, is over.
//!
//! This module owns the turn of each plan in a page, what is read next, and what is held up. That nothing is overwritten by
//! what is out of date is the executor's part, at the last moment.

use std::collections::HashSet;
use std::sync::Arc;

use super::assets_in_use::AssetsInUse;
use super::{Next, Offer, Planned, Rows, SLOTS, Scheduler, Start, WaitFor};
use crate::index::{FileRow, Problem};
use crate::model::ActionKind;
use crate::sync::plan::{Action, Plan};

/// Rounds of a stage at most that start nothing.
const IDLE_ROUNDS: u32 = 20;

/// The rounds of a stage so far.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    count: u32,
    idle: u32,
}

/// The round that runs.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The path up to which rows were read, or had their turn.
    after: String,
    /// There are no more rows to read.
    has_read_all: bool,
    /// What was asked for and not offered yet is urgent.
    reads_urgent: bool,
    page: Page,
    /// Actions started.
    started: u64,
    /// Something was learnt that the plans of this round do not know.
    pub learnt: bool,
}

/// The plans of one page that have not had their turn.
#[derive(Debug, Default)]
struct Page {
    plans: std::vec::IntoIter<Planned>,
    is_urgent: bool,
    /// Rows that were planned while their asset was worked on. That may be over when their turn comes, and done then what they
    /// were planned for: a file that was saved again while it was sent would be created twice.
    late: HashSet<i64>,
    /// What the page's actions took. It is not given back in this page: the other plans of the page know nothing of what these
    /// actions do.
    taken: AssetsInUse,
    /// The path of the last plan that had its turn; before the first one, the path that the page comes after.
    done: String,
}

/// A row for which nothing is done, should it stay so.
#[derive(Debug)]
pub(super) struct HeldUp {
    pub row: FileRow,
    pub problem: Problem,
    /// It waits for others, as opposed to being reported.
    pub waits: bool,
}

impl Scheduler {
    /// The next step of the stage's rounds; `None` when the round that ran is over.
    pub(super) fn next_in_round(&mut self, present: bool, now_ms: i64, urgent: bool) -> Option<Next> {
        let urgent = urgent && present;
        if self.slots_taken >= SLOTS {
            return Some(Next::Wait(WaitFor::Slot));
        }
        if self.round.is_none() {
            self.begin_round();
        }
        if !self.is_halted {
            if let Some(start) = self.next_of_page(urgent) {
                return Some(self.start(start));
            }
            if let Some(rows) = self.next_rows(present, urgent) {
                return Some(Next::Read { rows, due: self.due(now_ms) });
            }
        }
        if let Some(group) = self.groups.take() {
            return Some(self.start(group));
        }
        if self.slots_taken > 0 {
            return Some(Next::Wait(WaitFor::All));
        }
        self.end_round();
        None
    }

    fn start(&mut self, start: Start) -> Next {
        self.slots_taken += 1;
        Next::Start(start)
    }

    fn begin_round(&mut self) {
        self.rounds.count += 1;
        self.round = Some(Round::default());
        self.held_up.clear();
        Arc::make_mut(&mut self.rows).begin_round();
    }

    /// The stage is over when a round started nothing and learnt nothing, or when there were too many.
    fn end_round(&mut self) {
        let Some(Round { started, learnt, .. }) = self.round.take() else { return };
        self.rounds.idle += u32::from(started == 0);
        let has_more = (started > 0 || learnt) && self.rounds.idle < IDLE_ROUNDS;
        if self.is_halted || !has_more || self.rounds.count >= self.rules.rounds {
            self.rounds = Rounds::default();
            self.stage = self.stage.next(false);
        }
    }

    /// What is read next, unless all is read. What a person waits for goes first, the last saved before all.
    fn next_rows(&mut self, present: bool, urgent: bool) -> Option<Rows> {
        let round = self.round.as_mut().filter(|round| !round.has_read_all)?;
        round.reads_urgent = urgent;
        Some(if urgent { Rows::PriorityPaths } else { Rows::After { present, path: round.after.clone() } })
    }

    /// The rows that were asked for, with their plans.
    pub fn offer(&mut self, mut offer: Offer) {
        let plans = std::mem::take(&mut offer.plans);
        let last = offer.last.take();
        self.take_aside(offer);
        let Some(round) = &mut self.round else { return };
        let done = round.after.clone();
        if round.reads_urgent {
            // They changed since the pass was done with them.
            let rows = Arc::make_mut(&mut self.rows);
            plans.iter().for_each(|planned| rows.reopen(planned.row.id));
        } else {
            match last {
                Some(last) => round.after = last,
                None => round.has_read_all = true,
            }
        }
        let is_late = |planned: &&Planned| !self.assets.admits(&planned.row, &planned.plan);
        let late = plans.iter().filter(is_late).map(|planned| planned.row.id).collect();
        let (plans, is_urgent) = (plans.into_iter(), round.reads_urgent);
        round.page = Page { plans, is_urgent, late, taken: AssetsInUse::default(), done };
    }

    /// The next plan of the page that may start, or a group that it made full.
    fn next_of_page(&mut self, urgent: bool) -> Option<Start> {
        loop {
            let round = self.round.as_mut()?;
            if urgent && !round.page.is_urgent && round.page.plans.len() > 0 {
                // The rest of this page is planned again after what somebody waits for.
                round.after.clone_from(&round.page.done);
                round.page = Page::default();
                return None;
            }
            let planned = round.page.plans.next()?;
            planned.row.path.key().clone_into(&mut round.page.done);
            // Whatever becomes of the plan: in this round nobody else speaks for them.
            self.speak_for(&planned.plan);
            if let Some(start) = self.admit(planned).and_then(|planned| self.begin(planned)) {
                return Some(start);
            }
        }
    }

    /// Whether the plan may start: it is given back if so.
    fn admit(&mut self, planned: Planned) -> Option<Planned> {
        let Planned { row, plan } = &planned;
        let page = &self.round.as_ref()?.page;
        let state = self.rows.of(row.id);
        let is_withheld = matches!(plan.action, Action::Delete { .. }) && !state.is_counted();
        // What was under way when the page came is told by `late`, and what started since by `taken`.
        let is_free = !page.late.contains(&row.id) && page.taken.admits(row, plan);
        if is_withheld || !is_free || !state.is_open() {
            return None;
        }
        let Some((problem, waits)) = held_up(plan) else { return Some(planned) };
        for row in plan.rows(row) {
            let held = HeldUp { row: row.clone(), problem: problem.clone(), waits };
            self.held_up.insert(row.path.key().to_owned(), held);
        }
        None
    }

    /// The action is under way from here on. What is to be started for it, if it is not gathered with others.
    fn begin(&mut self, planned: Planned) -> Option<Start> {
        let Planned { row, plan } = &planned;
        let rows = Arc::make_mut(&mut self.rows);
        plan.rows(row).for_each(|row| rows.start(row.id));
        self.assets.take(row, plan);
        if let Some(round) = &mut self.round {
            round.started += 1;
            round.page.taken.take(row, plan);
        }
        if self.rules.makes_calls { self.groups.gather(planned) } else { Some(Start::One(Box::new(planned))) }
    }
}

/// What is said of a path for which nothing is done, should it stay so, and whether it waits for others.
fn held_up(plan: &Plan) -> Option<(Problem, bool)> {
    match &plan.action {
        Action::Wait => {
            let problem = Problem {
                action: ActionKind::Wait,
                cause: plan.why.clone(),
                advice: "nothing: it is looked at again by itself".into(),
                ..Problem::default()
            };
            Some((problem, true))
        }
        Action::Report { cause, advice } => {
            Some((Problem::new(ActionKind::Report, cause.clone(), advice.clone()), false))
        }
        _ => None,
    }
}
