//! The daemon: mirrors everything, then keeps every mirror in step for as long as it runs.
//!
//! Owns: opening the session with endless patience, one worker a mirror, one lister for all, reloading the configuration,
//! and stopping in good order.

mod api_backoff;
mod backoff;
mod lister;
mod listing_schedule;
mod retry_requests;
mod runtime_notes;
pub mod settle;
pub mod watch;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::error::RunError;
use crate::index::Index;
use crate::remote::advice;
use crate::runtime_state::{ApiView, Change, Phase, RuntimeState, Waiting};

use crate::features::cdn_check::{End, Followed, PATIENCE_OF_DAEMON, Verifier};
use crate::sync::session::{Session, admitted, open_index};
use crate::sync::timeouts::{GRACE, SyncTimeouts};
use api_backoff::ApiBackoff;
use backoff::Backoff;
use worker::MirrorWorker;

pub use retry_requests::{RetryHandle, RetryRequest};

/// The counters of calls are written and shown this often.
const BEAT: Duration = Duration::from_secs(5);
/// Promotions this far apart are made by people, and are followed at once.
const PROMOTIONS_APART: Duration = Duration::from_secs(600);
/// The pauses after promotions that follow each other faster; the first one is followed at once.
const PROMOTION_PAUSES: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(256) };
/// The daemon waits for ever for an API that cannot be reached at the start.
const PATIENCE: Duration = Duration::MAX;

/// Reads the configuration anew, or tells its problems, a line each.
pub type Load = Arc<dyn Fn() -> Result<Config, Vec<String>> + Send + Sync>;

/// What the daemon is given beside its configuration.
#[derive(Clone)]
pub struct DaemonContext {
    /// The daemon shows here what it does.
    pub live: Arc<RuntimeState>,
    /// Cancelling this ends the daemon.
    pub stop: CancellationToken,
    /// People who do not want to wait have failed files tried again through this.
    pub retry: Arc<RetryHandle>,
    /// A notification has the daemon read its configuration anew.
    pub reload: Arc<Notify>,
    /// The daemon reads its configuration with this.
    pub load: Load,
    /// The daemon calls this after each reload, whether the new configuration is in force or was refused.
    pub reloaded: Arc<dyn Fn() + Send + Sync>,
}

/// Runs the daemon until it is stopped.
///
/// # Errors
/// What no waiting can heal: the token or environment is refused, the index cannot be used, another instance has it.
pub async fn run(config: Config, context: &DaemonContext) -> Result<(), RunError> {
    let mut config = config;
    // Held for as long as anything works on the index.
    let (mut index, mut _lock) = open_index(&config, false)?;
    let mut promotions = Promotions::default();
    loop {
        context.retry.works_on(&index);
        match run_until_reload(&config, index.clone(), context).await {
            Err(error) => {
                index.close().await;
                return Err(error);
            }
            Ok(Next::Stop) => {
                index.close().await;
                return Ok(());
            }
            Ok(Next::NewSession) => {
                let pause = promotions.pause(Instant::now());
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = context.stop.cancelled() => {}
                }
            }
            Ok(Next::Reload(new)) => {
                if new.state_path != config.state_path {
                    index.close().await;
                    (index, _lock) = open_index(&new, false)?;
                }
                config = *new;
                let mirrors =
                    config.mirrors.iter().map(|mirror| (mirror.name.clone(), mirror.root.display().to_string()));
                context.live.set_mirrors(mirrors);
                tracing::info!("the new configuration is in force");
                (context.reloaded)();
            }
        }
    }
}

enum Next {
    Stop,
    /// Another environment became the primary one: with the same configuration, and a session of its own.
    NewSession,
    Reload(Box<Config>),
}

