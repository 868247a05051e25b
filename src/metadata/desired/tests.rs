//! The order of the layers, the locales, and the aliases.

use super::*;
use crate::config::{Pattern, Rule};

struct Case {
    mirror: Mirror,
    path: RelPath,
    embedded: Embedded,
    sidecars: Vec<(String, Arc<Sidecar>)>,
    locales: Vec<String>,
}

fn case(path: &str) -> Case {
    Case {
        mirror: Mirror::new("brand", "/srv/brand"),
        path: RelPath::from_key(path).unwrap(),
        embedded: Embedded::default(),
        sidecars: Vec::new(),
        locales: vec!["en".into(), "it".into()],
    }
}

impl Case {
    fn rule(mut self, pattern: &str, toml: &str) -> Self {
        let layer = layer(toml);
        self.mirror.rules.push(Rule { pattern: Pattern::parse(pattern).unwrap(), layer, collections: None });
        self
    }

    fn mirror(mut self, toml: &str) -> Self {
        self.mirror.layer = layer(toml);
        self
    }

    fn sidecar(mut self, name: &str, toml: &str) -> Self {
        self.sidecars.push((name.into(), Arc::new(Sidecar::parse(name, toml.as_bytes()).unwrap())));
        self
    }

    fn get(&self) -> Desired {
        desired(&Sources {
            mirror: &self.mirror,
            path: &self.path,
            embedded: &self.embedded,
            sidecars: &self.sidecars,
            locales: &self.locales,
            year: 2026,
        })
    }
}

fn layer(toml: &str) -> Layer {
    Sidecar::parse("layer", toml.as_bytes()).unwrap().layer
}

fn map(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
    texts.iter().map(|(locale, text)| ((*locale).to_owned(), (*text).to_owned())).collect()
}

