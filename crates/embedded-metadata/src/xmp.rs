//! XMP packets, and SVG files, which carry the same RDF.
//!
//! Owns: the properties that have a slot, in every form RDF allows: attribute or element, plain or
//! `Alt`/`Bag`/`Seq`, any prefix (XMP specification part 1; IPTC Photo Metadata 2023).
//! Never does: finding packets. A packet that breaks off gives what stood before.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, QName, ResolveResult};
use quick_xml::reader::NsReader;

use crate::Embedded;

use super::text;

/// Most parts (tags, texts) of a packet looked at.
const MAX_EVENTS: usize = 300_000;

/// Deepest nesting followed.
const MAX_DEPTH: usize = 256;

/// Most attributes of one element looked at.
const MAX_ATTRIBUTES: usize = 1000;

/// Most namespaces in force at once: each name is looked up among them.
const MAX_NAMESPACES: usize = 64;

/// Most values of one property kept.
const MAX_ITEMS: usize = 2000;

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const DC: &str = "http://purl.org/dc/elements/1.1/";
const PHOTOSHOP: &str = "http://ns.adobe.com/photoshop/1.0/";
const IPTC_CORE: &str = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/";
const PDF: &str = "http://ns.adobe.com/pdf/1.3/";
const XMP_NOTE: &str = "http://ns.adobe.com/xmp/note/";
const XML: &str = "http://www.w3.org/XML/1998/namespace";
const SVG: &str = "http://www.w3.org/2000/svg";

/// What a packet says.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The slots of the RDF.
    pub(super) embedded: Embedded,
    /// `<title>` and `<desc>` of an SVG's root.
    pub(super) svg: Embedded,
    /// The GUID of the extended packet, when one is announced.
    pub(super) extended: Option<String>,
    /// Why the packet was not read to its end.
    pub(super) broken: Option<String>,
}

/// A property that has a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Subject,
    PdfKeywords,
    Creator,
    Rights,
    Title,
    Headline,
    Alt,
    ExtendedDescription,
    Description,
    HasExtended,
    SvgTitle,
    SvgDescription,
}

/// What an open element means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SvgRoot,
    Rdf,
    /// `rdf:Description`, or any typed node such as Creative Commons' `Work`.
    Node,
    Property,
    /// Something inside a property that only groups: `rdf:Alt`, `rdf:Bag`, `rdf:Seq`, `cc:Agent`.
    Group,
    Item,
    /// `rdf:value`, or the name of an agent: its text belongs to the item or property around it.
    Value,
    Other,
}

/// One value of a property, with the language it states.
type Item = (Option<String>, String);

/// A property being read.
struct Open {
    slot: Slot,
    /// Text outside of any list item.
    plain: Item,
    items: Vec<Item>,
}

/// All values met, by slot.
#[derive(Default)]
struct Values(Vec<(Slot, Item)>);

/// Reads a packet (or an SVG file) in UTF-8, UTF-16 or Latin-1.
pub(super) fn parse(packet: &[u8]) -> Parsed {
    let packet = decode(packet);
    let mut values = Values::default();
    let broken = Walk { path: Vec::new(), languages: Vec::new(), open: None, values: &mut values }.run(&packet);
    let mut parsed = values.settle();
    parsed.broken = broken;
    parsed
}

/// The packet as UTF-8 text; without a byte order mark UTF-16 shows by its zero bytes.
fn decode(packet: &[u8]) -> Cow<'_, str> {
    let text = match packet {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xfe, 0xff, rest @ ..] | rest @ [0, b'<', ..] => text::utf16(rest, true).into(),
        [0xff, 0xfe, rest @ ..] | rest @ [b'<', 0, ..] => text::utf16(rest, false).into(),
        _ if declares_latin_1(packet) => text::legacy(packet).into(),
        _ => String::from_utf8_lossy(packet),
    };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(['\0', '\u{feff}', ' ', '\r', '\n', '\t'])),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(['\0', '\u{feff}', ' ', '\r', '\n', '\t']).to_owned()),
    }
}