/// Runs with one configuration, until it is stopped or replaced by another.
async fn run_until_reload(config: &Config, index: Index, context: &DaemonContext) -> Result<Next, RunError> {
    let stop = context.stop.child_token();
    for mirror in &config.mirrors {
        context.live.set_phase(&mirror.name, Phase::Starting);
    }
    let _notes = AbortOnDropHandle::new(tokio::spawn(runtime_notes::write_runtime_notes(
        index.clone(),
        context.live.clone(),
        stop.clone(),
    )));
    let mut session = tokio::select! {
        session = open(config, index, context) => session?,
        () = stop.cancelled() => return Ok(Next::Stop),
    };
    follow_urls(config, &mut session, context, &stop);
    let session = Arc::new(session);
    let api_backoff = Arc::new(ApiBackoff::default());
    let mut workers = JoinSet::new();
    for mirror in &config.mirrors {
        let worker = MirrorWorker::new(
            Arc::new(mirror.clone()),
            session.clone(),
            api_backoff.clone(),
            context.live.clone(),
            context.retry.subscribe(),
            stop.child_token(),
        );
        workers.spawn(worker.run());
    }
    workers.spawn(lister::list_now_and_then(session.clone(), api_backoff.clone(), stop.child_token()));
    let next = supervise(config, &session, &api_backoff, &mut workers, context).await;
    stop.cancel();
    let ended = tokio::time::timeout(GRACE, async { while workers.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!("some work did not end in time; the next start takes it up again");
        workers.shutdown().await;
    }
    session.write_calls().await?;
    match next {
        Err(RunError::Api(error)) if error.is_promotion() => Ok(Next::NewSession),
        next => next,
    }
}

/// Another environment as the primary one at each look is a service that is not at one with itself: each look costs a listing.
#[derive(Debug, Default)]
struct Promotions {
    last: Option<Instant>,
    in_a_row: u32,
}

impl Promotions {
    /// How long to wait after one, before the next session.
    fn pause(&mut self, now: Instant) -> Duration {
        let is_near = self.last.is_some_and(|last| now.saturating_duration_since(last) < PROMOTIONS_APART);
        self.in_a_row = if is_near { self.in_a_row.saturating_add(1) } else { 0 };
        self.last = Some(now);
        self.in_a_row.checked_sub(1).map_or(Duration::ZERO, |before| PROMOTION_PAUSES.after(before))
    }
}

/// Starts following replaced URLs, when a mirror wants it. The task ends with the session, which has its only handle.
fn follow_urls(config: &Config, session: &mut Session, context: &DaemonContext, stop: &CancellationToken) {
    if !config.mirrors.iter().any(|mirror| mirror.verify_live) {
        return;
    }
    let live = context.live.clone();
    let tell = move |end: Followed| {
        end.log();
        let Followed { what, end } = end;
        let action = match end {
            End::Live(took) => format!("live after {:.0} s", took.as_secs_f64()),
            End::NotYet(_) => "not live yet".to_owned(),
            End::CannotTell(_) => "whether it is live cannot be told".to_owned(),
        };
        let change = Change { path: what.path, action, at: jiff::Timestamp::now(), url: Some(what.url), asset: None };
        live.changed(&what.mirror, change);
    };
    let (verifier, task) = Verifier::new(&config.api.base_url, PATIENCE_OF_DAEMON, stop.clone(), tell);
    session.verifier = Some(verifier);
    tokio::spawn(task);
}

/// Opens the session; while the API cannot be reached that is shown, and tried again.
async fn open(config: &Config, index: Index, context: &DaemonContext) -> Result<Session, RunError> {
    let (heard, mut trouble) = tokio::sync::watch::channel(None);
    let waits =
        SyncTimeouts { reach: PATIENCE, video: Duration::ZERO, spreads_budget: true, ..SyncTimeouts::default() };
    let open = Session::open(config, index, None, false, waits, move |error| {
        heard.send_replace(Some((error.kind, error.to_string(), advice(error))));
    });
    tokio::pin!(open);
    let late = tokio::time::sleep(Duration::from_secs(10));
    tokio::pin!(late);
    let since = jiff::Timestamp::now();
    // What was told last: each kind of trouble once, not each answer, which has a request id of its own.
    let mut told = None;
    let show = |cause: &str| {
        for mirror in &config.mirrors {
            let waiting = Waiting::Api { since, cause: cause.to_owned() };
            context.live.set_phase(&mirror.name, Phase::Waiting { waiting });
        }
    };
    loop {
        tokio::select! {
            session = &mut open => {
                if told.is_some() && session.is_ok() {
                    tracing::info!("the API answers again");
                }
                return session;
            }
            Ok(()) = trouble.changed() => {
                let heard = trouble.borrow_and_update().clone();
                if let Some((kind, cause, advice)) = heard && told != Some(Some(kind)) {
                    tracing::warn!("the API is in trouble: {cause}; waiting until that is over. {advice}");
                    show(&cause);
                    told = Some(Some(kind));
                }
            }
            () = &mut late, if told.is_none() => {
                tracing::warn!("the API does not answer; waiting for it");
                show("it does not answer");
                told = Some(None);
            }
            () = tokio::time::sleep(BEAT) => context.live.progress(Instant::now()),
        }
    }
}

/// Waits for what ends the run with this configuration: a stop, a good reload, another primary environment, or a worker
/// that cannot go on.
async fn supervise(
    config: &Config,
    session: &Arc<Session>,
    api_backoff: &ApiBackoff,
    workers: &mut JoinSet<Result<(), RunError>>,
    context: &DaemonContext,
) -> Result<Next, RunError> {
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(Next::Stop),
            () = session.remote.other_environment(), if config.api.environment.is_none() => return Ok(Next::NewSession),
            Some(ended) = workers.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                // A mirror without a worker must not look as if it were mirrored.
                Err(error) => return Err(RunError::Broken(format!("a keeper or the lister ended abnormally: {error}"))),
            },
            () = context.reload.notified() => match (context.load)() {
                Ok(new) => match admitted(&new).await {
                    Ok(()) => {
                        if new.status_listen != config.status_listen {
                            tracing::warn!("`[status] listen` changed: that takes a restart");
                        }
                        return Ok(Next::Reload(Box::new(new)));
                    }
                    Err(error) => {
                        tracing::error!("the new configuration is refused, the old one stays: {error}");
                        (context.reloaded)();
                    }
                },
                Err(problems) => {
                    tracing::error!("the new configuration is refused, the old one stays");
                    // A line each: a journal shows no line breaks.
                    for problem in problems {
                        tracing::error!("{problem}");
                    }
                    (context.reloaded)();
                }
            },
            () = tokio::time::sleep(BEAT) => {
                session.write_calls().await?;
                context.live.set_api(api_view(config, session, api_backoff));
            }
        }
    }
}

