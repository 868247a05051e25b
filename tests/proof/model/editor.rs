//! What editors, strangers and forgers do in the media area, between runs and in the midst of one, and what they left.
//!
//! Owns: the book of it (`Left`). Never does: judging what became of it (that is `check`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use dato_mirror::model::Md5;
use dato_mirror::sandbox::{AssetView, Edit, Sandbox};
use serde_json::{Value, json};

use super::flight;
use crate::world::{custom_of, stamped};

/// One thing an editor does; the number chooses the asset.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// Adds a tag.
    Retag(usize),
    /// Types an alt text.
    Alt(usize),
    /// Types notes.
    Notes(usize),
    /// Adds a key of their own to the custom data.
    Custom(usize),
    /// Takes our stamp away.
    Unstamp(usize),
    /// Puts another file in its place.
    Replace(usize),
    /// Deletes it.
    Delete(usize),
    /// Uses it in a record.
    Reference(usize),
    /// Uploads a file.
    Foreign(&'static str),
    /// Uploads a file and gives it the stamp of another asset, as a copy has it.
    CopyStamp(usize),
    /// Uploads a file with a stamp made up for this path.
    Forge(&'static str),
}

/// Paths that a forger makes stamps up for.
pub const FORGED: [&str; 5] = ["../../etc/passwd", "/etc/passwd", "no/such.png", "a.png", "d/b.png"];

/// What editors and strangers left, by asset.
#[derive(Debug, Default)]
pub struct Left {
    /// Tags typed.
    pub tags: BTreeMap<String, BTreeSet<String>>,
    /// Alt text typed last.
    pub alts: BTreeMap<String, String>,
    /// Notes typed last.
    pub notes: BTreeMap<String, String>,
    /// Keys added to the custom data.
    pub custom: BTreeMap<String, BTreeSet<String>>,
    /// The digests of files that editors put in place of ours.
    pub files: BTreeMap<String, String>,
    /// Assets that editors replaced, restamped or deleted at any time, or that another machine wrote.
    pub meddled: BTreeSet<String>,
    /// Assets that editors deleted.
    pub deleted: BTreeSet<String>,
    /// Contents of assets of others.
    pub foreign: BTreeMap<String, String>,
    /// Assets of others whose stamps are for nothing in this folder.
    pub forged: BTreeSet<String>,
    /// Assets that records use.
    pub referenced: BTreeSet<String>,
    /// What was done in the midst of the last run, of what is written as a whole.
    pub acts: Vec<flight::Done>,
    /// What was done, and how often.
    pub done: BTreeMap<&'static str, u64>,
    /// The path whose asset the next acts are about, where it has one.
    pub aim: Option<String>,
    edits: u32,
}

/// The alt text of the main locale.
pub fn alt_of(metadata: &Value) -> Option<&str> {
    metadata.pointer("/en/alt").or_else(|| metadata.pointer("/alt/en")).and_then(Value::as_str)
}

/// The metadata with another value of the main locale in one field; whole, as an editor's form sends it.
fn with(asset: &AssetView, field: &str, value: Value) -> Value {
    let mut metadata = asset.metadata.clone();
    let by_locale = metadata.get("en").is_some();
    let place = if by_locale { &mut metadata["en"][field] } else { &mut metadata[field]["en"] };
    *place = value;
    if by_locale { json!({ "en": metadata["en"] }) } else { json!({ field: metadata[field] }) }
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::Retag(_) => "retag",
            Self::Alt(_) => "alt",
            Self::Notes(_) => "notes",
            Self::Custom(_) => "custom data",
            Self::Unstamp(_) => "unstamp",
            Self::Replace(_) => "replace",
            Self::Delete(_) => "editor deletes",
            Self::Reference(_) => "reference",
            Self::Foreign(_) => "foreign upload",
            Self::CopyStamp(_) => "copied stamp",
            Self::Forge(_) => "forged stamp",
        }
    }

    /// Whether nothing of it can be lost in the one round trip between the mirror's last look and its write: tags, custom
    /// data and the file are written as wholes.
    pub const fn is_safe_in_flight(self) -> bool {
        matches!(self, Self::Alt(_) | Self::Notes(_) | Self::Foreign(_) | Self::Reference(_))
    }
}