fn declares_latin_1(packet: &[u8]) -> bool {
    let head = String::from_utf8_lossy(packet.get(..100).unwrap_or(packet)).to_ascii_lowercase();
    head.split("?>").next().is_some_and(|declaration| {
        declaration.starts_with("<?xml ")
            && ["iso-8859-1", "windows-1252", "latin1"].iter().any(|name| declaration.contains(name))
    })
}

/// The state of one pass.
struct Walk<'v> {
    path: Vec<Kind>,
    /// The language in force at each open element.
    languages: Vec<Option<String>>,
    open: Option<Open>,
    values: &'v mut Values,
}

impl Walk<'_> {
    /// Goes through the packet; gives the reason when it breaks off.
    fn run(mut self, packet: &str) -> Option<String> {
        let mut reader = NsReader::from_str(packet);
        reader.resolver_mut().set_max_namespace_bindings(MAX_NAMESPACES);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.allow_dangling_amp = true;
        for _ in 0..MAX_EVENTS {
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => return Some(in_plain_words(&error)),
            };
            match event {
                Event::Start(start) => {
                    if self.path.len() >= MAX_DEPTH {
                        return Some(format!("elements nest deeper than {MAX_DEPTH}"));
                    }
                    self.start(&reader, &start);
                }
                Event::End(_) => self.end(),
                Event::Text(text) => self.text(&text.xml10_content()),
                Event::CData(text) => self.text(&text.xml10_content()),
                Event::GeneralRef(reference) => self.reference(&reference),
                Event::Eof if self.path.is_empty() => return None,
                Event::Eof => return Some("it ends before its elements are closed".to_owned()),
                _ => {}
            }
        }
        Some(format!("it has more than {MAX_EVENTS} parts"))
    }

    fn start(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) {
        let (space, local) = reader.resolver().resolve_element(start.name());
        let (space, local) = (uri(&space), local.into_inner());
        let kind = self.classify(space, local);
        let mut language = None;
        if kind != Kind::Other {
            // Checking each attribute against all others would cost their number squared.
            let mut attributes = start.attributes();
            attributes.with_checks(false);
            for attribute in attributes.take(MAX_ATTRIBUTES).filter_map(Result::ok) {
                let (space, local) = attribute_name(reader, attribute.key);
                let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0) else { continue };
                match (space, local, kind) {
                    (XML, "lang", _) | ("", "lang", Kind::SvgRoot | Kind::Property) => {
                        language = Some(value.into_owned());
                    }
                    (_, _, Kind::Node) => {
                        if let Some(slot) = slot(space, local) {
                            self.values.push(slot, (None, value.into_owned()));
                        }
                    }
                    (RDF, "resource", Kind::Property) | (RDF, "value", _) | (DC, "title", Kind::Group) => {
                        self.text_of(&value);
                    }
                    _ => {}
                }
            }
        }
        let language = language.or_else(|| self.languages.last().cloned().flatten());
        if let Some(open) = &mut self.open {
            match kind {
                Kind::Property => open.plain.0.clone_from(&language),
                Kind::Item => {
                    if let Some(item) = open.items.last_mut() {
                        item.0.clone_from(&language);
                    }
                }
                _ => {}
            }
        }
        self.path.push(kind);
        self.languages.push(language);
    }

    /// What an element means where it stands; opens properties and items.
    fn classify(&mut self, space: &str, local: &str) -> Kind {
        if let Some(open) = &mut self.open {
            return match (self.path.last(), space, local) {
                (Some(Kind::Other), ..) => Kind::Other,
                (_, RDF, "li") if open.items.len() < MAX_ITEMS => {
                    open.items.push((None, String::new()));
                    Kind::Item
                }
                (_, RDF, "value") | (Some(Kind::Group), DC, "title") => Kind::Value,
                (_, RDF, "Alt" | "Bag" | "Seq" | "Description") | (_, _, "Agent") => Kind::Group,
                _ => Kind::Other,
            };
        }
        let slot = match (self.path.last(), space, local) {
            (_, RDF, "RDF") => return Kind::Rdf,
            (Some(Kind::Rdf), ..) => return Kind::Node,
            (None, SVG, _) | (None, _, "svg") => return Kind::SvgRoot,
            (Some(Kind::SvgRoot), _, "title") if is_svg(space) => Some(Slot::SvgTitle),
            (Some(Kind::SvgRoot), _, "desc") if is_svg(space) => Some(Slot::SvgDescription),
            (Some(Kind::Node), ..) => slot(space, local),
            _ => None,
        };
        let Some(slot) = slot else { return Kind::Other };
        self.open = Some(Open { slot, plain: (None, String::new()), items: Vec::new() });
        Kind::Property
    }

    fn end(&mut self) {
        self.languages.pop();
        if self.path.pop() != Some(Kind::Property) {
            return;
        }
        let Some(open) = self.open.take() else { return };
        if open.items.is_empty() {
            self.values.push(open.slot, open.plain);
        } else {
            for item in open.items {
                self.values.push(open.slot, item);
            }
        }
    }

    fn text(&mut self, text: &str) {
        if matches!(self.path.last(), Some(Kind::Property | Kind::Item | Kind::Value)) {
            self.text_of(text);
        }
    }

    /// Appends to the item being read, or to the property itself outside of one.
    fn text_of(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        match open.items.last_mut() {
            Some(item) => item.1.push_str(text),
            None => open.plain.1.push_str(text),
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) {
        if let Ok(Some(character)) = reference.resolve_char_ref() {
            self.text(character.encode_utf8(&mut [0; 4]));
        } else if let Some(text) = quick_xml::escape::resolve_predefined_entity(reference) {
            self.text(text);
        }
    }
}

