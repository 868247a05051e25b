//! The HTTP server on `[status] listen`.
//!
//! Owns: the listener, its guard and its end. What it shows is the [`RuntimeState`] value; each thing it shows is a
//! file of its own in `status/` with a `routes()` that is merged here. Never does: calling the service, or changing
//! anything: a [`Retry`] is asked for by somebody who may.

mod client;
mod connections;
mod events;
mod guard;
mod health;
mod json;
mod metrics;
mod page;
mod retry;
mod secret;
mod series;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::runtime_state::RuntimeState;

pub use client::check;
pub use retry::{Asked, Retry};

use secret::Secret;
use series::Series;

/// How long open connections may take to end when the server ends. A page that follows events would keep it for ever.
const GRACE: Duration = Duration::from_secs(2);

/// Pages that may follow at a time.
const FOLLOWERS: usize = 32;

/// What every request can see.
#[derive(Clone)]
struct Shared {
    live: Arc<RuntimeState>,
    retry: Retry,
    /// What a request must show to change anything.
    secret: Arc<Secret>,
    series: watch::Receiver<Series>,
    followers: Arc<Semaphore>,
    stop: CancellationToken,
}

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("the status page cannot listen on {listen} ({cause}); {advice}")]
pub struct ListenError {
    /// The address.
    pub listen: SocketAddr,
    /// What the system said.
    #[source]
    pub cause: io::Error,
    advice: &'static str,
}

/// Takes the address, so that a configuration that cannot work is told at the start.
///
/// # Errors
/// When the address is taken, not this machine's, or not allowed.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(listen).await.map_err(|cause| {
        let advice = match cause.kind() {
            io::ErrorKind::AddrInUse => {
                "another program has that port: stop it, or choose another `listen` in [status]"
            }
            io::ErrorKind::AddrNotAvailable => "that address is not this machine's: correct `listen` in [status]",
            io::ErrorKind::PermissionDenied => "choose a port above 1023 as `listen` in [status]",
            _ => "correct `listen` in [status], or leave it out to have no status page",
        };
        ListenError { listen, cause, advice }
    })
}

/// Answers until `stop` is cancelled, and 2 s longer at most.
///
/// # Errors
/// When the system has no random numbers, or does not tell the listener's address.
pub async fn serve(
    listener: TcpListener,
    live: Arc<RuntimeState>,
    retry: Retry,
    stop: CancellationToken,
) -> io::Result<()> {
    let listen = listener.local_addr()?;
    let (sampler, series) = watch::channel(Series::default());
    let shared = Shared {
        live: live.clone(),
        retry,
        secret: Arc::new(Secret::new()?),
        series,
        followers: Arc::new(Semaphore::new(FOLLOWERS)),
        stop: stop.clone(),
    };
    let app = router(listen, shared);
    let server = connections::answer(listener, app, stop.clone());
    tokio::pin!(server);
    tokio::select! {
        () = &mut server => return Ok(()),
        () = series::sample(&live, &sampler) => {}
        () = stop.cancelled() => {}
    }
    // What is still open then ends with the process.
    let _ = timeout(GRACE, server).await;
    Ok(())
}

fn router(listen: SocketAddr, shared: Shared) -> Router {
    let routes = Router::new()
        .merge(page::routes())
        .merge(events::routes())
        .merge(retry::routes())
        .merge(metrics::routes())
        .merge(health::routes())
        .merge(json::routes());
    // The guard is the outermost layer: nothing answers around it, not even "not found".
    routes.with_state(shared).layer(from_fn_with_state(listen, guard::enter))
}
