//! The status page in a real browser, beside the real daemon: during a sync, after a failure, after a retry by keyboard, at
//! phone width, in light and dark. The looking is in `page/look.mjs`.
//!
//! Where node, npm or chromium is missing, or npm reaches no registry, the test says so and passes: the rest of the house
//! needs none of them.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![expect(clippy::print_stdout, reason = "what was seen, and what was skipped, is told")]

#[path = "daemon/process.rs"]
#[allow(dead_code, reason = "each helper is used by one test binary or another")]
mod process;
#[path = "it/support.rs"]
#[allow(dead_code, reason = "each helper is used by one test binary or another")]
mod support;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dato_mirror::index::Problem;
use dato_mirror::index::files::FileCounts;
use dato_mirror::model::ActionKind;
use dato_mirror::report::ReportedProblem;
use dato_mirror::runtime_state::{ApiView, Change, Phase, RuntimeState, Waiting, Watching};
use dato_mirror::sandbox::{Fault, FaultKind, Settings};
use dato_mirror::status;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use process::{Daemon, configure_with};
use support::TestEnv;

/// Longer than a few files take on a busy machine.
const SOON: Duration = Duration::from_secs(300);
const FILES: [&str; 3] = ["package.json", "package-lock.json", "look.mjs"];

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A browser, and the script that looks with it.
struct Eyes {
    place: PathBuf,
    pictures: PathBuf,
    browser: &'static str,
}

impl Eyes {
    /// Nothing where something is missing.
    fn open() -> Option<Self> {
        // The tests here run side by side, and what one installs the other may not install at the same time.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| runs(name));
        let Some(browser) = browser.filter(|_| runs("node") && runs("npm")) else {
            println!("skipped: node, npm and chromium are not all on this machine, so nobody can look at the page");
            return None;
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        let pictures = place.join("pictures");
        std::fs::create_dir_all(&pictures).unwrap();
        let mut fresh = !place.join("node_modules/.package-lock.json").exists();
        for name in FILES {
            let wanted = std::fs::read(source.join(name)).unwrap();
            fresh |= name != "look.mjs" && std::fs::read(place.join(name)).unwrap_or_default() != wanted;
            std::fs::write(place.join(name), wanted).unwrap();
        }
        if fresh {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&place);
            let output = npm.output().unwrap();
            if !output.status.success() {
                println!("skipped: npm cannot install the browser's driver here:\n{}", text(&output));
                return None;
            }
        }
        Some(Self { place, pictures, browser })
    }

    fn look(&self, situation: &str, at: SocketAddr) -> Child {
        let which = Command::new("which").arg(self.browser).output().unwrap();
        let mut node = Command::new("node");
        node.args(["look.mjs", situation, &format!("http://{at}/")]).arg(&self.pictures);
        node.env("CHROMIUM", String::from_utf8_lossy(&which.stdout).trim()).current_dir(&self.place);
        node.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    #[track_caller]
    fn sees(&self, situation: &str, daemon: &Daemon) {
        let output = self.look(situation, daemon.address).wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{}", text(&output), daemon.log().join("\n"));
        println!("{}", text(&output));
    }
}

/// A picture that differs by its number.
fn drawing(number: usize) -> String {
    let (hue, turn) = (number * 37 % 360, number * 11 % 90);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\" width=\"64\" height=\"64\">\
         <rect width=\"64\" height=\"64\" fill=\"hsl({hue} 60% 88%)\"/>\
         <rect x=\"16\" y=\"16\" width=\"32\" height=\"32\" rx=\"6\" fill=\"hsl({hue} 55% 45%)\" \
         transform=\"rotate({turn} 32 32)\"/><!-- {number} --></svg>"
    )
}

