//! Whole configurations: what they resolve to, and all that is said when they are wrong.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::policy::{Collections, MaxDelete, OnDelete};
use super::*;
use crate::config::template::Template;

/// A folder with a configuration file, loaded with these variables (a token among them).
struct Case {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    request: Request,
}

impl Case {
    fn new(toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("dato-mirror.toml"), toml).unwrap();
        let request = Request {
            cwd: folder.path().to_path_buf(),
            home: Some("/home/u".into()),
            needs_token: true,
            ..Request::default()
        };
        let variables = vec![("DATOCMS_API_TOKEN".to_owned(), "sandbox".to_owned())];
        Self { folder, variables, request }
    }

    /// Where the index of this configuration lies by default.
    fn own_state(&self) -> PathBuf {
        let folder = self.folder.path().canonicalize().unwrap();
        let file = folder.join("dato-mirror.toml");
        let digest = crate::model::Md5::of(file.as_os_str().as_encoded_bytes()).to_string();
        format!("/home/u/.local/state/dato-mirror/dato-mirror-{}/index.sqlite", &digest[..12]).into()
    }

    /// No file, one folder by flag.
    fn rooted() -> Self {
        let mut case = Self::new("not read");
        std::fs::create_dir(case.folder.path().join("brand")).unwrap();
        case.request.root = Some("brand".into());
        case
    }

    /// With its file named by `--config`.
    fn named(mut self) -> Self {
        self.request.config_file = Some("dato-mirror.toml".into());
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<Config, Problems> {
        load(&self.request, &self.variables.iter().cloned().collect())
    }

    /// All problems, one a line.
    fn problems(&self) -> String {
        let lines: Vec<_> = self.load().unwrap_err().0.iter().map(ToString::to_string).collect();
        lines.join("\n").replace(&self.folder.path().display().to_string(), "DIR")
    }
}

const PLAIN: &str = "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\n";

#[test]
fn the_example_is_every_default() {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
    let case = Case::new(&example).named();
    let config = case.load().unwrap();
    let name_origin = config.mirrors[0].name_origin.clone();
    assert!(name_origin.starts_with("dato-mirror.toml:"), "{name_origin}");
    assert_eq!(config.mirrors, [Mirror { name_origin, ..Mirror::new("brand", "/srv/brand") }]);
    assert_eq!(config.api.base_url, api::BASE_URL);
    assert_eq!((config.api.rate_share, config.api.monthly_budget, config.api.upload_bandwidth), (0.8, None, None));
    assert_eq!(config.api.full_listing_interval, Duration::from_secs(86_400));
    assert_eq!((config.api.environment.as_deref(), config.status_listen), (None, None));
    assert_eq!(config.state_path, case.own_state());
    assert!(config.warnings.is_empty());
    for key in mirror::PLAIN_KEYS {
        let shown = example.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
        assert!(shown, "the example lacks {key}");
    }
}

#[test]
fn the_example_with_its_comments_opened_is_valid_too() {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
    let opened: String = example
        .lines()
        .map(|line| {
            let bare = line.trim_start_matches("# ");
            let is_toml = bare.starts_with('[')
                || bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ') && !key.is_empty());
            format!("{}\n", if is_toml { bare } else { line })
        })
        .collect();
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "secret\n").unwrap();
    let opened = opened.replace("/run/secrets/datocms", token.path().to_str().unwrap());
    let config = Case::new(&opened).named().load().unwrap();
    assert_eq!(config.mirrors[0].rules.len(), 1);
    assert_eq!(config.mirrors[0].layer.custom_data.len(), 1);
    assert_eq!(config.api.upload_bandwidth, Some(8_000_000));
    assert_eq!(config.api.token.expose_secret(), "secret");
    assert!(!format!("{config:?}").contains("secret\""), "Debug shows no token");
}

