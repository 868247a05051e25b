//! The checks in their order, and a whole run of them.
//!
//! Owns: making the fork, running each check by itself so that one that fails hides no other, destroying the fork, and
//! the proof that nothing reached the environment that was forked.

use std::panic::{AssertUnwindSafe, catch_unwind};

use reqwest::Method;

use crate::assets::Site;
use crate::checks::{editors, facts, files, gone, served, writes};
use crate::content;
use crate::fork::{Fork, Project};
use crate::scene::Scene;
use crate::told::{Outcome, Told};

/// One check.
#[derive(Clone, Copy)]
pub struct Check {
    /// What holds, in the words of the promise.
    pub name: &'static str,
    /// The line of `docs/service.md`, or the promise of the README, that it is about.
    pub about: &'static str,
    pub run: fn(&Place<'_>) -> Outcome,
}

/// Where a check is made.
pub struct Place<'a> {
    pub fork: &'a Fork,
    pub site: Site,
    pub told: &'a Told,
}

impl Place<'_> {
    /// A folder of its own.
    pub fn scene(&self) -> Scene<'_> {
        Scene::new(self.fork)
    }

    /// Tells what was found about something that is not known.
    pub fn found(&self, what: impl AsRef<str>) {
        self.told.found(what);
    }
}

/// All of them.
pub fn checks() -> Vec<Check> {
    [files::CHECKS, editors::CHECKS, gone::CHECKS, facts::CHECKS, writes::CHECKS, served::CHECKS].concat()
}

/// Runs them in a fork of the project; `Err` names what failed.
pub fn run(project: &Project, told: &Told, checks: &[Check]) -> Result<(), String> {
    let fork = Fork::make(project, told)?;
    if told.is_loud() {
        fork.destroy_on_interrupt();
    }
    let mut failed = Vec::new();
    for check in checks {
        told.say(format!("check {} ({})", check.name, check.about));
        let made = catch_unwind(AssertUnwindSafe(|| {
            let place = Place { fork: &fork, site: fork.site(), told };
            (check.run)(&place)
        }));
        match made {
            Ok(Ok(())) => told.say("      holds"),
            Ok(Err(why)) => told.say(format!("      skipped: {why}")),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let text = text.unwrap_or_default();
                told.say(format!("      FAILED: {text}"));
                failed.push(format!("{}: {text}", check.name));
            }
        }
    }
    facts::summary(&fork, told);
    match strays(&fork) {
        Ok(0) => told.say(format!("nothing of this is in {}", fork.source())),
        Ok(count) => failed.push(format!("{} has {count} assets of this suite, which must never be", fork.source())),
        Err(why) => told.say(format!("whether anything of this is in {} cannot be told: {why}", fork.source())),
    }
    let name = fork.name().to_owned();
    match fork.destroy() {
        Ok(()) => told.say(format!("{name} is destroyed; {} of {} checks failed", failed.len(), checks.len())),
        Err(why) => failed.push(why),
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// How many assets of the environment that was forked have content that this suite made; `Err` when it cannot be told.
fn strays(fork: &Fork) -> Result<usize, String> {
    let mut found = 0;
    for some in content::made().chunks(50) {
        let query: Vec<_> = some.iter().map(|md5| ("filter[fields][md5][in][]", md5.as_str())).collect();
        let answer = fork.wire().call(Some(fork.source()), &Method::GET, "/uploads", &query, None);
        if !answer.is_ok() {
            return Err(answer.refusal());
        }
        found += answer.body["data"].as_array().map_or(0, Vec::len);
    }
    Ok(found)
}
