//! The throw-away environment: made, worked in, destroyed.
//!
//! Owns: its whole life, and that nothing but it is ever written to: every call names it, an answer about another one ends
//! the suite, and only what it made itself is destroyed, also after a panic or Ctrl-C. Never does: a fast fork (which
//! stops all writing in the environment that is copied), promoting, touching forks that others made.

use std::cell::Cell;
use std::thread::sleep;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::told::{Told, aloud};
use crate::wire::{Answer, LONG, Wire};

/// What the name of every fork of this suite begins with.
pub const PREFIX: &str = "dato-mirror-test-";

/// A project, as the variables tell it.
pub struct Project {
    pub base: String,
    pub token: String,
    /// The environment to fork; none: the primary one.
    pub source: Option<String>,
}

/// An environment that this suite made.
pub struct Fork {
    wire: Wire,
    name: String,
    source: String,
    exists: Cell<bool>,
}

impl Fork {
    /// Makes one and waits until it is ready; `Err` says why there is none.
    pub fn make(project: &Project, told: &Told) -> Result<Self, String> {
        let wire = Wire::new(&project.base, &project.token);
        let listed = wire.call(None, &Method::GET, "/environments", &[], None);
        if !listed.is_ok() {
            return Err(format!("the project's environments cannot be read: {}", listed.refusal()));
        }
        let environments = listed.body["data"].as_array().cloned().unwrap_or_default();
        let name_of = |one: &Value| one["id"].as_str().unwrap_or_default().to_owned();
        let wanted = |one: &&Value| match &project.source {
            Some(source) => name_of(one) == *source,
            None => one["meta"]["primary"] == true,
        };
        let Some(source) = environments.iter().find(wanted).map(name_of) else {
            let names: Vec<_> = environments.iter().map(name_of).collect();
            return Err(format!("there is no environment {:?} to fork; there are {names:?}", project.source));
        };
        for left in environments.iter().map(name_of).filter(|name| name.starts_with(PREFIX)) {
            told.say(format!("note: {left} is there already. If no other run works in it, destroy it in the CMS."));
        }
        let name: String = (0..8).map(|_| fastrand::alphanumeric().to_ascii_lowercase()).collect();
        let name = format!("{PREFIX}{name}");
        told.say(format!("forking {source} into {name}, which is destroyed at the end"));
        // From here on it may exist, whatever becomes of the answer.
        let fork = Self { wire, name, source, exists: Cell::new(true) };
        let body = json!({ "data": { "type": "environment", "id": fork.name } });
        let path = format!("/environments/{}/fork", fork.source);
        let answer = fork.wire.call(None, &Method::POST, &path, &[], Some(&body));
        if !answer.is_ok() {
            // Refused at once there is none; in a job there may be a part of one.
            fork.exists.set(answer.in_job);
            let needs = "it needs a role that may manage environments, and a plan with room for one more environment";
            return Err(format!("{} could not be forked: {}. {needs}", fork.source, answer.refusal()));
        }
        fork.await_ready()?;
        fork.prove()?;
        Ok(fork)
    }

    fn own(&self) -> Answer {
        self.wire.call(None, &Method::GET, &format!("/environments/{}", self.name), &[], None)
    }

    fn await_ready(&self) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < LONG {
            let answer = self.own();
            if !answer.is_ok() && answer.status != 404 {
                return Err(format!("{} cannot be looked at: {}", self.name, answer.refusal()));
            }
            if answer.body["data"]["meta"]["status"] == "ready" {
                return Ok(());
            }
            sleep(Duration::from_millis(200));
        }
        Err(format!("{} does not become ready", self.name))
    }

    /// That what answers under its name is what was made: no primary environment, a copy of the source.
    fn prove(&self) -> Result<(), String> {
        let meta = self.own().body["data"]["meta"].clone();
        if meta["primary"] != false || meta["forked_from"] != self.source.as_str() {
            return Err(format!("{} is not the fork that was made: {meta}", self.name));
        }
        let site = self.wire.call(Some(&self.name), &Method::GET, "/site", &[], None);
        match site.environment {
            Some(other) if other != self.name => Err(format!("asked for {}, {other} answers", self.name)),
            _ if site.is_ok() => Ok(()),
            _ => Err(format!("{} does not answer: {}", self.name, site.refusal())),
        }
    }

    /// Has it destroyed on Ctrl-C as well, which ends the process.
    pub fn destroy_on_interrupt(&self) {
        let url = format!("{}/environments/{}", self.wire.base(), self.name);
        let (name, token) = (self.name.clone(), self.wire.token().to_owned());
        self.wire.runtime().spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                let request = reqwest::Client::new().delete(url).bearer_auth(token);
                let request = request.header("accept", "application/json").header("x-api-version", "3");
                let status = request.send().await.map(|response| response.status());
                let asked = status.as_ref().is_ok_and(reqwest::StatusCode::is_success);
                aloud(&match (asked, status) {
                    (true, _) => format!("interrupted: {name} is being destroyed; see in the CMS that it goes"),
                    (false, status) => format!("interrupted: {name} is not destroyed ({status:?}), do it in the CMS"),
                });
                std::process::exit(130);
            }
        });
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The environment that it is a copy of.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The way to the project.
    pub const fn wire(&self) -> &Wire {
        &self.wire
    }

    /// A call about it.
    #[track_caller]
    pub fn call(&self, method: &Method, path: &str, query: &[(&str, &str)], body: Option<&Value>) -> Answer {
        assert!(self.exists.get() && self.name.starts_with(PREFIX), "only a fork of its own is worked in");
        let answer = self.wire.call(Some(&self.name), method, path, query, body);
        if let Some(other) = answer.environment.as_deref().filter(|other| *other != self.name) {
            panic!("{method} {path} was asked of {} and answered about {other}", self.name);
        }
        answer
    }

    /// Destroys it and waits until it is gone.
    pub fn destroy(self) -> Result<(), String> {
        self.end()
    }

    fn end(&self) -> Result<(), String> {
        if !self.exists.replace(false) {
            return Ok(());
        }
        let by_hand = format!("destroy {} in the CMS: settings, environments", self.name);
        let looked = self.own();
        if looked.status == 404 {
            return Ok(());
        }
        if looked.body["data"]["meta"]["primary"] != false || !self.name.starts_with(PREFIX) {
            return Err(format!("not destroyed, since it may be the primary one now ({}): {by_hand}", looked.status));
        }
        let path = format!("/environments/{}", self.name);
        let answer = self.wire.call(None, &Method::DELETE, &path, &[], None);
        if !answer.is_ok() {
            return Err(format!("not destroyed, {}: {by_hand}", answer.refusal()));
        }
        let started = Instant::now();
        while self.own().status != 404 {
            if started.elapsed() > LONG {
                return Err(format!("it is still there: {by_hand}"));
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        if let Err(why) = self.end() {
            aloud(&why);
        }
    }
}
