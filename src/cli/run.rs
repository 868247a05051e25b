//! A run: `--sync-once`, `--dry-run`, or the daemon.
//!
//! Owns: reading the surroundings (working directory, environment, the list of paths) into a request.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::args::{Args, Format, Global, Run};
use super::place::{places, working_directory};
use super::{beside_service, logs, progress, show};
use crate::config::{self, Config, Environment, Problems, Request};
use crate::daemon::{self, DaemonContext, RetryHandle, RetryRequest};
use crate::error::{Exit, RunError};
use crate::index::Problem;
use crate::index::overrides::Overrides;
use crate::model::{ActionKind, GoesOn, RelPath};
use crate::report::{MirrorReport, Report};
use crate::runtime_state::RuntimeState;
use crate::service::{Service, Signals};
use crate::status;
use crate::sync::missing_root;
use crate::sync::old_index;
use crate::sync::once::{OnceOptions, run_once};

/// Runs.
pub async fn run(args: &Args) -> Exit {
    let config = match configuration(&args.global, true) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let only = match &args.run.files_from {
        None => None,
        Some(file) => match paths_from(file, &config) {
            Ok(paths) => Some(paths),
            Err(message) => {
                tracing::error!("{message}");
                return Exit::Usage;
            }
        },
    };
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    match Signals::install() {
        Ok(signals) => drop(tokio::spawn(signals.run(stop.clone(), reload.clone()))),
        Err(error) => tracing::warn!("signals are not obeyed: {error}"),
    }
    if !args.run.sync_once && !args.run.dry_run {
        let run = &args.run;
        if only.is_some() || run.force || run.take_over || run.recreate || run.checksum {
            tracing::error!(
                "--files-from, --force, --take-over, --recreate and --checksum are for one run: add --sync-once or --dry-run"
            );
            return Exit::Usage;
        }
        // A folder named on the command line is somebody's word who is there to hear; a service waits for its share.
        let named = args.global.root.is_some();
        if named && let Some(error) = missing_root::never_there(&config).await {
            tracing::error!("{error}");
            return error.exit();
        }
        return daemon(args, config, stop, reload).await;
    }
    let options = OnceOptions {
        dry_run: args.run.dry_run,
        force: args.run.force,
        take_over: args.run.take_over,
        recreate: args.run.recreate,
        checksum: args.run.checksum,
        only,
        ..OnceOptions::default()
    };
    let shown = progress::wanted(args).then(|| progress::show(&options.progress, logs::bars()));
    let ended = run_once(&config, &options, &stop).await;
    drop(shown);
    match ended {
        Ok(end) => {
            if !wrote_report(&args.run, &end.report) {
                return Exit::Incomplete.max(end.exit);
            }
            let printed = show::print(&show::report(&end.report, args.global.format));
            if printed == Exit::Done { end.exit } else { printed }
        }
        Err(error) => {
            tracing::error!("{}", error.told(GoesOn::NextRun));
            let Run { force, take_over, recreate, .. } = args.run;
            let asked = Overrides { force, take_over, recreate };
            if error.exit() == Exit::Locked && asked.any() && !args.run.dry_run {
                let flags = asked.flags().join(" ");
                tracing::error!("where that one is a daemon, `dato-mirror retry {flags}` has it do that");
            }
            // Whoever reads the report, or the comment on a pull request, learns it there too.
            let report = unbegun(&config, &error);
            wrote_report(&args.run, &report);
            if args.global.format != Format::Text {
                show::print(&show::report(&report, args.global.format));
            }
            error.exit()
        }
    }
}

/// Writes what `--report` asks for; false where it cannot be written.
fn wrote_report(run: &Run, report: &Report) -> bool {
    let Some(file) = &run.report else { return true };
    let written = std::fs::write(file, show::report(report, Format::Json));
    if let Err(error) = &written {
        tracing::error!("--report {}: {error}; name a file in a folder that may be written", file.display());
    }
    written.is_ok()
}

/// The report of a run that ended before it could do anything.
fn unbegun(config: &Config, error: &RunError) -> Report {
    let problem = Problem::new(ActionKind::Start, error.told(GoesOn::NextRun), "see the cause");
    let mirrors = config.mirrors.iter().map(|mirror| {
        let mut report = MirrorReport {
            name: mirror.name.clone(),
            root: mirror.root.display().to_string(),
            ..MirrorReport::default()
        };
        report.problem("", &problem);
        report
    });
    Report { mirrors: mirrors.collect(), duration_ms: 0 }
}