#[test]
fn every_problem_is_told_at_once_with_its_place_and_the_way_out() {
    let case = Case::new(
        r#"colour = "red"

[api]
base_uri = "https://example.com"
rate_share = "much"
monthly_budget = 0

[[mirror]]
name = "brand"
roots = "brand"
settle = 2
on_delete = "remove"
tags = ["a", 3, "{dri}"]
max_delete = "200%"

[mirror.alt]
en = 5

[mirror.custom_data.en]
dato-mirror = "x"

[[mirror.rule]]
macth = "a/**"
tags = "x"

[[mirror]]
name = ""
root = "other"
include = ["["]
"#,
    );
    insta::assert_snapshot!(case.problems(), @r#"
    dato-mirror.toml:1:1: unknown key `colour` in the file (known keys are api, state, status, mirror)
    dato-mirror.toml:4:1: unknown key `base_uri` in [api] (did you mean `base_url`?)
    dato-mirror.toml:5:14: `api.rate_share` must be a number, but is "much" (for example 0.8)
    dato-mirror.toml:6:18: `api.monthly_budget` must be at least 1 (leave the key out for no budget)
    dato-mirror.toml:8:1: [[mirror]] has no `root` (say which folder to mirror: root = "/srv/brand")
    dato-mirror.toml:10:1: unknown key `roots` in [[mirror]] (did you mean `root`?)
    dato-mirror.toml:11:10: `settle` must be a duration with a unit, but is an integer (for example "500ms", "2s", "30m", "1h" or "1d")
    dato-mirror.toml:12:13: `on_delete` must be one of "keep", "tag", "delete", but is "remove"
    dato-mirror.toml:13:14: `tags` has an item that must be a string, but is an integer (for example "text")
    dato-mirror.toml:13:17: `tags` has an item that has an unknown placeholder {dri} (did you mean {dir}?)
    dato-mirror.toml:14:14: `max_delete` must be between 0% and 100% (for example "10%")
    dato-mirror.toml:17:6: `alt.en` must be a string, but is an integer (for example "text")
    dato-mirror.toml:20:15: `dato-mirror` is not free for custom data (the mirror keeps its own record there; use another key)
    dato-mirror.toml:22:1: [[mirror.rule]] has no `match` (say which files it is for: match = "logos/**")
    dato-mirror.toml:23:1: unknown key `macth` in [[mirror.rule]] (did you mean `match`?)
    dato-mirror.toml:24:8: `tags` must be a list, but is a string (put it in brackets: ["…"])
    dato-mirror.toml:27:8: `name` is empty (give the mirror a name that will not change)
    dato-mirror.toml:29:12: `include` has an item that is no valid glob: unclosed character class; missing ']' (for example "**/*.{png,jpg}" or "logos/**")
    "#);
}

#[test]
fn a_problem_prints_its_line_and_never_a_secret() {
    let toml = format!("[api]\ntoken = \"hunter2hunter2\"\n\n{PLAIN}setle = \"2s\"\n");
    let text = Case::new(&toml).load().unwrap_err().to_string();
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text, @r#"
    error: line 2, column 1: unknown key `token` in [api]
     --> dato-mirror.toml:2:1
      |
    2 | token = …
      | ^^^^^
      |
      = help: did you mean `token_file`?

    error: line 7, column 1: unknown key `setle` in [[mirror]]
     --> dato-mirror.toml:7:1
      |
    7 | setle = "2s"
      | ^^^^^
      |
      = help: did you mean `settle`?

    2 problems
    "#);
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let problems = Case::new("[api]\nbase_url = \n[[mirror]\n").problems();
    assert!(problems.contains("dato-mirror.toml:2:") && problems.contains("dato-mirror.toml:3:"), "{problems}");
}

#[test]
fn a_folder_and_a_token_are_enough() {
    let case = Case::rooted();
    let config = case.load().unwrap();
    assert_eq!(config.mirrors, [Mirror::new("brand", case.folder.path().join("brand"))]);
    assert_eq!(config.source, None);
    assert_eq!(config.api.token_origin, Some(TokenOrigin::Environment));
    let mut case = Case::rooted();
    case.request.root = Some("/".into());
    assert_eq!(case.load().unwrap().mirrors[0].name, "root");
    let mut case = Case::rooted().with("DATO_MIRROR_ROOT", "elsewhere").with("DATO_MIRROR_NAME", "n");
    assert!(case.load().unwrap().mirrors[0].root.ends_with("brand"), "the flag goes first");
    case.request.root = None;
    let mirror = case.load().unwrap().mirrors.remove(0);
    assert!(mirror.root.ends_with("elsewhere") && mirror.name == "n");
}

#[test]
fn every_plain_key_comes_from_the_environment() {
    let values = [
        ("name", "n"),
        ("root", "brand"),
        ("include", "**/*.{png,jpg}, *.svg"),
        ("exclude", "drafts/**"),
        ("settle", "5s"),
        ("watch", "poll"),
        ("poll_interval", "1m"),
        ("rescan_interval", "2h"),
        ("remote_refresh", "1d"),
        ("on_change", "new_url"),
        ("on_rename", "rename"),
        ("on_delete", "tag"),
        ("on_remote_change", "accept"),
        ("on_remote_delete", "recreate"),
        ("duplicates", "separate"),
        ("max_delete", "10%"),
        ("authoritative", "true"),
        ("collections", "Some/Collection"),
        ("stamp", "digest"),
        ("tags", "a,{dir}"),
        ("author", "me"),
        ("copyright", "© {year}"),
        ("notes", "x"),
        ("embedded_metadata", "false"),
        ("manifest", "assets.json"),
        ("manifest_types", "true"),
        ("verify_live", "true"),
        ("allow_private_urls", "1"),
    ];
    assert_eq!(values.map(|(key, _)| key), mirror::PLAIN_KEYS);
    let variable = |key: &str| format!("DATO_MIRROR_{}", key.to_ascii_uppercase());
    let mut case = Case::rooted();
    for (key, value) in values {
        case = case.with(&variable(key), value);
    }
    let config = case.load().unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let mirror = &config.mirrors[0];
    assert_eq!(mirror.include, ["**/*.{png,jpg}", "*.svg"]);
    assert_eq!((mirror.on_delete, mirror.max_delete), (OnDelete::Tag, MaxDelete::Percent(10.0)));
    assert_eq!(mirror.collections, Collections::Into("Some/Collection".into()));
    assert_eq!(mirror.manifest, Some(case.folder.path().join("assets.json")));
    assert_eq!(mirror.layer.tags, [Template::literal("a"), Template::parse("{dir}").unwrap()]);
    // Each alone changes something, so none is read and forgotten.
    let plain = Case::rooted().load().unwrap().mirrors.remove(0);
    for (key, value) in values {
        let case = Case::rooted().with(&variable(key), value).with("DATO_MIRROR_MANIFEST", "m");
        let mut mirror = case.load().unwrap().mirrors.remove(0);
        assert!(mirror.manifest.is_some());
        if key != "manifest" {
            mirror.manifest = None;
        }
        assert_eq!(Mirror { root: plain.root.clone(), ..mirror } == plain, key == "root", "{key}");
    }
}

#[test]
fn how_often_everything_is_listed_can_be_told_and_is_never_no_time_at_all() {
    let toml = |value: &str| format!("[api]\nfull_listing_interval = {value}\n{PLAIN}");
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(Case::new(PLAIN).load().unwrap().api.full_listing_interval, days(1));
    for (value, expected) in [("\"12h\"", days(1) / 2), ("\"7d\"", days(7)), ("\"365d\"", days(365))] {
        assert_eq!(Case::new(&toml(value)).load().unwrap().api.full_listing_interval, expected, "{value}");
    }
    let told = Case::new(PLAIN).with("DATO_MIRROR_API_FULL_LISTING_INTERVAL", "2d").load().unwrap();
    assert_eq!(told.api.full_listing_interval, days(2));
    assert!(told.warnings.is_empty(), "{:?}", told.warnings);
    for (value, wrong) in [("\"0s\"", "must be more than no time at all"), ("24", "must be a duration with a unit")] {
        let problems = Case::new(&toml(value)).problems();
        let expected = format!("dato-mirror.toml:2:25: `api.full_listing_interval` {wrong}");
        assert!(problems.starts_with(&expected), "{problems}");
    }
}

#[test]
fn the_environment_goes_before_the_file_and_hides_no_problem_of_it() {
    let toml = format!("[api]\nrate_share = 0.5\n[state]\npath = \"a.sqlite\"\nremote_cache = \"2MB\"\n{PLAIN}");
    let config = Case::new(&toml).with("DATO_MIRROR_API_RATE_SHARE", "1").load().unwrap();
    assert_eq!(config.api.rate_share, 1.0);
    assert_eq!(config.origins["api.rate_share"], Place::Environment("DATO_MIRROR_API_RATE_SHARE".into()));
    assert!(matches!(&config.origins["state.path"], Place::File(place) if place.line == 4));
    assert!(config.origins.contains_key("mirror.brand.root"));
    let wrong = Case::new(&toml.replace("0.5", "5")).with("DATO_MIRROR_API_RATE_SHARE", "1").problems();
    assert!(wrong.starts_with("dato-mirror.toml:2:14: `api.rate_share` must be above 0"), "{wrong}");
    let wrong = Case::new(&toml).with("DATO_MIRROR_STATUS_LISTEN", "here").problems();
    assert!(wrong.starts_with("$DATO_MIRROR_STATUS_LISTEN: `status.listen` must be an address"), "{wrong}");
    // An empty variable is as good as none: container files often pass them on.
    assert!(Case::new(&toml).with("DATO_MIRROR_STATUS_LISTEN", "").load().is_ok());
}

#[test]
fn slips_in_variables_are_warned_of() {
    let case = Case::new(PLAIN).with("DATO_MIRROR_TAGS", "a").with("DATO_MIRROR_API_BASE_ULR", "x");
    assert_eq!(
        case.load().unwrap().warnings,
        [
            "$DATO_MIRROR_API_BASE_ULR is no variable that dato-mirror reads; did you mean $DATO_MIRROR_API_BASE_URL?",
            "$DATO_MIRROR_TAGS is only used with --root or $DATO_MIRROR_ROOT",
        ]
    );
}

#[test]
fn a_variable_nobody_reads_is_warned_of_but_not_where_kubernetes_made_it() {
    let near = |name: &str| Some(format!("; did you mean ${name}?"));
    let table = [
        ("DATO_MIRROR_RATE_SHARE", near("DATO_MIRROR_API_RATE_SHARE")),
        ("DATO_MIRROR_API_RATESHARE", near("DATO_MIRROR_API_RATE_SHARE")),
        ("DATO_MIRROR_STATE_PAHT", near("DATO_MIRROR_STATE_PATH")),
        ("DATO_MIRROR_ON_DELET", near("DATO_MIRROR_ON_DELETE")),
        ("DATO_MIRROR_SOMETHING_ELSE", Some(String::new())),
        ("DATO_MIRROR_PORTAL", Some(String::new())),
        ("DATO_MIRROR_SERVICE_HOST", None),
        ("DATO_MIRROR_SERVICE_PORT", None),
        ("DATO_MIRROR_SERVICE_PORT_HTTP", None),
        ("DATO_MIRROR_PORT", None),
        ("DATO_MIRROR_PORT_7878_TCP", None),
        ("DATO_MIRROR_PORT_7878_TCP_ADDR", None),
        ("DATO_MIRROR_STATUS_SERVICE_HOST", None),
        ("DATO_MIRROR_STATUS_PORT_80_TCP_PROTO", None),
    ];
    for (name, warned) in table {
        let wanted: Vec<String> =
            warned.map(|near| format!("${name} is no variable that dato-mirror reads{near}")).into_iter().collect();
        assert_eq!(Case::new(PLAIN).with(name, "x").load().unwrap().warnings, wanted, "{name}");
    }
}

#[test]
fn the_token_comes_from_the_first_place_that_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("from-file", " from-file\n");
    write(api::TOKEN_CREDENTIAL, "from-credential\n");
    write("empty", "\n");
    let dir = folder.path().to_str().unwrap();
    let with_file = |name: &str| format!("[api]\ntoken_file = \"{dir}/{name}\"\n{PLAIN}");
    let token = |case: Case| case.named().load().map(|config| config.api.token.expose_secret().to_owned());
    let credentials = |case: Case| case.with("CREDENTIALS_DIRECTORY", dir);
    let none = |toml: &str| {
        let mut case = Case::new(toml);
        case.variables.clear();
        case
    };
    assert_eq!(token(credentials(Case::new(&with_file("from-file")))).unwrap(), "from-file");
    assert_eq!(token(credentials(Case::new(PLAIN))).unwrap(), "sandbox");
    assert_eq!(token(credentials(none(PLAIN))).unwrap(), "from-credential");
    let problem = none(PLAIN).problems();
    for way in ["token_file", "$DATOCMS_API_TOKEN", "LoadCredential=datocms_api_token"] {
        assert!(problem.contains(way), "{problem}");
    }
    let mut case = none(PLAIN);
    case.request.needs_token = false;
    assert_eq!(case.load().unwrap().api.token_origin, None);
    for (toml, said) in [(with_file("empty"), "is empty"), (with_file("gone"), "does not exist")] {
        let problem = Case::new(&toml).problems();
        assert!(problem.starts_with("dato-mirror.toml:2:14: token file") && problem.contains(said), "{problem}");
    }
    let problem = Case::new(PLAIN).with("DATOCMS_API_TOKEN", "").problems();
    assert!(problem.starts_with("$DATOCMS_API_TOKEN: is empty"), "{problem}");
    let token = "0123456789abcdef0123456789abcd";
    let text = none(&format!("[api]\ntoken_file = \"{token}\"\n{PLAIN}")).load().unwrap_err().to_string();
    assert!(text.contains("looks like the token itself") && !text.contains("0123"), "{text}");
    assert!(!text.contains("no API token"), "one problem, not two: {text}");
}