/// SVG's namespace, none at all, or an entity that stands for it (`xmlns="&ns_svg;"`, Illustrator).
fn is_svg(space: &str) -> bool {
    space == SVG || space.is_empty() || space == "&ns_svg;"
}

fn in_plain_words(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Syntax(_) => "a tag, comment or section is not closed".to_owned(),
        quick_xml::Error::IllFormed(_) => "its opening and closing tags do not match".to_owned(),
        quick_xml::Error::Namespace(_) => "its namespaces are wrong or too many".to_owned(),
        other => other.to_string(),
    }
}

fn uri<'r>(resolved: &'r ResolveResult<'_>) -> &'r str {
    match resolved {
        ResolveResult::Bound(Namespace(uri)) => uri,
        // A prefix from an entity (`xmlns:x="&ns_extend;"`, Illustrator) or from nowhere: no namespace of ours.
        ResolveResult::Unknown(prefix) => prefix,
        ResolveResult::Unbound => "",
    }
}

fn attribute_name<'r>(reader: &'r NsReader<&[u8]>, name: QName<'r>) -> (&'r str, &'r str) {
    let (space, local) = reader.resolver().resolve_attribute(name);
    let space = match space {
        ResolveResult::Bound(Namespace(uri)) => uri,
        ResolveResult::Unknown(_) => "?",
        ResolveResult::Unbound => "",
    };
    (space, local.into_inner())
}

fn slot(space: &str, local: &str) -> Option<Slot> {
    Some(match (space, local) {
        (DC, "subject") => Slot::Subject,
        (DC, "creator") => Slot::Creator,
        (DC, "rights") => Slot::Rights,
        (DC, "title") => Slot::Title,
        (DC, "description") => Slot::Description,
        (PHOTOSHOP, "Headline") => Slot::Headline,
        (IPTC_CORE, "AltTextAccessibility") => Slot::Alt,
        (IPTC_CORE, "ExtDescrAccessibility") => Slot::ExtendedDescription,
        (PDF, "Keywords") => Slot::PdfKeywords,
        (XMP_NOTE, "HasExtendedXMP") => Slot::HasExtended,
        _ => return None,
    })
}

