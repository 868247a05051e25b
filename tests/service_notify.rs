//! The notify protocol over a real datagram socket, and real signals in a real process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers outside #[test] functions fail a test like their callers do"
)]

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dato_mirror::config::Environment;
use dato_mirror::runtime_state::{Phase, RuntimeState};
use dato_mirror::service::{Service, Signals};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(300);

struct Manager {
    socket: UnixDatagram,
    _folder: tempfile::TempDir,
    address: String,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, _folder: folder, address: path.to_str().unwrap().to_owned() }
    }

    fn environment(&self, more: &[(&str, &str)]) -> Environment {
        let socket = [("NOTIFY_SOCKET", self.address.as_str())];
        socket.iter().chain(more).copied().collect()
    }

    /// The next message, its lines joined with a space.
    fn hear(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).unwrap().replace('\n', " ")
    }

    /// Waits for a message that holds `part`, and returns all up to it.
    fn hear_until(&self, part: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while Instant::now() < deadline {
            heard.push(self.hear());
            if heard.last().unwrap().contains(part) {
                return heard;
            }
        }
        panic!("never heard {part}: {heard:?}");
    }
}

fn live() -> Arc<RuntimeState> {
    RuntimeState::new(Instant::now(), Timestamp::now(), [("brand", "/srv/brand")])
}

/// A running notifier; the test is the manager on its own thread.
fn start(service: &Service, live: &Arc<RuntimeState>, stop: &CancellationToken) -> std::thread::JoinHandle<()> {
    let (service, live, stop) = (service.clone(), Arc::clone(live), stop.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(service.run(&live, &stop));
    })
}