#[test]
fn mirrors_have_their_own_names_and_folders() {
    let two = |name: &str, root: &str| format!("{PLAIN}[[mirror]]\nname = \"{name}\"\nroot = \"{root}\"\n");
    assert!(Case::new(&two("b", "other")).load().is_ok());
    assert!(Case::new(&two("b", "brand2")).load().is_ok(), "a name that begins alike is another folder");
    for (name, root, said) in [
        ("brand", "other", "two mirrors are named \"brand\""),
        ("b", "brand", "overlap"),
        ("b", "brand/inner", "overlap"),
        ("b", ".", "overlap"),
        ("b\\u0007", "other", "control character"),
    ] {
        let problems = Case::new(&two(name, root)).problems();
        assert!(problems.contains(said) && problems.lines().count() == 1, "{name} {root}: {problems}");
    }
    let case = Case::new(&two("b", "link"));
    std::fs::create_dir(case.folder.path().join("brand")).unwrap();
    std::os::unix::fs::symlink("brand", case.folder.path().join("link")).unwrap();
    assert!(case.problems().contains("overlap"), "two names of one folder");
}

#[test]
fn a_mirror_is_picked_by_name() {
    let mut case = Case::new(&format!("{PLAIN}[[mirror]]\nname = \"photos\"\nroot = \"photos\"\n"));
    case.request.mirror = Some("photos".into());
    assert_eq!(case.load().unwrap().mirrors.len(), 1);
    case.request.mirror = Some("photo".into());
    let expected = "--mirror: no mirror is named \"photo\" (did you mean \"photos\"? known mirrors: brand, photos)";
    assert_eq!(case.problems(), expected);
}

