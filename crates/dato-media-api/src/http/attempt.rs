//! One attempt of one call.
//!
//! Owns: building the request, reading the answer, what the rate limit's headers say, and whose word the answer is.
//! Never does: deciding whether it is tried again (that is `retry`).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use secrecy::ExposeSecret as _;

use super::{Attempt, Call, Reply, Transport};
use crate::answer::{self, Body, LARGEST_ERROR, LARGEST_PAGE, network_error};
use crate::answered_by;
use crate::error::{ApiError, ApiErrorKind, shorten};
use crate::pace::Slot;
use crate::permit::CallPermit;
use crate::rate_headers::{limit_of, wait_of};
use crate::retry::Failure;
use crate::{JobId, wire};

const JSON_API: HeaderValue = HeaderValue::from_static("application/vnd.api+json");

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Transport {
    /// One attempt. The outer error is ours alone, and nothing is tried again: no call is left in the budget, and nothing
    /// was sent; or another environment answers, and what it says is not believed.
    pub(super) async fn attempt(
        &self,
        call: &Call,
        permit: Option<CallPermit>,
    ) -> Result<Result<Reply, Attempt>, ApiError> {
        self.answered_by.may_call()?;
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&call.path);
        }
        url.set_query((!call.query.is_empty()).then_some(call.query.as_str()));
        let mut request = self.api.request(call.method.clone(), url).timeout(self.timeouts.call);
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, JSON_API).body(body.to_string());
        }
        let permit = match permit {
            Some(permit) => permit,
            None => self.call_permit(self.budget_permit().await?).await,
        };
        // Another environment may have answered while this one waited for its permit.
        self.answered_by.may_call()?;
        let slot = permit.used();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        let failed = |failure, error| Ok(Err(Attempt { failure, error, took: start.elapsed() }));
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                tracing::trace!(method = %call.method, path = call.path.join("/"), ms = millis(start), "no answer of the API");
                if !(error.is_connect() || error.is_builder()) {
                    return failed(Failure::NoAnswer, network_error(error));
                }
                // A dead line must not eat up the month.
                self.requests.fetch_sub(1, Ordering::Relaxed);
                if let Some(ledger) = &self.ledger {
                    ledger.give_back();
                }
                return failed(Failure::NotSent, network_error(error));
            }
        };
        self.note_clock(&response);
        let status = response.status().as_u16();
        let reset = self.settle_slot(slot, &response);
        let request = answer::request_id(response.headers());
        let environment = answered_by::name_of(response.headers());
        tracing::trace!(
            method = %call.method, path = call.path.join("/"), status, ms = millis(start),
            request = request.as_deref().unwrap_or_default(), "called the API"
        );
        let good = (200..300).contains(&status);
        let body = match answer::read(response, if good { LARGEST_PAGE } else { LARGEST_ERROR }).await {
            Ok(body) => body,
            // That says all by itself.
            Err(_) if status == 429 => Body::Whole(Vec::new()),
            Err(error) => return failed(Failure::NoAnswer, error.of_request(request)),
        };
        if good {
            return match &body {
                Body::Cut(_) => failed(Failure::TooLarge, ApiError::too_large(status).of_request(request)),
                Body::Whole(bytes) => match answer::document(bytes) {
                    Some(document) => {
                        self.answered_by.heard(environment)?;
                        let job = wire::job_id(&document).map(JobId::new);
                        Ok(Ok(job.map_or(Reply::Document(document, request), Reply::Job)))
                    }
                    None => failed(
                        Failure::NotTheApis,
                        ApiError::not_the_apis(status, answer::nature(&body)).of_request(request),
                    ),
                },
            };
        }
        let told = answer::refusal(&body);
        if told.is_some() {
            self.answered_by.heard(environment)?;
        }
        let error = match &told {
            None if status != 429 => ApiError::not_the_apis(status, answer::nature(&body)),
            told => ApiError::from_answer(status, told.as_ref()),
        };
        // A server that quotes what it refuses must not put the token into our report.
        let error = error.of_request(request).without(self.token.expose_secret().trim());
        if status == 429 {
            return failed(Failure::TooMany, error.wait(reset));
        }
        let missing = call.may_be_missing && matches!(status, 404 | 410);
        let too_long = call.may_be_shorter && error.is_url_too_long();
        if told.is_none() && !missing && !too_long {
            return failed(Failure::NotTheApis, error);
        }
        // Named so by the facts, whether or not the answer says `transient`.
        let transient = error.transient || error.kind == ApiErrorKind::Concurrent && error.code.is_some();
        let again = transient && !(call.is_bulk() && error.is_too_many());
        failed(Failure::Refused { status, transient: again }, error)
    }

    fn note_clock(&self, response: &Response) {
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
        if let Some(theirs) = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()) {
            let ahead = jiff::Timestamp::now().as_second() - theirs.timestamp().as_second();
            self.clock_ahead.store(ahead, Ordering::Relaxed);
        }
    }

    /// Tells the pacer what the headers say; gives the time a 429 asks for.
    fn settle_slot(&self, slot: Slot, response: &Response) -> Duration {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let limit = limit_of(text("x-ratelimit-limit"));
        if limit.is_err() {
            self.say_odd("X-RateLimit-Limit", text("x-ratelimit-limit"));
        }
        let limit = limit.unwrap_or(None);
        if response.status().as_u16() == 429 {
            self.throttled.fetch_add(1, Ordering::Relaxed);
            let reset = text("x-ratelimit-reset");
            let wait = wait_of(reset, text(RETRY_AFTER.as_str()), jiff::Timestamp::now().as_second());
            if wait.is_odd {
                self.say_odd("X-RateLimit-Reset", reset);
            }
            slot.refused(wait.seconds, limit);
            return wait.seconds;
        }
        slot.answered(limit, limit.and_then(|_| text("x-ratelimit-remaining")?.trim().parse().ok()));
        Duration::ZERO
    }

    /// Once a process: such headers come with every answer.
    fn say_odd(&self, header: &str, value: Option<&str>) {
        if !self.said_odd.swap(true, Ordering::Relaxed) {
            let value = shorten(value.unwrap_or_default());
            tracing::warn!(
                header,
                value,
                "the API, or something between us and it, tells a rate limit that makes no sense; it is not followed, and \
                 no wait is longer than a minute"
            );
        }
    }
}