#[test]
fn the_manager_hears_the_whole_life_of_the_service_in_order() {
    let manager = Manager::new();
    let (service, live, stop) = (Service::open(&manager.environment(&[])), live(), CancellationToken::new());
    let running = start(&service, &live, &stop);
    assert_eq!(manager.hear(), "EXTEND_TIMEOUT_USEC=90000000 STATUS=brand: starting");
    live.scanned("brand");
    assert_eq!(manager.hear_until("READY=1").len(), 1);
    live.set_phase("brand", Phase::Idle);
    assert_eq!(manager.hear(), "STATUS=brand: up to date");
    service.reloading();
    let reloading = manager.hear();
    let told = reloading.strip_prefix("RELOADING=1 MONOTONIC_USEC=").expect(&reloading);
    assert!(told.split(' ').next().unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
    service.reloaded();
    assert_eq!(manager.hear(), "READY=1 STATUS=brand: up to date");
    stop.cancel();
    assert_eq!(manager.hear(), "STOPPING=1 STATUS=stopping: finishing or parking what is in flight");
    running.join().unwrap();
    service.last_words("could not\nstop");
    assert_eq!(manager.hear(), "STATUS=could not stop");
}

#[test]
fn the_watchdog_hears_nothing_from_a_process_that_does_nothing() {
    let manager = Manager::new();
    let pid = std::process::id().to_string();
    let environment = manager.environment(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", &pid)]);
    let (service, live, stop) = (Service::open(&environment), live(), CancellationToken::new());
    live.scanned("brand");
    let running = start(&service, &live, &stop);
    assert!(manager.hear().starts_with("READY=1 WATCHDOG=1"));
    // Fed again and again while there is progress.
    for _ in 0..3 {
        live.progress(Instant::now());
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    // Silence: at most what the last sign of life was worth, then nothing.
    let mut fed = 0;
    manager.socket.set_read_timeout(Some(Duration::from_millis(2500))).unwrap();
    let mut buffer = [0; 64];
    while manager.socket.recv(&mut buffer).is_ok() {
        fed += 1;
        assert!(fed < 20, "the watchdog is fed without progress");
    }
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // A loop that rests is not stuck.
    live.rest_until(Instant::now() + Duration::from_secs(3600));
    assert_eq!(manager.hear(), "WATCHDOG=1");
    assert_eq!(manager.hear(), "WATCHDOG=1");
    stop.cancel();
    manager.hear_until("STOPPING=1");
    running.join().unwrap();
}

#[test]
fn a_manager_that_does_not_read_blocks_nobody_and_misses_no_turn() {
    let manager = Manager::new();
    let (service, live, stop) = (Service::open(&manager.environment(&[])), live(), CancellationToken::new());
    // Far more than a socket's queue holds.
    let begin = Instant::now();
    for number in 0..5000 {
        service.last_words(&format!("line {number}"));
    }
    assert!(begin.elapsed() < PATIENCE);
    live.scanned("brand");
    let running = start(&service, &live, &stop);
    manager.hear_until("READY=1");
    stop.cancel();
    manager.hear_until("STOPPING=1");
    running.join().unwrap();
}

/// Nothing changes any more after what it had no room for, so nothing else would tell it.
#[test]
fn a_manager_that_reads_again_hears_how_it_is_now() {
    let manager = Manager::new();
    let (service, live, stop) = (Service::open(&manager.environment(&[])), live(), CancellationToken::new());
    live.scanned("brand");
    let running = start(&service, &live, &stop);
    manager.hear_until("READY=1");
    for number in 0..5000 {
        service.last_words(&format!("line {number}"));
    }
    live.set_phase("brand", Phase::Idle);
    // Time for the news to be told and lost; where it is too short, the news comes later and is heard the first time.
    std::thread::sleep(Duration::from_secs(2));
    manager.hear_until("STATUS=brand: up to date");
    stop.cancel();
    manager.hear_until("STOPPING=1");
    running.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_without_a_path_is_found() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("dato-mirror-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let environment: Environment = [("NOTIFY_SOCKET", format!("@{name}"))].into_iter().collect();
    Service::open(&environment).last_words("hello");
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"STATUS=hello");
}

#[tokio::test]
async fn without_a_usable_socket_nothing_is_said_and_nothing_fails() {
    for address in ["", "/no/such/socket", "vsock:2:1234", "@no-such-socket"] {
        let environment: Environment = [("NOTIFY_SOCKET", address)].into_iter().collect();
        let service = Service::open(&environment);
        assert!(service.is_silent(), "{address}");
        service.reloading();
        service.reloaded();
        service.last_words("x");
        // Returns although nothing was cancelled.
        service.run(&live(), &CancellationToken::new()).await;
    }
}

/// Not a test by itself: the process that the next one sends signals to.
#[test]
fn signal_target() {
    if std::env::var_os("DATO_MIRROR_TEST_TARGET").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
        let signals = Signals::install().unwrap();
        tokio::spawn(signals.run(stop.clone(), Arc::clone(&reload)));
        let environment = Environment::of_process();
        let service = Service::open(&environment);
        service.last_words("installed");
        loop {
            tokio::select! {
                () = reload.notified() => service.last_words("reload"),
                () = stop.cancelled() => break,
            }
        }
        service.last_words("stop");
        // Work that does not end by itself.
        if environment.has("DATO_MIRROR_TEST_HANGS") {
            std::future::pending::<()>().await;
        }
    });
}

fn target(manager: &Manager, hangs: bool) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "signal_target"])
        .env("DATO_MIRROR_TEST_TARGET", "1")
        .env("NOTIFY_SOCKET", &manager.address);
    if hangs {
        command.env("DATO_MIRROR_TEST_HANGS", "1");
    }
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(manager.hear(), "STATUS=installed");
    child
}

fn send(child: &std::process::Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn sighup_reloads_and_sigterm_stops() {
    use rustix::process::Signal;
    let manager = Manager::new();
    let mut child = target(&manager, false);
    send(&child, Signal::HUP);
    assert_eq!(manager.hear(), "STATUS=reload");
    send(&child, Signal::HUP);
    assert_eq!(manager.hear(), "STATUS=reload");
    send(&child, Signal::TERM);
    assert_eq!(manager.hear(), "STATUS=stop");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_interrupt_exits_at_once_with_130() {
    use rustix::process::Signal;
    let manager = Manager::new();
    let mut child = target(&manager, true);
    send(&child, Signal::INT);
    assert_eq!(manager.hear(), "STATUS=stop");
    assert!(child.try_wait().unwrap().is_none());
    send(&child, Signal::INT);
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None));
}