#[test]
fn files_are_found_named_or_missed() {
    let mut case = Case::new(PLAIN);
    assert_eq!(case.load().unwrap().source, Some(case.folder.path().join("dato-mirror.toml")));
    case.request.config_file = Some("nope.toml".into());
    assert!(case.problems().contains("configuration file nope.toml does not exist"));
    case.request.config_file = Some("/nowhere/nope.toml".into());
    let cwd = std::mem::replace(&mut case.request.cwd, "/".into());
    assert!(case.problems().contains("configuration file /nowhere/nope.toml does not exist"));
    case.request.cwd = cwd;
    case.request.config_file = Some(".".into());
    assert!(case.problems().contains("is a folder"));
    case.request.config_file = None;
    std::fs::rename(case.folder.path().join("dato-mirror.toml"), case.folder.path().join("x.toml")).unwrap();
    let problem = case.problems();
    assert!(problem.contains("DIR/dato-mirror.toml, /home/u/.config/dato-mirror/config.toml, /etc"), "{problem}");
    let case = case.with("DATO_MIRROR_CONFIG", "x.toml");
    assert_eq!(case.load().unwrap().source, Some(case.folder.path().join("x.toml")));
    let case = Case::new("").problems();
    assert!(case.contains("there is no [[mirror]]"), "{case}");
}

