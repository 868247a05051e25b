//! Files that belong to a video: subtitles and further sound.
//!
//! Owns: which names make a file the companion of a video beside it, and what track it is then. Pure. Never does:
//! looking whether the video is there.
//!
//! Formats: what the service's video host takes as a track (SRT and WebVTT; M4A, MP3 and WAV).

use dato_media_api::{NewTrack, TrackKind};

use super::RelPath;

/// Extensions of videos that can have tracks, lower case.
const VIDEOS: [&str; 10] = ["mp4", "mov", "m4v", "webm", "mkv", "avi", "mpg", "mpeg", "mxf", "wmv"];
/// The two-letter languages of ISO 639-1, and those of three letters that media are labelled with. A closed list: a file
/// `clip.new.mp3` is no track in Newari.
const LANGUAGES: &str = " aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de \
     dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it \
     iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd \
     ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su \
     sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu ast ceb ckb cmn fil gsw haw \
     hmn mul nds nso sco und wuu yue zxx ";

/// What a file is to the video beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Companion {
    /// The video's key without its extension.
    pub video_stem: String,
    /// What track it is.
    pub kind: TrackKind,
    /// A BCP 47 tag in its usual spelling: `en`, `pt-BR`, `zh-Hant`.
    pub language: String,
    /// For the deaf and hard of hearing.
    pub closed_captions: bool,
}

impl Companion {
    /// The track that a file of this name is, if a video of its stem lies beside it: `STEM.LANG.vtt`,
    /// `STEM.LANG.sdh.srt`, `STEM.LANG.m4a`.
    #[must_use]
    pub fn of(path: &RelPath) -> Option<Self> {
        let kind = match path.extension().to_ascii_lowercase().as_str() {
            "vtt" | "srt" => TrackKind::Subtitles,
            "m4a" | "mp3" | "wav" => TrackKind::Audio,
            _ => return None,
        };
        let marker = |end: &str| end.eq_ignore_ascii_case("cc") || end.eq_ignore_ascii_case("sdh");
        let (stem, end) = path.stem().rsplit_once('.')?;
        let (stem, language, closed_captions) = match stem.rsplit_once('.') {
            Some((stem, language)) if kind == TrackKind::Subtitles && marker(end) => (stem, language, true),
            _ => (stem, end, false),
        };
        let language = language_tag(language)?;
        if stem.is_empty() {
            return None;
        }
        let video_stem = match path.folder() {
            "" => stem.to_owned(),
            folder => format!("{folder}/{stem}"),
        };
        Some(Self { video_stem, kind, language, closed_captions })
    }

    /// The track that it makes.
    #[must_use]
    pub fn track(&self) -> NewTrack<'_> {
        NewTrack { kind: self.kind, language: &self.language, closed_captions: self.closed_captions }
    }

    /// For people: `subtitles (en)`.
    #[must_use]
    pub fn label(&self) -> String {
        let captions = if self.closed_captions { ", for the deaf and hard of hearing" } else { "" };
        format!("{} ({}{captions})", self.kind.as_str(), self.language)
    }
}

/// The stem that companions of this video have; `None` for what is no video.
#[must_use]
pub fn video_stem(path: &RelPath) -> Option<&str> {
    let extension = path.extension();
    VIDEOS.iter().any(|known| extension.eq_ignore_ascii_case(known)).then(|| {
        let key = path.key();
        &key[..key.len() - extension.len() - 1]
    })
}

/// The names that a video of this stem can have, in lower and in upper case.
pub fn video_names(stem: &str) -> impl Iterator<Item = String> {
    VIDEOS
        .iter()
        .flat_map(move |ending| [format!("{stem}.{ending}"), format!("{stem}.{}", ending.to_ascii_uppercase())])
}

