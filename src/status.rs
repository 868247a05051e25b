//! The HTTP server on `[status] listen`.
//!
//! Owns: the listener, its guard and its end. What it shows is the [`Live`] value; each thing it shows is a file of its own
//! in `status/` with a `routes()` that is merged here.
//! Never does: changing anything, or calling the service.
//! Called by: the daemon's start; the `healthcheck` command calls [`check`].

mod client;
mod guard;
mod health;
mod json;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::live::Live;

pub use client::check;

/// How long open connections may take to end when the server ends. A page that follows events would keep it for ever.
const GRACE: Duration = Duration::from_secs(2);

/// What every request can see.
#[derive(Debug, Clone)]
struct Shared {
    live: Arc<Live>,
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
/// When the listener fails.
pub async fn serve(listener: TcpListener, live: Arc<Live>, stop: CancellationToken) -> io::Result<()> {
    let listen = listener.local_addr()?;
    let ended = stop.clone().cancelled_owned();
    let app = router(listen, Shared { live });
    let server = axum::serve(listener, app).with_graceful_shutdown(ended).into_future();
    tokio::pin!(server);
    tokio::select! {
        result = &mut server => return result,
        () = stop.cancelled() => {}
    }
    // What is still open then ends with the process.
    timeout(GRACE, server).await.unwrap_or(Ok(()))
}

fn router(listen: SocketAddr, shared: Shared) -> Router {
    let routes = Router::new().merge(health::routes()).merge(json::routes());
    // The guard is the outermost layer: nothing answers around it, not even "not found".
    routes.with_state(shared).layer(from_fn_with_state(listen, guard::enter))
}