async fn daemon(args: &Args, config: Config, stop: CancellationToken, reload: Arc<Notify>) -> Exit {
    let mirrors = config.mirrors.iter().map(|mirror| (mirror.name.clone(), mirror.root.display().to_string()));
    let live = RuntimeState::new(Instant::now(), Timestamp::now(), mirrors);
    let service = Service::open(&Environment::of_process());
    let retry = Arc::new(RetryHandle::default());
    let mut side = JoinSet::new();
    if let Some(address) = config.status_listen {
        match status::bind(address).await {
            Ok(listener) => {
                let (live, stop, retry) = (live.clone(), stop.clone(), retry_with(retry.clone()));
                side.spawn(async move {
                    if let Err(error) = status::serve(listener, live, retry, stop).await {
                        tracing::warn!("the status page ended: {error}");
                    }
                });
            }
            Err(error) => {
                tracing::error!("{error}");
                return Exit::Usage;
            }
        }
    }
    let (told, told_live, told_stop) = (service.clone(), live.clone(), stop.clone());
    side.spawn(async move { told.run(&told_live, &told_stop).await });
    let (global, reading, read) = (args.global.clone(), service.clone(), service.clone());
    let context = DaemonContext {
        live,
        stop: stop.clone(),
        retry,
        reload,
        load: Arc::new(move || {
            reading.reloading();
            read_configuration(&global, true).map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
        }),
        reloaded: Arc::new(move || read.reloaded()),
    };
    let ended = daemon::run(config, &context).await;
    if let Err(error) = &ended {
        tracing::error!("{error}");
        service.last_words(&error.to_string());
    }
    stop.cancel();
    while side.join_next().await.is_some() {}
    ended.map_or_else(|error| error.exit(), |()| Exit::Done)
}

/// What the page's retry buttons do.
fn retry_with(handle: Arc<RetryHandle>) -> status::Retry {
    Arc::new(move |asked| {
        let handle = handle.clone();
        Box::pin(async move {
            let request = RetryRequest { mirror: asked.mirror, path: asked.path };
            handle.retry(request).await.map_err(|error| error.to_string())
        })
    })
}

/// Asks a running daemon for its health: what a container's health check runs.
pub async fn healthcheck(args: &Args) -> Exit {
    let configured = read_configuration(&args.global, false).ok().and_then(|config| config.status_listen);
    let environment = || std::env::var("DATO_MIRROR_STATUS_LISTEN").ok()?.parse().ok();
    let Some(address) = configured.or_else(environment) else {
        tracing::error!("there is no `[status] listen` to ask; set it, or DATO_MIRROR_STATUS_LISTEN");
        return Exit::Incomplete;
    };
    match status::check(address).await {
        Ok(()) => Exit::Done,
        Err(cause) => {
            tracing::error!("{cause}");
            Exit::Incomplete
        }
    }
}

/// The configuration, with its problems told.
///
/// # Errors
/// The exit code.
pub fn configuration(global: &Global, needs_token: bool) -> Result<Config, Exit> {
    match read_configuration(global, needs_token) {
        Ok(config) => {
            for warning in &config.warnings {
                tracing::warn!("{warning}");
            }
            Ok(config)
        }
        Err(problems) => {
            tell(&problems);
            Err(Exit::Usage)
        }
    }
}

/// Tells what is wrong with a configuration.
pub fn tell(problems: &Problems) {
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // Not a log line: it has its own shape, of several lines.
    let text = problems.render(color) + "\n";
    let _ = std::io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
}

/// [`configuration`] for a command that shows state: its index is where it lies now, which may be the place that all
/// configurations shared before; with the system service's configuration it is the service's.
///
/// # Errors
/// The exit code.
pub fn shown_configuration(global: &Global, needs_token: bool) -> Result<Config, Exit> {
    let mut config = configuration(global, needs_token)?;
    config.state_path = old_index::place_of(&config);
    match beside_service::index_of(&config, &Environment::of_process()) {
        Ok(None) => {}
        Ok(Some(index)) => config.state_path = index,
        // What asks the service has something to show without an index.
        Err(message) if needs_token => {
            tracing::warn!("{message}");
            config.warnings.push(message);
        }
        Err(message) => {
            tracing::error!("{message}");
            return Err(Exit::Usage);
        }
    }
    Ok(config)
}

fn read_configuration(global: &Global, needs_token: bool) -> Result<Config, Problems> {
    let environment = Environment::of_process();
    let request = Request {
        config_file: global.config.clone(),
        root: global.root.clone(),
        name: global.name.clone(),
        mirror: global.mirror.clone(),
        needs_token,
        // Empty: relative paths mean nothing then.
        cwd: working_directory().unwrap_or_default(),
        home: std::env::home_dir(),
    };
    config::load(&request, &environment)
}

/// The paths of `--files-from`: below a mirror's root, given relative to it or to the working directory, or absolute.
fn paths_from(file: &Path, config: &Config) -> Result<Vec<RelPath>, String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("--files-from {}: {error}", file.display()))?;
    let cwd = working_directory();
    let separator = if bytes.contains(&0) { 0 } else { b'\n' };
    bytes
        .split(|byte| *byte == separator)
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(|line| {
            let path = Path::new(OsStr::from_bytes(line));
            let all = places(path, cwd.as_deref(), config).map_err(|error| format!("--files-from: {error}"))?;
            let found = all.into_iter().next().map(|(_, path)| path);
            found.ok_or_else(|| format!("--files-from: {} is not below the root of a mirror", path.display()))
        })
        .collect()
}
