//! `dato-mirror demo`: the whole tool in half a minute, with no account, no token and no network.
//!
//! Owns: a small made-up brand folder, the story that is told with it, and how the story is printed. The work itself is
//! the real one: the same pipeline, over HTTP, against a sandbox in this process.

mod files;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use dato_sandbox::{AssetView, Options, Sandbox, Settings};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::args::Demo as Flags;
use super::show::{print, table};
use crate::config::{Api, Config, Mirror};
use crate::error::Exit;
use crate::report::MirrorReport;
use crate::sync::once::{OnceEnd, OnceOptions, run_once};

/// Runs the demo.
pub async fn run(flags: &Flags) -> Exit {
    match tell(flags).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            tracing::error!("the demo failed: {error:#}");
            Exit::Incomplete
        }
    }
}

async fn tell(flags: &Flags) -> anyhow::Result<()> {
    let stage = Stage::set(flags).await?;
    let folder = stage.root.display();
    say(&format!("A sandbox media area runs on {} and a brand folder is in {folder}.\n", stage.sandbox.base_url()))?;

    files::make(&stage.root)?;
    say("\n1. The first run mirrors the folder.\n")?;
    let first = stage.mirror().await?;
    say(&stage.assets_table())?;

    say(
        "\n2. A designer changes logo.svg, moves press.pdf into archive/ and saves a copy of icon.png. The second run:\n",
    )?;
    let before = stage.asset("logo.svg");
    files::edit(&stage.root)?;
    let second = stage.mirror().await?;
    let after = stage.asset("logo.svg");
    say(&happened(&second, before.as_ref(), after.as_ref()))?;

    say("\n3. The third run, with nothing changed:\n")?;
    let third = stage.mirror().await?;
    let mut costs = table(["run", "files", "changed", "sent", "API calls"]);
    for (name, run) in [("first", &first), ("second", &second), ("third", &third)] {
        let sent = bytesize::ByteSize::b(run.bytes_uploaded).display().si().to_string();
        costs.add_row([
            name.to_owned(),
            run.counts.scanned.to_string(),
            (run.counts.changed_paths() + run.counts.deleted).to_string(),
            sent,
            run.api_requests.to_string(),
        ]);
    }
    say(&format!("{costs}\n"))?;
    if let Some(logo) = &after {
        say(&format!("\nThe logo, at the same URL as ever: {}\n", logo.url))?;
    }
    stage.strike(flags).await
}

/// What the demo plays on.
struct Stage {
    sandbox: Sandbox,
    folder: PathBuf,
    root: PathBuf,
    config: Config,
}

impl Stage {
    async fn set(flags: &Flags) -> anyhow::Result<Self> {
        let folder = match &flags.dir {
            Some(dir) => dir.clone(),
            None => std::env::temp_dir().join(format!("dato-mirror-demo-{}", std::process::id())),
        };
        if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            anyhow::bail!("{} is not empty; give a new or empty folder with --dir", folder.display());
        }
        let root = folder.join("brand");
        std::fs::create_dir_all(&root)?;
        let settings = Settings {
            job_min_ms: 100,
            job_max_ms: 400,
            by_field: !flags.by_locale,
            locales: vec!["en".into(), "it".into()],
            ..Settings::default()
        };
        let options =
            Options { data: Some(folder.join("media-area")), site_name: "Demo".into(), settings, ..Options::default() };
        let sandbox = Sandbox::start(TcpListener::bind(("127.0.0.1", 0)).await?, options)?;
        let mirror =
            Mirror { settle: Duration::from_millis(50), layer: files::rules()?, ..Mirror::new("brand", &root) };
        let api = Api::new(sandbox.base_url(), SecretString::from("sandbox"));
        let config = Config::new(api, folder.join("state/index.sqlite"), vec![mirror]);
        Ok(Self { sandbox, folder, root, config })
    }

    async fn mirror(&self) -> anyhow::Result<MirrorReport> {
        let OnceEnd { report, .. } = run_once(&self.config, &OnceOptions::default(), &CancellationToken::new()).await?;
        let mirror = report.mirrors.into_iter().next().unwrap_or_default();
        if let Some(problem) = mirror.problems.first() {
            anyhow::bail!("{}: {}", problem.path, problem.problem.cause);
        }
        Ok(mirror)
    }

    fn asset(&self, filename: &str) -> Option<AssetView> {
        self.sandbox.assets(None).into_iter().find(|asset| asset.filename == filename)
    }

    fn assets_table(&self) -> String {
        let mut assets = self.sandbox.assets(None);
        assets.sort_by(|a, b| a.filename.cmp(&b.filename));
        let mut table = table(["asset", "size", "tags", "URL"]);
        for asset in assets {
            let size = bytesize::ByteSize::b(asset.size).display().si().to_string();
            table.add_row([asset.filename, size, asset.tags.join(", "), asset.url]);
        }
        format!("{table}\n")
    }

    async fn strike(self, flags: &Flags) -> anyhow::Result<()> {
        if flags.keep {
            say(&format!(
                "\nThe sandbox keeps running: look at {} and try\n  DATOCMS_API_TOKEN=sandbox DATO_MIRROR_API_BASE_URL={} \
                 DATO_MIRROR_STATE_PATH={} dato-mirror --root {} --dry-run\nCtrl-C ends it; the folder stays.\n",
                self.sandbox.base_url(),
                self.sandbox.base_url(),
                self.config.state_path.display(),
                self.root.display()
            ))?;
            tokio::signal::ctrl_c().await?;
            self.sandbox.stop().await;
            return Ok(());
        }
        self.sandbox.stop().await;
        std::fs::remove_dir_all(&self.folder)?;
        say("The sandbox and the folder are gone again; --keep leaves them to look at.\n")?;
        Ok(())
    }
}

/// What the second run did, in a newcomer's words.
fn happened(report: &MirrorReport, before: Option<&AssetView>, after: Option<&AssetView>) -> String {
    let mut rows = table(["what happened in the folder", "what happened in the media area"]);
    let same_url = before.zip(after).is_some_and(|(before, after)| before.url == after.url && before.md5 != after.md5);
    let replaced = if same_url { "its asset got the new file, at the same URL" } else { "its asset got the new file" };
    rows.add_row(["logo.svg was changed", replaced]);
    rows.add_row(["press.pdf moved into archive/", "the same asset: no bytes sent, its tags follow the folder"]);
    rows.add_row(["icon.png was copied", "both files share one asset: no bytes sent"]);
    format!(
        "{rows}\n({} replaced, {} moved, {} aliased, {} sent)\n",
        report.counts.replaced,
        report.counts.moved,
        report.counts.aliased,
        bytesize::ByteSize::b(report.bytes_uploaded).display().si()
    )
}

fn say(text: &str) -> io::Result<()> {
    match print(text) {
        Exit::Done => Ok(()),
        _ => Err(io::Error::other("standard output cannot be written")),
    }
}
