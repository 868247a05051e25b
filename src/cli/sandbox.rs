//! `dato-mirror sandbox`: a local media area with the same API.

use dato_sandbox::{Options, Settings, check_address, run as serve};
use tokio::net::TcpListener;

use super::args::Sandbox as Flags;
use super::show::print;
use crate::error::Exit;

/// Runs a sandbox until it is told to stop.
pub async fn run(flags: &Flags) -> Exit {
    if let Err(error) = check_address(flags.listen) {
        tracing::error!("the sandbox does not start: {error}");
        return Exit::Usage;
    }
    let options = Options { data: flags.data.clone(), settings: settings(flags), ..Options::default() };
    let listener = match TcpListener::bind(flags.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("cannot listen on {}: {error}; choose another --listen", flags.listen);
            return Exit::Usage;
        }
    };
    let address = listener.local_addr().unwrap_or(flags.listen);
    let said = print(&format!(
        "media area on http://{address}  (tokens: sandbox, sandbox-readonly)\n\
         try: DATOCMS_API_TOKEN=sandbox DATO_MIRROR_API_BASE_URL=http://{address} dato-mirror --root DIR --sync-once\n"
    ));
    if said != Exit::Done {
        return said;
    }
    let stop = async {
        // Without a handler the default one ends the process, which is as good.
        let _ = tokio::signal::ctrl_c().await;
    };
    match serve(listener, options, stop).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            tracing::error!("the sandbox failed: {error}");
            Exit::Usage
        }
    }
}

fn settings(flags: &Flags) -> Settings {
    Settings {
        rate_limit: flags.rate_limit,
        rate_window_ms: u32::try_from(flags.rate_window.as_millis()).unwrap_or(u32::MAX),
        job_min_ms: u32::try_from(flags.job_latency.min_ms).unwrap_or(u32::MAX),
        job_max_ms: u32::try_from(flags.job_latency.max_ms).unwrap_or(u32::MAX),
        by_field: !flags.by_locale,
        locales: flags.locales.clone(),
        ..Settings::default()
    }
}