/// `text` as a BCP 47 tag in its usual spelling (an underscore counts as a hyphen): language, then script, region and
/// variants where there are any.
fn language_tag(text: &str) -> Option<String> {
    let mut parts = text.split(['-', '_']);
    let language = parts.next()?.to_ascii_lowercase();
    let known = language.bytes().all(|byte| byte.is_ascii_lowercase()) && LANGUAGES.contains(&format!(" {language} "));
    if !known {
        return None;
    }
    let mut tag = language;
    // 0: a script may come, 1: a region, 2: variants only.
    let mut place = 0;
    for part in parts {
        let letters = part.bytes().all(|byte| byte.is_ascii_alphabetic());
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        let starts_with_digit = part.starts_with(|first: char| first.is_ascii_digit());
        tag.push('-');
        match part.len() {
            4 if letters && place == 0 => {
                tag.push_str(&part[..1].to_ascii_uppercase());
                tag.push_str(&part[1..].to_ascii_lowercase());
                place = 1;
            }
            2 if letters && place < 2 => {
                tag.push_str(&part.to_ascii_uppercase());
                place = 2;
            }
            3 if digits && place < 2 => {
                tag.push_str(part);
                place = 2;
            }
            5..=8 if part.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                tag.push_str(&part.to_ascii_lowercase());
                place = 2;
            }
            4 if starts_with_digit && part.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                tag.push_str(&part.to_ascii_lowercase());
                place = 2;
            }
            _ => return None,
        }
    }
    Some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(key: &str) -> RelPath {
        RelPath::from_key(key).unwrap()
    }

    #[test]
    fn companions_are_told_by_name() {
        use TrackKind::{Audio, Subtitles};
        let cases = [
            ("clip.en.vtt", Some(("clip", Subtitles, "en", false))),
            ("a/b/clip.en.vtt", Some(("a/b/clip", Subtitles, "en", false))),
            ("clip.IT.SRT", Some(("clip", Subtitles, "it", false))),
            ("clip.pt_br.srt", Some(("clip", Subtitles, "pt-BR", false))),
            ("clip.zh-hant-tw.vtt", Some(("clip", Subtitles, "zh-Hant-TW", false))),
            ("clip.es-419.vtt", Some(("clip", Subtitles, "es-419", false))),
            ("clip.de-1996.vtt", Some(("clip", Subtitles, "de-1996", false))),
            ("clip.ca-valencia.vtt", Some(("clip", Subtitles, "ca-valencia", false))),
            ("clip.en.sdh.vtt", Some(("clip", Subtitles, "en", true))),
            ("clip.en.CC.srt", Some(("clip", Subtitles, "en", true))),
            ("clip.v2.final.fr.m4a", Some(("clip.v2.final", Audio, "fr", false))),
            ("clip.fil.mp3", Some(("clip", Audio, "fil", false))),
            ("clip.it.wav", Some(("clip", Audio, "it", false))),
            // A language for a marker: no audio is for the deaf.
            ("clip.en.cc.m4a", None),
            ("clip.vtt", None),
            ("en.vtt", None),
            (".en.vtt", None),
            ("clip.cc.vtt", None),
            ("clip.new.mp3", None),
            ("clip.hd.mp3", None),
            ("clip.final.m4a", None),
            ("clip.en-.vtt", None),
            ("clip.en-x.vtt", None),
            ("clip.en US.vtt", None),
            ("clip.e\u{300}n.vtt", None),
            ("clip.en.txt", None),
            ("clip.en.mp4", None),
        ];
        for (key, expected) in cases {
            let found = Companion::of(&rel(key));
            let found = found.as_ref().map(|c| (c.video_stem.as_str(), c.kind, c.language.as_str(), c.closed_captions));
            assert_eq!(found, expected, "{key}");
        }
    }

    #[test]
    fn videos_are_told_by_extension() {
        let cases = [
            ("a/clip.mp4", Some("a/clip")),
            ("clip.v2.MOV", Some("clip.v2")),
            ("clip.png", None),
            ("clip", None),
            ("mp4", None),
            (".mp4", None),
        ];
        for (key, stem) in cases {
            assert_eq!(video_stem(&rel(key)), stem, "{key}");
        }
    }
}