#[test]
fn a_file_and_a_folder_together_share_the_files_api() {
    let mut case = Case::rooted();
    std::fs::write(case.folder.path().join("x.toml"), format!("[api]\nrate_share = 0.1\n{PLAIN}")).unwrap();
    case.request.config_file = Some("x.toml".into());
    let config = case.load().unwrap();
    assert_eq!((config.api.rate_share, config.mirrors.len()), (0.1, 1));
    assert!(config.mirrors[0].root.ends_with("brand"));
}

#[test]
fn the_digest_tells_what_changes_files_from_what_does_not() {
    let digest = |toml: &str| Case::new(&format!("{PLAIN}{toml}")).load().unwrap().mirrors[0].policy_digest();
    let plain = digest("");
    for same in ["settle = \"9s\"", "poll_interval = \"9s\"", "max_delete = 3", "watch = \"poll\"", "manifest = \"m\""]
    {
        assert_eq!(digest(same), plain, "{same}");
    }
    for other in [
        "tags = [\"a\"]",
        "on_delete = \"tag\"",
        "collections = \"mirror\"",
        "stamp = \"digest\"",
        "include = [\"*.png\"]",
        "embedded_metadata = false",
        "[mirror.alt]\nen = \"x\"",
        "[[mirror.rule]]\nmatch = \"a\"\ntags = [\"b\"]",
        "[mirror.custom_data.en]\nx = 3",
    ] {
        assert_ne!(digest(other), plain, "{other}");
    }
}

#[test]
fn the_mirrors_own_files_are_never_mirrored() {
    let mut case = Case::new(
        "[api]\ntoken_file = \"secret[1]\"\n[state]\npath = \"in/index.sqlite\"\n[[mirror]]\nname = \"brand\"\nroot = \".\"\nmanifest = \"out/assets.json\"\nmanifest_types = true\n",
    );
    std::fs::write(case.folder.path().join("secret[1]"), "sandbox").unwrap();
    let config = case.load().unwrap();
    let excluded = |path: &str| {
        let path = crate::model::RelPath::from_key(path).unwrap();
        config.mirrors[0].exclude.iter().any(|pattern| Pattern::parse(pattern).unwrap().matches(&path))
    };
    for own in [
        "dato-mirror.toml",
        "secret[1]",
        "in/index.sqlite",
        "in/index.sqlite-wal",
        "out/assets.json",
        "out/assets.d.ts",
    ] {
        assert!(excluded(own), "{own} {:?}", config.mirrors[0].exclude);
    }
    for other in ["x/dato-mirror.toml", "secret1", "assets.json", "in/other.sqlite", "x/secret[1]"] {
        assert!(!excluded(other), "{other}");
    }
    case.request.config_file = Some(case.folder.path().join("dato-mirror.toml"));
    case.request.cwd = "/".into();
    assert_eq!(case.load().unwrap().mirrors[0].exclude, config.mirrors[0].exclude);
}

#[test]
fn a_hostile_file_costs_no_time() {
    let keys: String = (0..60_000).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(Case::new(&keys).load().unwrap_err().0.len(), 100);
    let inline: String = (0..40_000).map(|n| format!("k{n} = 1,")).collect();
    let toml = format!("{PLAIN}custom_data.en = {{ {} }}\n", inline.trim_end_matches(','));
    assert_eq!(Case::new(&toml).load().unwrap().mirrors[0].layer.custom_data["en"].len(), 40_000);
    for deep in ["[".repeat(50_000), format!("a = {}", "[".repeat(50_000)), format!("a = {}", "{a=".repeat(50_000))] {
        assert!(Case::new(&deep).load().is_err());
    }
    let dotted = format!("{PLAIN}custom_data.en.x{} = 1", ".x".repeat(500_000));
    assert!(Case::new(&dotted).load().is_err());
}