impl Values {
    fn push(&mut self, slot: Slot, item: Item) {
        if self.0.len() < 10 * MAX_ITEMS && !item.1.trim().is_empty() {
            self.0.push((slot, item));
        }
    }

    fn settle(self) -> Parsed {
        let mut parsed = Parsed::default();
        let Parsed { embedded, svg, extended, .. } = &mut parsed;
        let (mut headline, mut caption, mut keywords, mut people) =
            (Default::default(), Default::default(), Vec::new(), Vec::new());
        for (slot, (language, value)) in self.0 {
            let language = language.as_deref();
            match slot {
                Slot::Subject => text::push_entry(&mut embedded.keywords, &value),
                Slot::PdfKeywords => text::push_split(&mut keywords, &value, &[',', ';']),
                Slot::Creator => text::push_entry(&mut people, &value),
                Slot::Rights => text::put(&mut embedded.rights, language, &value),
                Slot::Title => text::put(&mut embedded.title, language, &value),
                Slot::Headline => text::put(&mut headline, language, &value),
                Slot::Alt => text::put(&mut embedded.alt, language, &value),
                Slot::ExtendedDescription => text::put(&mut embedded.description, language, &value),
                Slot::Description => text::put(&mut caption, language, &value),
                Slot::HasExtended => *extended = text::clean(&value),
                Slot::SvgTitle => text::put(&mut svg.title, language, &value),
                Slot::SvgDescription => text::put(&mut svg.description, language, &value),
            }
        }
        embedded.creator = text::join(&people);
        if embedded.keywords.is_empty() {
            embedded.keywords = keywords;
        }
        if embedded.title.is_empty() {
            embedded.title = headline;
        }
        if embedded.description.is_empty() {
            embedded.description = caption;
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rdf(body: &str) -> String {
        format!(
            r#"<rdf:RDF xmlns:rdf="{RDF}" xmlns:dc="{DC}" xmlns:ph="{PHOTOSHOP}" xmlns:ip="{IPTC_CORE}" xmlns:pdf="{PDF}"
            xmlns:o="urn:other" xmlns:cc="http://creativecommons.org/ns#">{body}</rdf:RDF>"#
        )
    }

    /// keywords | creator | rights | title | alt | description
    fn flat(parsed: &Parsed) -> String {
        let of = |map: &std::collections::BTreeMap<String, String>| {
            map.iter().map(|(locale, text)| format!("{locale}={text}")).collect::<Vec<_>>().join(",")
        };
        let e = &parsed.embedded;
        let creator = e.creator.clone().unwrap_or_default();
        [e.keywords.join(","), creator, of(&e.rights), of(&e.title), of(&e.alt), of(&e.description)].join("|")
    }

    #[test]
    fn every_form_of_rdf_is_read() {
        let node = |inner: &str| format!("<rdf:Description>{inner}</rdf:Description>");
        let cases = [
            (r#"<rdf:Description dc:title="T &amp; t" ph:Headline="H" dc:rights="R" o:subject="no"/>"#.to_owned(), "||x-default=R|x-default=T & t||"),
            (r#"<rdf:Description ph:Headline="H"/>"#.to_owned(), "|||x-default=H||"),
            (node("<dc:title>plain</dc:title><dc:subject>one, two</dc:subject>"), "one, two|||x-default=plain||"),
            (node(r#"<dc:title xml:lang="it">Titolo</dc:title>"#), "|||it=Titolo||"),
            (node("<dc:title><rdf:Alt><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Alt></dc:title>"), "|||x-default=a||"),
            (node("<dc:subject><rdf:Seq><rdf:li>a</rdf:li><rdf:li/><rdf:li> b </rdf:li><rdf:li>a</rdf:li></rdf:Seq></dc:subject>"), "a,b|||||"),
            (node("<pdf:Keywords>a; b,c</pdf:Keywords>"), "a,b,c|||||"),
            (node("<pdf:Keywords>a</pdf:Keywords><dc:subject><rdf:Bag><rdf:li>d</rdf:li></rdf:Bag></dc:subject>"), "d|||||"),
            (node("<dc:description>caption</dc:description>"), "|||||x-default=caption"),
            (node("<ip:ExtDescrAccessibility>long</ip:ExtDescrAccessibility><dc:description>caption</dc:description>"), "|||||x-default=long"),
            // Qualified values, long and short.
            (node(r#"<dc:creator><rdf:Seq><rdf:li rdf:parseType="Resource"><rdf:value>Ada</rdf:value><o:role>x</o:role></rdf:li></rdf:Seq></dc:creator>"#), "|Ada||||"),
            (node(r#"<dc:creator><rdf:Seq><rdf:li><rdf:Description rdf:value="Ada" o:role="x"/></rdf:li></rdf:Seq></dc:creator>"#), "|Ada||||"),
            (node(r#"<dc:rights rdf:resource="https://example.org/l"/>"#), "||x-default=https://example.org/l|||"),
            // As Inkscape writes.
            ("<cc:Work><dc:title>T</dc:title><dc:creator><cc:Agent><dc:title>Ada</dc:title></cc:Agent></dc:creator><dc:rights><cc:Agent><dc:title>R</dc:title></cc:Agent></dc:rights></cc:Work>".to_owned(), "|Ada|x-default=R|x-default=T||"),
            // The metadata of what a file was made from is not the file's.
            (node("<o:Ingredients><rdf:Bag><rdf:li><rdf:Description dc:title='no'><dc:title>no</dc:title></rdf:Description></rdf:li></rdf:Bag></o:Ingredients>"), "|||||"),
            (node("<dc:title>a<o:b>not this</o:b>c</dc:title>"), "|||x-default=ac||"),
            (node("<dc:title><![CDATA[<a> & b]]> &#x263A;&lt;&unknown;</dc:title>"), "|||x-default=<a> & b ☺<||"),
            (node("<o:title>no</o:title><title>no</title>"), "|||||"),
        ];
        for (body, wanted) in cases {
            let parsed = parse(rdf(&body).as_bytes());
            assert_eq!((flat(&parsed).as_str(), parsed.broken), (wanted, None), "{body}");
        }
    }

    #[test]
    fn encodings_are_told_apart() {
        let packet = rdf("<rdf:Description><dc:title>Città ☺</dc:title></rdf:Description>");
        let units: Vec<u16> = packet.encode_utf16().collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        for bytes in [
            packet.clone().into_bytes(),
            [b"\xef\xbb\xbf", packet.as_bytes()].concat(),
            [b"\xfe\xff", &big[..]].concat(),
            [b"\xff\xfe", &little[..]].concat(),
            big,
            little,
        ] {
            assert_eq!(flat(&parse(&bytes)), "|||x-default=Città ☺||");
        }
        let declared = r#"<?xml version="1.0" encoding="ISO-8859-1"?>"#;
        let mut latin = declared.as_bytes().to_vec();
        latin.extend(rdf("<rdf:Description><dc:title>Citt?</dc:title></rdf:Description>").bytes());
        let place = latin.len() - latin.iter().rev().position(|&byte| byte == b'?').unwrap() - 1;
        latin[place] = 0xe0;
        assert_eq!(flat(&parse(&latin)), "|||x-default=Città||");
    }

    #[test]
    fn what_breaks_off_says_so() {
        let deep = format!("{}{}", "<a>".repeat(MAX_DEPTH + 1), "</a>".repeat(MAX_DEPTH + 1));
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_EVENTS / 2));
        for packet in ["<a>", "<a></b>", "<a", &deep, &many] {
            assert!(parse(packet.as_bytes()).broken.is_some(), "{:.40}", packet);
        }
        for packet in ["", "   ", "no xml", "\0\0\0"] {
            assert_eq!(flat(&parse(packet.as_bytes())), "|||||", "{packet}");
        }
    }
}
