//! The files that run dato-mirror elsewhere: units, container file and the Kubernetes example agree with systemd, the
//! command line and the configuration.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers outside #[test] functions fail a test like their callers do"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dato_mirror::cli::args::Args;
use dato_mirror::config::{self, Environment, Request, api};

const SYSTEM: &str = "systemd/dato-mirror.service";
const USER: &str = "systemd/user/dato-mirror.service";
const DROP_INS: [&str; 3] = ["folder.conf", "folder-in-home.conf", "backoff.conf"];
const BINARY: &str = "/usr/bin/dato-mirror";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Values of a unit's key.
fn values<'a>(unit: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    unit.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
}

/// Whether systemd's own checker is here; says so when it is not.
fn has_systemd() -> bool {
    let found = Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("not checked: systemd-analyze is not installed");
    }
    found
}

/// The unit in a folder of its own, with a binary that is there.
fn installed(folder: &Path, unit: &str) -> PathBuf {
    let path = folder.join("dato-mirror.service");
    let binary = std::env::current_exe().unwrap();
    fs::write(&path, read(unit).replace(BINARY, binary.to_str().unwrap())).unwrap();
    path
}

/// Runs systemd-analyze and returns whether it succeeded and all it said.
fn analyze(words: &[&str], unit: &Path, runtime: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(words)
        .arg("--no-pager")
        .arg(unit)
        .env("XDG_RUNTIME_DIR", runtime)
        .env("SYSTEMD_COLORS", "0")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !has_systemd() {
        return;
    }
    for (unit, manager) in [(SYSTEM, "--system"), (USER, "--user")] {
        let folder = tempfile::tempdir().unwrap();
        let path = installed(folder.path(), unit);
        let verify = |path: &Path| analyze(&[manager, "verify", "--man=no"], path, folder.path());
        assert_eq!(verify(&path), (true, String::new()), "{unit}");
        // The check would see a slip.
        let broken = fs::read_to_string(&path).unwrap().replace("WatchdogSec=", "WatchDogSec=");
        fs::write(&path, broken).unwrap();
        assert!(verify(&path).1.contains("WatchDogSec"), "{unit}");
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_drop_ins() {
    if !has_systemd() {
        return;
    }
    for drop_in in DROP_INS {
        let folder = tempfile::tempdir().unwrap();
        let path = installed(folder.path(), SYSTEM);
        let place = folder.path().join("dato-mirror.service.d");
        fs::create_dir(&place).unwrap();
        fs::write(place.join(drop_in), read(&format!("systemd/drop-ins/{drop_in}"))).unwrap();
        let (fine, said) = analyze(&["verify", "--man=no"], &path, folder.path());
        // Systemd before 254 does not know the keys of this one, and ignores them as the file says.
        let known = |line: &&str| !(drop_in == "backoff.conf" && line.contains("Unknown key"));
        assert_eq!((fine, said.lines().filter(known).collect::<Vec<_>>()), (true, vec![]), "{drop_in}");
        assert!(exposure(&path, folder.path()) <= 1.5, "{drop_in}");
    }
}

#[test]
fn the_system_unit_is_exposed_at_most_1_5() {
    if !has_systemd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let exposure = exposure(&installed(folder.path(), SYSTEM), folder.path());
    assert!(exposure <= 1.5, "{exposure}");
}

fn exposure(unit: &Path, runtime: &Path) -> f64 {
    let (_, said) = analyze(&["security", "--offline=true"], unit, runtime);
    // What it has to say about unknown keys stands around the table.
    let figure = said.lines().find_map(|line| line.split_once("level for dato-mirror.service: ")).expect(&said).1;
    figure.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_units_say_what_the_program_understands() {
    for path in [SYSTEM, USER] {
        let unit = read(path);
        let start: Vec<_> = values(&unit, "ExecStart").collect();
        assert_eq!(start.len(), 1, "{path}");
        let words = start[0].split(' ').map(str::to_owned);
        let args = Args::read(words).expect(path);
        assert!(args.command.is_none() && args.global.config.is_some() && start[0].starts_with(BINARY), "{path}");
        assert_eq!(values(&unit, "Type").collect::<Vec<_>>(), ["notify"], "{path}");
        assert_eq!(values(&unit, "RestartPreventExitStatus").collect::<Vec<_>>(), ["2 4"], "{path}");
    }
    let system = read(SYSTEM);
    let credential = values(&system, "LoadCredential").next().unwrap().split(':').next().unwrap();
    assert_eq!(credential, api::TOKEN_CREDENTIAL);
}

/// The variables that a text speaks of, in comments too.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_'));
    words.filter(|word| word.starts_with("DATO_MIRROR_") || word.starts_with("DATOCMS_")).collect()
}

/// Whether the configuration knows the variable: it either takes the value, or refuses it as wrong.
fn is_known(name: &str) -> bool {
    // The one variable without our prefix.
    if name.starts_with("DATOCMS_") {
        return name == api::TOKEN_VARIABLE;
    }
    let environment: Environment = [("DATO_MIRROR_ROOT", "/"), (name, "1")].into_iter().collect();
    let request = Request { cwd: "/".into(), home: Some("/".into()), ..Request::default() };
    let unknown = format!("${name} is no variable");
    config::load(&request, &environment)
        .map_or(true, |config| !config.warnings.iter().any(|warning| warning.starts_with(&unknown)))
}

#[test]
fn every_variable_in_these_files_is_one_the_configuration_knows() {
    assert!(is_known("DATO_MIRROR_SETTLE") && !is_known("DATO_MIRROR_NOPE") && !is_known("DATOCMS_API_TOKENS"));
    let drop_ins = DROP_INS.map(|name| format!("systemd/drop-ins/{name}"));
    let files = ["Dockerfile", "deploy/kubernetes.yaml", SYSTEM, USER].into_iter();
    for file in files.chain(drop_ins.iter().map(String::as_str)) {
        let text = read(file);
        let unknown: Vec<_> = named(&text).into_iter().filter(|name| !is_known(name)).collect();
        assert_eq!(unknown, [""; 0], "{file}");
    }
}

/// The container's `ENV`, as name and value.
fn image_variables(dockerfile: &str) -> Vec<(String, String)> {
    let last = dockerfile.rsplit("\nFROM ").next().unwrap().replace("\\\n", " ");
    let lines = last.lines().filter_map(|line| line.strip_prefix("ENV "));
    let pairs = lines.flat_map(str::split_whitespace).map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The variables of the Kubernetes example, as name and value.
fn pod_variables(yaml: &str) -> Vec<(String, String)> {
    let lines: Vec<_> = yaml.lines().map(str::trim).collect();
    let pair = |two: &[&str]| {
        let name = two[0].strip_prefix("- name: ")?;
        Some((name.to_owned(), two[1].strip_prefix("value: ")?.trim_matches('"').to_owned()))
    };
    lines.windows(2).filter_map(pair).collect()
}

#[test]
fn the_container_and_the_pod_are_a_valid_configuration() {
    let (image, pod) = (image_variables(&read("Dockerfile")), pod_variables(&read("deploy/kubernetes.yaml")));
    assert_eq!((image.len(), pod.len()), (2, 6));
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), "sandbox\n").unwrap();
    let token = token.path().to_str().unwrap();
    let variables: Vec<(String, String)> = [("DATO_MIRROR_ROOT".to_owned(), "/mirror".to_owned())]
        .into_iter()
        .chain(image)
        .chain(pod)
        .map(
            |(name, value)| if name == "DATO_MIRROR_API_TOKEN_FILE" { (name, token.to_owned()) } else { (name, value) },
        )
        .collect();
    let request = Request { cwd: "/".into(), needs_token: true, ..Request::default() };
    let config = config::load(&request, &variables.into_iter().collect()).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(config.state_path, Path::new("/var/lib/dato-mirror/index.sqlite"));
    // Probes come from outside the container.
    assert!(config.status_listen.unwrap().ip().is_unspecified());
    assert_eq!(config.mirrors[0].name, "brand");
}

#[test]
fn the_containers_health_check_is_a_command_of_the_program() {
    let dockerfile = read("Dockerfile");
    let check = dockerfile.lines().find(|line| line.starts_with("HEALTHCHECK ")).unwrap();
    let words: Vec<String> = serde_json::from_str(check.split_once(" CMD ").unwrap().1).unwrap();
    let entry = dockerfile.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).unwrap();
    let entry: Vec<String> = serde_json::from_str(entry).unwrap();
    assert_eq!(words[0], entry[0]);
    let args = Args::read(words).unwrap();
    assert!(matches!(args.command, Some(dato_mirror::cli::args::Command::Healthcheck)));
}