proptest::proptest! {
    /// No text, and no half of the example, makes the reader panic.
    #[test]
    fn any_text_gives_a_configuration_or_problems(cut in 0_usize..6000, noise in "\\PC{0,30}") {
        let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
        let at = example.char_indices().map(|(at, _)| at).take_while(|at| *at <= cut).last().unwrap_or(0);
        let _ = Case::new(&format!("{}{noise}{}", &example[..at], &example[at..])).load().map_err(|all| all.to_string());
    }
}

#[test]
fn a_variable_may_say_true_in_any_case() {
    for (text, expected) in [("True", Some(true)), ("FALSE", Some(false)), (" on\n", Some(true)), ("maybe", None)] {
        let config = Case::rooted().with("DATO_MIRROR_EMBEDDED_METADATA", text).load();
        assert_eq!(config.ok().map(|config| config.mirrors[0].embedded_metadata), expected, "{text:?}");
    }
}

#[test]
fn a_proxy_that_would_be_passed_over_is_refused_without_its_password() {
    for (value, word) in [
        ("http://proxy.example:3128", None),
        ("proxy.example:3128", None),
        ("socks5h://[::1]:1080", None),
        ("http://u:hunter2@proxy.example:3128\n", Some("line break")),
        ("http://u:hunter2@proxy .example", Some("white space")),
        ("http://", Some("no address")),
        ("://hunter2", Some("no address")),
        ("http://u:hunter2%5E@proxy.example:3128", None),
        ("http://u:hunter2^@proxy.example:3128", Some("no address")),
        ("http://u:hunter2ä@proxy.example:3128", Some("no address")),
        ("ftp://proxy.example", Some("no address")),
        ("htp://proxy.example", Some("no address")),
        ("http:///proxy.example", Some("no address")),
        ("//proxy.example", Some("no address")),
    ] {
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            let case = Case::new(PLAIN).with(name, value);
            match word {
                None => assert!(case.load().is_ok(), "{name}={value}"),
                Some(word) => {
                    let problems = case.problems();
                    assert!(problems.contains(word) && problems.contains(name), "{value}: {problems}");
                    assert!(!problems.contains("hunter2"), "{problems}");
                }
            }
        }
    }
}

#[test]
fn a_proxy_that_an_empty_variable_hides_is_told() {
    for (capital, small, hidden) in [("", "http://a", true), ("", "", false), ("http://b", "http://a", false)] {
        let case = Case::new(PLAIN).with("HTTPS_PROXY", capital).with("https_proxy", small);
        match hidden {
            true => assert!(case.problems().contains("hides $https_proxy")),
            false => drop(case.load().unwrap()),
        }
    }
}

/// Of an authority that nobody trusts.
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBdTCCARugAwIBAgIUBNA6Es4HUUfDF5MgQWEQvCJ9iREwCgYIKoZIzj0EAwIw\n\
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjkxMTAzNDFaGA8yMTI2MTEwNTExMDM0\n\
MVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJBh\n\
ZcJAySlVYRHOw76lP3XuRt3OHS52EWwQq5qlxvSHPAabY5syo8r5R7QqdRtwhM3k\n\
SaLw91xTN7zOnSDSti+jUzBRMB0GA1UdDgQWBBQx2SBwgNZVGqdN8soq9k5Ue/Dd\n\
azAfBgNVHSMEGDAWgBQx2SBwgNZVGqdN8soq9k5Ue/DdazAPBgNVHRMBAf8EBTAD\n\
AQH/MAoGCCqGSM49BAMCA0gAMEUCICe3upd2Y47ft5ni17F4pw5tYS2h7qJ0GxSU\n\
IkuDheIjAiEA/GrLNN9eFp/A2iGseWimVcvLhET/NBNtpPNdpJykWJE=\n\
-----END CERTIFICATE-----\n";