fn shown(desired: &Desired) -> Vec<String> {
    desired.fields.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[test]
fn each_layer_counts_more_than_those_below_it() {
    let mut case = case("logos/new/a.png");
    case.embedded.creator = Some("file".into());
    let author = |case: &Case| {
        let desired = case.get();
        let text = desired.fields.get(&FieldKey::Author).map(|value| value.as_str().unwrap().to_owned());
        (text.unwrap_or_default(), desired.origins.get("author").map(ToString::to_string).unwrap_or_default())
    };
    let pair = |text: &str, origin: &str| (text.to_owned(), origin.to_owned());
    assert_eq!(author(&case), pair("file", "the file itself"));
    case = case.mirror("author = \"mirror\"");
    assert_eq!(author(&case), pair("mirror", "[[mirror]]"));
    case = case.rule("logos/**", "author = \"first\"").rule("photos/**", "author = \"other\"");
    assert_eq!(author(&case), pair("first", "rule logos/**"));
    case = case.rule("*.png", "author = \"second\"");
    assert_eq!(author(&case), pair("second", "rule *.png"));
    for (name, text) in
        [("_folder.meta.toml", "outer"), ("logos/_folder.meta.toml", "inner"), ("logos/new/a.png.meta.toml", "own")]
    {
        case = case.sidecar(name, &format!("author = \"{text}\""));
        assert_eq!(author(&case), pair(text, name));
    }
    case = case.sidecar("again.meta.toml", "author = \"{creator}{title}\"");
    assert_eq!(author(&case).0, "own", "no value for a placeholder: the layer below counts");
    case = case.sidecar("last.meta.toml", "author = \"\"");
    assert_eq!(author(&case), pair("", ""), "an empty text says none");
}

#[test]
fn tags_add_up() {
    let mut case = case("logos/new/a.PNG")
        .mirror("tags = [\"{mirror}\", \"{dir}\", \"{ext}\", \"by {creator}\", \"x\"]")
        .rule("logos/**", "tags = [\"logo\", \"x\"]")
        .sidecar("_folder.meta.toml", "tags = [\"folder\"]")
        .sidecar("logos/new/a.PNG.meta.toml", "tags = [\" own  tag \"]");
    case.embedded.keywords = vec!["dog".into(), " ".into(), "x".into()];
    let desired = case.get();
    let tags: Vec<_> = desired.tags.iter().map(String::as_str).collect();
    assert_eq!(tags, ["brand", "dog", "folder", "logo", "logos", "new", "own tag", "png", "x"]);
    assert_eq!(desired.origins["tags.x"], Origin::File);
    assert_eq!(desired.origins["tags.logo"], Origin::Rule("logos/**".into()));
    case.mirror.embedded_metadata = false;
    assert!(!case.get().tags.contains("dog"));
}

#[test]
fn the_files_own_words_go_to_their_locales() {
    let mut case = case("a.jpg");
    case.embedded = Embedded {
        creator: Some("Ann".into()),
        rights: map(&[("x-default", "© Ann")]),
        title: map(&[("x-default", "Dog"), ("it-IT", "Cane"), ("fr", "Chien")]),
        alt: map(&[("en-US", "A dog"), ("x-default", "other")]),
        ..Embedded::default()
    };
    let expected =
        ["author=\"Ann\"", "copyright=\"© Ann\"", "alt.en=\"A dog\"", "title.en=\"Dog\"", "title.it=\"Cane\""];
    assert_eq!(shown(&case.get()), expected);
    assert!(case.get().problems.is_empty(), "a language the project lacks is nobody's mistake");
    let case = case.mirror("alt.it = \"{title}\"\nnotes = \"{title} by {creator}, {year}\"");
    let fields = case.get().fields;
    assert_eq!(fields[&FieldKey::Alt("it".into())], json!("Cane"));
    assert_eq!(fields[&FieldKey::Notes], json!("Dog by Ann, 2026"));
}

#[test]
fn a_locale_the_project_lacks_is_a_problem_and_left_out() {
    let case =
        case("a.jpg").mirror("alt.en-US = \"x\"\nalt.en = \"y\"").rule("*", "custom_data.fr.a = 1\ntitle.fr = \"z\"");
    let desired = case.get();
    assert_eq!(shown(&desired), ["alt.en=\"y\""]);
    assert_eq!(
        desired.problems,
        [
            "alt.en-US in [[mirror]] is left out: the project's locales are en, it; did you mean en?",
            "title.fr in rule * is left out: the project's locales are en, it",
            "custom_data.fr in rule * is left out: the project's locales are en, it",
        ]
    );
}

#[test]
fn what_is_for_images_or_videos_goes_to_these() {
    let both = "focal_point = { x = 0.0, y = 1 }\nposter_time = 2.5\ncreator = { type = \"user\", id = \"1\" }";
    for (path, expected) in [("a.jpg", "focal_point"), ("a.mp4", "poster_time")] {
        let desired = case(path).sidecar("_folder.meta.toml", both).get();
        let keys: Vec<_> = desired.fields.keys().map(ToString::to_string).collect();
        assert_eq!(keys, [expected, "creator"], "{path}");
        assert!(desired.problems.is_empty());
    }
    let desired = case("a.pdf").sidecar("a.pdf.meta.toml", both).get();
    assert_eq!(desired.problems.len(), 2);
    let desired = case("a.jpg").sidecar("a.jpg.meta.toml", "focal_point = { x = 0.0, y = 1.0 }").get();
    assert_eq!(desired.fields[&FieldKey::FocalPoint], json!({"x": 0, "y": 1}), "canonical");
}

#[test]
fn custom_data_takes_any_value_and_templates() {
    let desired = case("campaigns/a.jpg")
        .mirror("[custom_data.en]\ncampaign = \"{dir}\"\nlist = [1.0, \"{dir}\"]\ngone = \"x\"")
        .rule("*", "[custom_data.en]\ngone = \"\"")
        .get();
    assert_eq!(shown(&desired), ["custom_data.en.campaign=\"campaigns\"", "custom_data.en.list=[1,\"{dir}\"]"]);
}

#[test]
fn the_collection_follows_the_folder_or_the_rule() {
    let mut case = case("a/b/c.png").rule("a/**", "");
    assert_eq!(case.get().collection, None);
    case.mirror.collections = Collections::Mirror;
    assert_eq!(case.get().collection.as_deref(), Some("a/b"));
    case.mirror.rules[0].collections = Some(Collections::Into("X/Y".into()));
    assert_eq!(case.get().collection.as_deref(), Some("X/Y"));
    case.mirror.rules.clear();
    case.path = RelPath::from_key("c.png").unwrap();
    assert_eq!(case.get().collection, None);
}

#[test]
fn aliases_unite_their_tags_and_the_first_text_counts() {
    let first = case("a/x.png").mirror("tags = [\"{dir}\"]\nauthor = \"first\"").get();
    let second = case("b/x.png").mirror("tags = [\"{dir}\"]\nauthor = \"second\"\nnotes = \"n\"\nalt.fr = \"x\"").get();
    let united = unite([first.clone(), second]);
    assert_eq!(united.tags, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    assert_eq!(shown(&united), ["author=\"first\"", "notes=\"n\""]);
    assert_eq!(united.problems.len(), 1);
    assert_eq!(united.origins.len(), 4);
    assert_eq!(unite([first.clone(), first.clone()]), first);
    assert_eq!(unite([]), Desired::default());
}