#[test]
fn the_page_shows_a_sync_and_a_failure_and_mends_it_by_keyboard() {
    let Some(eyes) = Eyes::open() else { return };
    // At the pace of a small plan, so that there is time to look.
    let settings = Settings { rate_limit: 12, job_min_ms: 100, job_max_ms: 300, ..Settings::default() };
    let env = TestEnv::with(settings);
    configure_with(&env, "[api]\nmonthly_budget = 20000", "");
    let folders = ["logos", "icons/outline", "campaigns/2026 Summer – Über uns"];
    for number in 0..150 {
        env.write(format!("{}/mark-{number:03}.svg", folders[number % 3]), drawing(number));
    }
    let daemon = Daemon::start(&env, &[]);
    daemon.wait("it mirrors", || daemon.mirror()["phase"]["name"] == "mirroring");
    eyes.sees("sync", &daemon);
    env.sandbox.set(|settings| (settings.rate_limit, settings.job_min_ms, settings.job_max_ms) = (1_000_000, 0, 0));
    daemon.wait_ready();
    daemon.wait_idle();

    // Of a kind that only a change of the file, or the button, has tried again: nothing mends itself while we look.
    let kind = FaultKind::Status {
        status: 422,
        code: "INVALID_FIELD".into(),
        transient: false,
        details: serde_json::json!({ "field": "basename", "code": "VALIDATION_INVALID" }),
    };
    env.sandbox.add_fault(Fault { route: "POST /uploads".into(), skip: 0, times: None, kind });
    env.write("hostile/<img src=x onerror=document.title='owned'>.svg", drawing(500));
    env.write(
        "hostile/a name that goes on and on \u{202e}gvs.and-on-without-a-single-place-to-break-it.svg",
        drawing(501),
    );
    daemon.wait_for("both failed", SOON, || daemon.mirror()["failed"] == 2);
    eyes.sees("failure", &daemon);

    env.sandbox.clear_faults();
    eyes.sees("retry", &daemon);
    daemon.wait_idle();
    assert_eq!(env.assets().len(), 152);
    // The command does the same from beside.
    let said = env.run(&["retry"]);
    assert!(said.code == 0 && said.stdout.contains("nothing failed here"), "{said:#?}");

    let (_, metrics) = daemon.get("/metrics");
    assert!(metrics.contains("dato_mirror_files{mirror=\"brand\",state=\"mirrored\"} 152"), "{metrics}");
    for told in [&metrics, &daemon.get("/").1, &daemon.get("/status.json").1] {
        assert!(!told.contains("X-Amz-Signature") && !told.contains("Bearer"), "{told}");
    }

    // Gone, and back as another process on the same address.
    let mut page = eyes.look("lost", daemon.address);
    let mut lines = BufReader::new(page.stdout.take().unwrap()).lines();
    let mut wait_for = |word: &str| while lines.next().expect("the browser goes on").unwrap() != word {};
    wait_for("open");
    let address = daemon.address;
    daemon.stop();
    wait_for("lost");
    let _daemon = Daemon::start_at(&env, address);
    wait_for("lost: fine");
    assert!(page.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_several_mirrors_in_trouble_and_the_assets_of_a_project() {
    let Some(eyes) = Eyes::open() else { return };
    let (start, now) = (Instant::now(), Timestamp::now());
    let roots = [("brand", "/srv/share/brand"), ("film & sound", "/srv/film"), ("docs", "/srv/docs")];
    let live = RuntimeState::new(start, now, roots);
    let waiting = Waiting::Api { since: now, cause: "no route to the host; see the network of this machine".into() };
    live.set_phase("brand", Phase::Waiting { waiting });
    live.set_watching("brand", Watching::Polling { reason: "the folder is on nfs".into(), every_ms: 30_000 });
    live.set_phase("film & sound", Phase::Paused { guard: "the root is missing; nothing is deleted".into() });
    live.set_phase("docs", Phase::Idle);
    live.set_watching("docs", Watching::Native);
    live.set_degraded("docs", vec!["too few inotify watches: raise fs.inotify.max_user_watches".into()]);
    live.set_files("docs", 1_234_567, 1_234_500);
    let counts = FileCounts { files: 1_234_567, mirrored: 1_234_500, pending: 40, failed: 27, gone: 0 };
    live.set_counts("docs", counts);
    live.set_standing("docs", 40, 27);
    let cause = "the file is larger than the plan allows";
    let larger = Problem::new(ActionKind::Create, cause, "make it smaller, or change the plan");
    let problem = |number| ReportedProblem::of(format!("reports/{number}.pdf"), larger.clone());
    live.set_problems("docs", (0..3).map(problem));
    let change = |path: &str, url: Option<&str>, asset: Option<&str>| {
        let (url, asset) = (url.map(str::to_owned), asset.map(str::to_owned));
        live.changed("docs", Change { path: path.into(), action: "replace".into(), at: Timestamp::now(), url, asset });
    };
    change("old.pdf", None, None);
    change("evil.png", Some("javascript:alert(1)"), Some("/../x"));
    change("team.jpg", Some("https://www.datocms-assets.com/1/team.jpg"), Some("abc"));
    live.set_api(ApiView {
        calls_this_month: 48_000,
        budget: Some(50_000),
        forecast: Some(68_000),
        slowed: true,
        requests: 900,
        limit: Some(60),
        allowance: 20,
        others: 7,
        throttled: 2,
        down_since: Some(now),
        cms_assets: Some("https://p.admin.datocms.com/media/assets/".into()),
        ..ApiView::default()
    });
    let listener = status::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (at, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server = tokio::spawn(status::serve(listener, live, Arc::new(|_| Box::pin(async { Ok(0) })), stop.clone()));
    let page = eyes.look("many", at);
    let output = tokio::task::spawn_blocking(|| page.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    println!("{}", text(&output));
    stop.cancel();
    server.await.unwrap().unwrap();
}