#[test]
fn certificates_that_are_named_and_cannot_be_used_are_told_with_path_and_cause() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (pem, empty) = (AUTHORITY, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let indented = pem.replace('\n', "\n ");
    std::fs::create_dir_all(folder.path().join("full")).unwrap();
    for (name, text) in [
        ("ca.pem", pem),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\n"),
        ("no-ca.pem", empty),
        ("indented.pem", &indented),
        ("full/a.0", pem),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let (full, gone, empty, both) = (at("full"), at("gone"), at("empty"), format!("{}:{}", at("gone"), at("full")));
    for (file, folders, problem, warning) in [
        (None, None, None, None),
        (Some(at("ca.pem")), None, None, None),
        (Some(at("gone.pem")), None, Some("gone.pem, which does not exist"), None),
        // A folder beside it does not make up for it: somebody means that file.
        (Some(at("gone.pem")), Some(&full), Some("gone.pem, which does not exist"), None),
        (Some(at("key.pem")), None, Some("key.pem, which holds no certificate"), None),
        (Some(at("no-ca.pem")), None, Some("no-ca.pem, which holds no certificate"), None),
        (Some(at("indented.pem")), None, Some("indented.pem, which holds no certificate"), None),
        (Some("/dev/zero".into()), None, Some("/dev/zero, which is not a regular file"), None),
        (Some(full.clone()), None, Some("full, which is a folder"), None),
        (Some(String::new()), None, Some("is set to nothing"), None),
        (None, Some(&full), None, None),
        (None, Some(&gone), Some("gone, which does not exist"), None),
        (None, Some(&empty), Some("empty, which has no file with a certificate"), None),
        (None, Some(&both), None, Some("gone, which does not exist: it is passed over")),
        (Some(at("ca.pem")), Some(&gone), None, Some("gone, which does not exist: it is passed over")),
    ] {
        let mut case = Case::new(PLAIN);
        let mut here = Case::new(&format!("[api]\nbase_url = \"http://127.0.0.1:9\"\n{PLAIN}"));
        for (name, value) in [("SSL_CERT_FILE", file.as_ref()), ("SSL_CERT_DIR", folders)] {
            if let Some(value) = value {
                (case, here) = (case.with(name, value), here.with(name, value));
            }
        }
        match problem {
            Some(words) => {
                let problems = case.problems();
                assert!(problems.contains(words) && problems.contains("SSL_CERT_"), "{problems}");
            }
            None => {
                let warnings = case.load().unwrap().warnings.join("\n");
                assert!(warning.map_or(warnings.is_empty(), |words| warnings.contains(words)), "{warnings}");
            }
        }
        // Where the service is this machine, over plain http, it can be reached all the same.
        let warnings = here.load().unwrap().warnings.join("\n");
        let words = problem.or(warning);
        assert!(words.map_or(warnings.is_empty(), |words| warnings.contains(words)), "{warnings}");
        case.request.needs_token = false;
        case.load().expect("who only shows what is known calls nobody");
    }
}

/// Whoever types the command in a cloned repository has not said that its configuration may have their token.
#[test]
fn a_file_that_was_only_found_sends_no_token_of_the_environment_elsewhere_nor_a_file_from_elsewhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret");
    std::fs::write(&secret, "sandbox\n").unwrap();
    let host = format!("[api]\nbase_url = \"https://evil.example\"\n{PLAIN}");
    let file = format!("[api]\ntoken_file = \"{}\"\n{PLAIN}", secret.display());
    for (toml, word) in [(&host, "another host"), (&file, "outside this folder")] {
        let mut case = Case::new(toml);
        let problems = case.problems();
        assert!(problems.contains(word) && problems.contains("--config"), "{problems}");
        case.request.config_file = Some("dato-mirror.toml".into());
        case.load().expect("whoever names the file trusts it");
        case.request.config_file = None;
        let named = case.folder.path().join("dato-mirror.toml").display().to_string();
        case.with("DATO_MIRROR_CONFIG", &named).load().expect("whoever names the file trusts it");
    }
    // Nor does it write elsewhere; whoever names it trusts it.
    for (manifest, fine) in [("../.bashrc", false), ("~/x.json", false), ("out/new/assets.json", true), ("out", true)] {
        let mut case = Case::new(&format!("{PLAIN}manifest = \"{manifest}\"\n"));
        let told = case.load().err().map(|problems| problems.to_string()).unwrap_or_default();
        assert_eq!(told.contains("outside this folder"), !fine, "{manifest}: {told}");
        case.request.config_file = Some("dato-mirror.toml".into());
        assert!(!case.load().err().is_some_and(|told| told.to_string().contains("outside this folder")), "{manifest}");
    }
    let link = Case::new(&format!("[api]\ntoken_file = \"token\"\n{PLAIN}"));
    std::os::unix::fs::symlink(&secret, link.folder.path().join("token")).unwrap();
    assert!(link.problems().contains("outside this folder"));
    let inside = Case::new(&format!("[api]\ntoken_file = \"token\"\n{PLAIN}"));
    std::fs::write(inside.folder.path().join("token"), "sandbox\n").unwrap();
    inside.load().unwrap();
    Case::new(&format!("[api]\nbase_url = \"http://127.0.0.1:9\"\n{PLAIN}")).load().unwrap();
    Case::new(PLAIN).with("DATO_MIRROR_API_BASE_URL", "https://proxy.example/dato").load().unwrap();
    let both = "[api]\nbase_url = \"https://cms.example\"\ntoken_file = \"token\"\n".to_owned() + PLAIN;
    let own = Case::new(&both);
    std::fs::write(own.folder.path().join("token"), "sandbox\n").unwrap();
    own.load().expect("the file sends its own token");
}