fn api_view(config: &Config, session: &Session, api_backoff: &ApiBackoff) -> ApiView {
    let calls = session.calls_this_month();
    let (usage, pace) = (session.remote.usage(), session.remote.pace());
    ApiView {
        calls_this_month: calls,
        budget: config.api.monthly_budget,
        slowed: session.is_slowed(),
        forecast: Some(crate::runtime_state::forecast(calls, jiff::Timestamp::now())),
        requests: usage.api_requests,
        bytes_uploaded: usage.bytes_uploaded,
        throttled: usage.throttled,
        limit: pace.limit,
        allowance: pace.allowance,
        others: pace.others,
        in_flight: pace.in_flight,
        stopped_for_ms: u64::try_from(pace.stopped_for.as_millis()).unwrap_or(u64::MAX),
        down_since: api_backoff.since(),
        cms_assets: cms_assets(&config.api.base_url, session.site.domain.as_deref(), config.api.environment.as_deref()),
    }
}

/// Where the CMS shows an asset, without the id at its end. A rehearsal against a sandbox has no CMS.
fn cms_assets(base_url: &str, domain: Option<&str>, environment: Option<&str>) -> Option<String> {
    let is_host = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    let domain = domain.filter(|domain| !domain.is_empty() && is_host(domain))?;
    // Plain http is for loopback only.
    base_url.starts_with("https://").then(|| match environment {
        Some(environment) => format!("https://{domain}/environments/{environment}/media/assets/"),
        None => format!("https://{domain}/media/assets/"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Promotions, cms_assets};

    #[test]
    fn a_primary_environment_that_changes_all_the_time_is_followed_ever_more_slowly() {
        let (mut promotions, start) = (Promotions::default(), Instant::now());
        let mut pause = |at: u64| promotions.pause(start + Duration::from_secs(at)).as_secs();
        assert_eq!([pause(0), pause(1), pause(10), pause(20)], [0, 2, 4, 8]);
        assert_eq!([pause(1_000), pause(10_000), pause(10_001)], [0, 0, 2]);
        assert!((0..100).map(|at| pause(10_002 + at)).all(|seconds| seconds <= 256));
    }

    #[test]
    fn an_asset_is_shown_in_the_cms_of_its_project_and_environment() {
        let (api, domain) = ("https://site-api.datocms.com", Some("p.admin.datocms.com"));
        for (base_url, domain, environment, expected) in [
            (api, domain, None, Some("https://p.admin.datocms.com/media/assets/")),
            (api, domain, Some("draft"), Some("https://p.admin.datocms.com/environments/draft/media/assets/")),
            (api, None, None, None),
            (api, Some(""), None, None),
            (api, Some("evil.example/?"), None, None),
            ("http://127.0.0.1:3999", domain, None, None),
        ] {
            assert_eq!(cms_assets(base_url, domain, environment).as_deref(), expected, "{base_url} {domain:?}");
        }
    }
}