impl Left {
    /// Does it, and notes it. Of an asset that goes in the very moment nothing is noted.
    pub fn act(&mut self, sandbox: &Sandbox, act: Act) {
        self.edits += 1;
        let number = self.edits;
        let text = format!("typed {number}");
        match act {
            Act::Foreign(content) => {
                let id = sandbox.create_foreign(None, "theirs.png", content.as_bytes()).unwrap();
                self.foreign.insert(id, content.to_owned());
            }
            Act::Forge(path) => {
                let entry =
                    json!({ "brand": { "paths": [path], "md5": Md5::of(text.as_bytes()).to_string(), "made": true } });
                let id = self.stamp_foreign(sandbox, &text, &entry);
                if FORGED[..3].contains(&path) {
                    self.forged.insert(id);
                }
            }
            Act::Retag(nth)
            | Act::Alt(nth)
            | Act::Notes(nth)
            | Act::Custom(nth)
            | Act::Unstamp(nth)
            | Act::Replace(nth)
            | Act::Delete(nth)
            | Act::Reference(nth)
            | Act::CopyStamp(nth) => {
                let mut all = sandbox.assets(None);
                all.sort_by(|a, b| a.id.cmp(&b.id));
                if all.is_empty() {
                    return;
                }
                let aimed = self
                    .aim
                    .as_ref()
                    .and_then(|path| all.iter().position(|asset| stamped(asset, "brand").contains(path)));
                let asset = all.swap_remove(aimed.unwrap_or(nth % all.len()));
                if self.on(sandbox, act, &asset, text).is_err() {
                    return;
                }
            }
        }
        *self.done.entry(act.name()).or_default() += 1;
    }

    fn on(&mut self, sandbox: &Sandbox, act: Act, asset: &AssetView, text: String) -> io::Result<()> {
        let id = asset.id.as_str();
        let edit = |edit: Edit| sandbox.edit_metadata(None, id, edit);
        match act {
            Act::Retag(_) => {
                let tags: Vec<String> = asset.tags.iter().cloned().chain([text.clone()]).collect();
                edit(Edit { tags: Some(tags), ..Edit::default() })?;
                self.acts.push(flight::Done::now(sandbox, id, &text));
                self.tags.entry(id.to_owned()).or_default().insert(text);
            }
            Act::Alt(_) => {
                edit(Edit { metadata: Some(with(asset, "alt", json!(text))), ..Edit::default() })?;
                self.alts.insert(id.to_owned(), text);
            }
            Act::Notes(_) => {
                edit(Edit { notes: Some(text.clone()), ..Edit::default() })?;
                self.notes.insert(id.to_owned(), text);
            }
            Act::Custom(_) => {
                let mut data =
                    custom_of(&asset.metadata).cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
                data[&text] = json!(1);
                edit(Edit { metadata: Some(with(asset, "custom_data", data)), ..Edit::default() })?;
                self.acts.push(flight::Done::now(sandbox, id, &text));
                self.custom.entry(id.to_owned()).or_default().insert(text);
            }
            Act::Unstamp(_) => {
                let mut data =
                    custom_of(&asset.metadata).cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
                if let Some(data) = data.as_object_mut() {
                    data.remove("dato-mirror");
                }
                edit(Edit { metadata: Some(with(asset, "custom_data", data)), ..Edit::default() })?;
                self.meddled.insert(id.to_owned());
                if let Some(theirs) = self.foreign.get_mut(id) {
                    // A file of ours that was rightly put into it stays there.
                    *theirs = String::from_utf8_lossy(&sandbox.content(None, id)?).into_owned();
                }
            }
            Act::Replace(_) => {
                let content = format!("editor's {text}");
                sandbox.replace_content(None, id, content.as_bytes())?;
                self.meddled.insert(id.to_owned());
                match self.foreign.get_mut(id) {
                    Some(theirs) => *theirs = content,
                    None => {
                        let md5 = Md5::of(content.as_bytes()).to_string();
                        self.acts.push(flight::Done::now(sandbox, id, &md5));
                        self.files.insert(id.to_owned(), md5);
                    }
                }
            }
            Act::Delete(_) => {
                sandbox.delete_asset(None, id)?;
                self.forget(id);
                self.meddled.insert(id.to_owned());
                self.deleted.insert(id.to_owned());
            }
            Act::CopyStamp(_) => {
                if let Some(stamp) = custom_of(&asset.metadata).and_then(|data| data.get("dato-mirror")) {
                    self.stamp_foreign(sandbox, &text, stamp);
                }
            }
            _ => {
                sandbox.add_reference(None, &format!("record {text}"), &[id])?;
                self.referenced.insert(id.to_owned());
            }
        }
        Ok(())
    }

    /// Its records use nothing any more, and what was typed went with it, also when it is made again under its id.
    pub fn forget(&mut self, id: &str) {
        for typed in [&mut self.alts, &mut self.notes, &mut self.foreign, &mut self.files] {
            typed.remove(id);
        }
        self.tags.remove(id);
        self.custom.remove(id);
        self.referenced.remove(id);
        self.forged.remove(id);
    }

    fn stamp_foreign(&mut self, sandbox: &Sandbox, content: &str, stamp: &Value) -> String {
        let id = sandbox.create_foreign(None, "theirs.png", content.as_bytes()).unwrap();
        let asset = sandbox.assets(None).into_iter().find(|one| one.id == id).unwrap();
        // The CMS's own save keeps no objects.
        let stamp = if stamp.is_string() { stamp.clone() } else { json!(stamp.to_string()) };
        let data = with(&asset, "custom_data", json!({ "dato-mirror": stamp }));
        sandbox.edit_metadata(None, &id, Edit { metadata: Some(data), ..Edit::default() }).unwrap();
        self.foreign.insert(id.clone(), content.to_owned());
        id
    }
}
