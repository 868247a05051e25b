//! Facts about calls and answers in general: what they name, what they tell of limits, how they refuse.

use reqwest::Method;

use crate::content::text;
use crate::fork::Fork;
use crate::suite::{Check, Place};
use crate::told::{Outcome, Told};

pub const CHECKS: &[Check] = &[
    Check { name: "doctor finds nothing wrong", about: "No silent failure", run: doctor },
    Check {
        name: "an environment that does not exist is refused",
        about: "With `environment` set, the answers are about that one",
        run: nowhere,
    },
    Check {
        name: "the plan's largest file is told, or not",
        about: "The plan's largest file is told by `/public-info`, or only by a refusal",
        run: largest,
    },
    Check { name: "the plan's room is told, or not", about: "A full plan is told by a refusal", run: room },
    Check {
        name: "the antivirus has a word, or not",
        about: "The antivirus says `pending` first, and its verdict moves `updated_at`, or not",
        run: antivirus,
    },
];

fn doctor(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    scene.write("a.txt", &text());
    let run = scene.run(&["doctor"]);
    assert_eq!(run.code, 0, "{run:#?}");
    Ok(())
}

fn nowhere(at: &Place<'_>) -> Outcome {
    let name = format!("{}-nowhere", at.fork.name());
    let answer = at.fork.wire().call(Some(&name), &Method::GET, "/site", &[], None);
    assert!(!answer.is_ok(), "an environment that does not exist answers");
    at.found(format!("an environment that does not exist is told by {}", answer.refusal()));
    Ok(())
}

fn largest(at: &Place<'_>) -> Outcome {
    let answer = at.fork.get("/public-info", &[]);
    let told = &answer.body["data"]["attributes"]["extras"]["maximum_single_upload_bytes"];
    match told.as_u64() {
        Some(bytes) => at.found(format!("/public-info tells the largest file: {bytes} bytes")),
        None => at.found(format!("/public-info ({}) does not tell the largest file", answer.status)),
    }
    Ok(())
}

fn room(at: &Place<'_>) -> Outcome {
    let answer = at.fork.get("/subscription-limits", &[]);
    if !answer.is_ok() {
        at.found(format!("/subscription-limits are not told: {}", answer.refusal()));
        return Ok(());
    }
    let rows = answer.body["data"].as_array().cloned().unwrap_or_default();
    let rows = rows.iter().map(|row| &row["attributes"]);
    let rows =
        rows.filter(|row| row["code"].as_str().is_some_and(|code| code.contains("upload") || code.contains("api")));
    let rows: Vec<_> = rows.map(|row| format!("{} {} of {}", row["code"], row["usage"], row["limit"])).collect();
    at.found(format!("/subscription-limits tell {}", rows.join(", ")));
    Ok(())
}

fn antivirus(at: &Place<'_>) -> Outcome {
    let first = at.fork.make_asset("antivirus.txt", &text());
    let status =
        |asset: &serde_json::Value| asset["meta"]["antivirus"]["status"].as_str().unwrap_or("nothing").to_owned();
    at.found(format!("the antivirus says {} of a new asset", status(&first)));
    if status(&first) != "pending" {
        return Ok(());
    }
    let started = std::time::Instant::now();
    while started.elapsed().as_secs() < 60 {
        let now = at.fork.asset(&crate::assets::id_of(&first));
        if status(&now) != "pending" {
            let moved = now["attributes"]["updated_at"] != first["attributes"]["updated_at"];
            let (after, moved) = (started.elapsed().as_secs(), if moved { "moved" } else { "did not move" });
            at.found(format!("it says {} after {after} s; updated_at {moved} meanwhile", status(&now)));
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    at.found("its verdict takes more than 60 s");
    Ok(())
}

/// What all the answers together tell.
pub fn summary(fork: &Fork, told: &Told) {
    fork.wire().seen(|seen| {
        let named = seen.environments.iter().filter(|name| !name.is_empty()).count() > 0;
        told.found(format!(
            "answers {} their environment in x-environment",
            if named { "name" } else { "do not name" }
        ));
        told.found(match seen.without_request_id {
            0 => "every answer carries x-request-id".to_owned(),
            some => format!("{some} of {} answers carry no x-request-id", seen.calls),
        });
        let limits: Vec<_> = seen.limits.iter().map(String::as_str).collect();
        told.found(format!("x-ratelimit-limit: {}; {} calls were refused by it", limits.join(", "), seen.refused));
        for (route, how) in &seen.answered {
            let how: Vec<_> = how.iter().copied().collect();
            told.found(format!("{route} is answered {}", how.join(" or ")));
        }
        told.say(format!("      the suite's own client made {} calls", seen.calls));
    });
}