/// Neither is any other token: what counts is that the file did not bring it.
#[test]
fn a_file_that_was_only_found_sends_only_a_token_of_its_own_elsewhere() {
    let host = format!("[api]\nbase_url = \"https://evil.example\"\n{PLAIN}");
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["secret", "datocms_api_token"] {
        std::fs::write(elsewhere.path().join(name), "sandbox\n").unwrap();
    }
    let folder = elsewhere.path().display().to_string();
    for (variable, value) in [
        ("DATOCMS_API_TOKEN", "sandbox".to_owned()),
        ("DATO_MIRROR_API_TOKEN_FILE", format!("{folder}/secret")),
        ("CREDENTIALS_DIRECTORY", folder.clone()),
    ] {
        let mut case = Case::new(&host).with(variable, &value);
        case.variables.retain(|(name, _)| name == variable);
        let problems = case.problems();
        assert!(problems.contains("to another host") && problems.contains("--config"), "{variable}: {problems}");
        case.named().load().expect("whoever names the file trusts it");
    }
    // A variable goes before the file's own, also where it names a file in the folder.
    let both = host.replace("\n[[", "\ntoken_file = \"token\"\n[[");
    let case = Case::new(&both).with("DATO_MIRROR_API_TOKEN_FILE", &format!("{folder}/secret"));
    std::fs::write(case.folder.path().join("token"), "theirs\n").unwrap();
    assert!(case.problems().contains("to another host"));
    let case = Case::new(&both).with("DATO_MIRROR_API_TOKEN_FILE", "token");
    std::fs::write(case.folder.path().join("token"), "theirs\n").unwrap();
    assert!(case.problems().contains("to another host"));
}

/// With a token of its own it may send what lies in its folder, and nothing else that its user can read.
#[test]
fn a_file_that_was_only_found_names_nothing_outside_its_folder() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    let away = outside.path().display().to_string();
    let case = |text: &str| {
        let case = Case::new(&format!("[api]\ntoken_file = \"token\"\n{text}"));
        let at = |name: &str| case.folder.path().join(name);
        std::fs::write(at("token"), "theirs\n").unwrap();
        for folder in ["in", "state"] {
            std::fs::create_dir(at(folder)).unwrap();
        }
        symlink(&away, at("out")).unwrap();
        symlink("in", at("link")).unwrap();
        symlink(format!("{away}/new"), at("dangling")).unwrap();
        symlink(format!("{away}/new"), at("state/linked.sqlite-wal")).unwrap();
        case
    };
    let root = |path: &str| format!("[[mirror]]\nname = \"b\"\nroot = \"{path}\"\n");
    let state = |path: &str| format!("[state]\npath = \"{path}\"\n{PLAIN}");
    let manifest = |path: &str| format!("{PLAIN}manifest = \"{path}\"\n");
    let bad = ["..", "../x", "in/../../x", "~/.ssh", "~", &away, "out", "out/x", "dangling"];
    let good = [".", "in", "in/new/x", "link/x", "in/../x"];
    for (key, text) in [("root", &root as &dyn Fn(&str) -> String), ("path", &state), ("manifest", &manifest)] {
        for path in bad {
            let mut case = case(&text(path));
            let told = case.load().unwrap_err().to_string();
            for part in [&*format!("`{key}` names "), "outside this folder", "--config dato-mirror.toml"] {
                assert!(told.contains(part), "{key} {path}: {told}");
            }
            case.request.config_file = Some("dato-mirror.toml".into());
            let told = case.load().err().map(|problems| problems.to_string()).unwrap_or_default();
            assert!(!told.contains("outside"), "{key} {path}: {told}");
        }
        for path in good {
            let told = case(&text(path)).load().err().map(|problems| problems.to_string()).unwrap_or_default();
            assert_eq!(told, "", "{key} {path}");
        }
    }
    assert!(
        case(&state("state/linked.sqlite")).problems().contains("linked.sqlite-wal beside it, which leads outside")
    );
    case(&state("state/other.sqlite")).load().unwrap();
    let private = "allow_private_urls = true\n";
    assert!(case(&format!("{PLAIN}{private}")).problems().contains("what lies in this network"));
    Case::new(&format!("{PLAIN}{private}")).load().expect("this process's own token");
    for path in ["../x", "~/brand", &away] {
        Case::new(&root(path)).load().expect("files for the project of this process's own token");
        Case::new(&state(&format!("{path}/index.sqlite"))).load().expect("this process's own token");
    }
    // What a variable says is its user's word.
    case(PLAIN).with("DATO_MIRROR_STATE_PATH", &format!("{away}/index.sqlite")).load().unwrap();
}

/// The user's own configuration is nothing that was found, wherever they stand.
#[test]
fn a_configuration_in_its_own_place_is_as_free_from_within_it() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join(".config/dato-mirror");
    std::fs::create_dir_all(&own).unwrap();
    for name in ["config.toml", "dato-mirror.toml"] {
        std::fs::write(own.join(name), "[[mirror]]\nname = \"b\"\nroot = \"/srv/brand\"\n").unwrap();
        let mut case = Case::new("");
        std::fs::remove_file(case.folder.path().join("dato-mirror.toml")).unwrap();
        case.request.home = Some(home.path().to_path_buf());
        for cwd in [own.clone(), case.folder.path().to_path_buf()] {
            case.request.cwd = cwd;
            if name == "config.toml" || case.request.cwd == own {
                case.load().unwrap();
            }
        }
    }
}
