//! One call of the API, taken apart and checked for form.
//!
//! Owns: the query and the JSON:API document with their strict checks. Never does: touching the state.

use serde_json::{Map, Value};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::answer::Refusal;
use super::job::Fate;

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: String,
    /// The path's parts, decoded.
    pub(super) segments: Vec<String>,
    /// The query's pairs, decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) environment: String,
    pub(super) body: Option<Value>,
    /// ms since 1970.
    pub(super) now: i64,
    /// How this call's job is to end.
    pub(super) fate: Fate,
    /// Extra latency of this call's job, ms.
    pub(super) slow: i64,
    /// Check this call only inside its job.
    pub(super) late: bool,
    /// Answer with the result, whatever is usual.
    pub(super) direct: bool,
    /// The upload request's URL has expired when it is told.
    pub(super) expired: bool,
    /// The token's name in `creator`.
    pub(super) token: &'static str,
}

/// A JSON:API document's parts.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) attributes: Map<String, Value>,
    pub(super) relationships: Map<String, Value>,
}

impl Call {
    /// The body as a document of this type; anything the API does not know is refused.
    pub(super) fn document(
        &self,
        kind: &str,
        attributes: &[&str],
        relationships: &[&str],
    ) -> Result<Document<'_>, Refusal> {
        let body = self.body.as_ref().ok_or_else(|| Refusal::format("a JSON:API document is needed"))?;
        document(body, kind, attributes, relationships)
    }

    /// The value of a query parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Refuses parameters that the endpoint does not know.
    pub(super) fn only_params(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.query.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => Err(Refusal::format(format!("unknown query parameter {key}"))),
            None => Ok(()),
        }
    }
}

/// Checks a whole document.
pub(super) fn document<'a>(
    body: &'a Value,
    kind: &str,
    attributes: &[&str],
    relationships: &[&str],
) -> Result<Document<'a>, Refusal> {
    let top = body.as_object().ok_or_else(|| Refusal::format("the document must be an object"))?;
    only(top, &["data"], "the document")?;
    let data = top.get("data").and_then(Value::as_object).ok_or_else(|| Refusal::format("data must be an object"))?;
    only(data, &["id", "type", "attributes", "relationships"], "data")?;
    if data.get("type").and_then(Value::as_str) != Some(kind) {
        return Err(Refusal::format(format!("data.type must be {kind}")));
    }
    let part = |name: &str, known: &[&str]| match data.get(name) {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => only(map, known, name).map(|()| map.clone()),
        Some(_) => Err(Refusal::format(format!("{name} must be an object"))),
    };
    let id = match data.get("id") {
        None => None,
        Some(Value::String(id)) => Some(id.as_str()),
        Some(_) => return Err(Refusal::format("data.id must be a string")),
    };
    Ok(Document {
        id,
        attributes: part("attributes", attributes)?,
        relationships: part("relationships", relationships)?,
    })
}

fn only(map: &Map<String, Value>, known: &[&str], place: &str) -> Result<(), Refusal> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Refusal::format(format!("unknown key {key} in {place}"))),
        None => Ok(()),
    }
}

impl Document<'_> {
    /// The id, which must be the one in the path.
    pub(super) fn same_id(&self, path: &str) -> Result<(), Refusal> {
        if self.id == Some(path) { Ok(()) } else { Err(Refusal::format("data.id must be the id in the path")) }
    }

    /// A string attribute that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&str, Refusal> {
        match self.attributes.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(Refusal::field(name, "INVALID_FORMAT", "must be a string, not empty")),
            None => Err(Refusal::field(name, "VALIDATION_REQUIRED", "is needed")),
        }
    }

    /// A string or null attribute; `None` when it is left out.
    pub(super) fn nullable(&self, name: &str) -> Result<Option<Option<String>>, Refusal> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => Ok(Some(Some(text.clone()))),
            Some(_) => Err(Refusal::field(name, "INVALID_FORMAT", "must be a string or null")),
        }
    }

    /// The tags; `None` when they are left out.
    pub(super) fn tags(&self) -> Result<Option<Vec<String>>, Refusal> {
        let Some(value) = self.attributes.get("tags") else { return Ok(None) };
        let bad = || Refusal::field("tags", "INVALID_FORMAT", "must be a list of strings, not empty");
        let list = value.as_array().ok_or_else(bad)?;
        let mut tags: Vec<String> = Vec::new();
        for tag in list {
            let tag = tag.as_str().filter(|tag| !tag.trim().is_empty()).ok_or_else(bad)?;
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
        }
        Ok(Some(tags))
    }

    /// A relationship to at most one resource of a type; `None` when it is left out.
    pub(super) fn one(&self, name: &str, kind: &str) -> Result<Option<Option<String>>, Refusal> {
        let Some(value) = self.relationships.get(name) else { return Ok(None) };
        let data = linkage(value, name)?;
        if data.is_null() {
            return Ok(Some(None));
        }
        Ok(Some(Some(identifier(data, name, kind)?)))
    }

    /// A relationship to many resources of a type; `None` when it is left out.
    pub(super) fn many(&self, name: &str, kind: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(value) = self.relationships.get(name) else { return Ok(None) };
        let list = linkage(value, name)?;
        let list = list.as_array().ok_or_else(|| Refusal::format(format!("{name}.data must be a list")))?;
        list.iter().map(|data| identifier(data, name, kind)).collect::<Result<_, _>>().map(Some)
    }
}

/// The `data` of a relationship.
pub(super) fn linkage<'a>(value: &'a Value, name: &str) -> Result<&'a Value, Refusal> {
    let map = value.as_object().ok_or_else(|| Refusal::format(format!("{name} must be an object with data")))?;
    only(map, &["data"], name)?;
    map.get("data").ok_or_else(|| Refusal::format(format!("{name} must have data")))
}

fn identifier(data: &Value, name: &str, kind: &str) -> Result<String, Refusal> {
    let bad = || Refusal::format(format!("{name} must name {kind} resources by type and id"));
    let map = data.as_object().ok_or_else(bad)?;
    only(map, &["type", "id"], name)?;
    match (map.get("type").and_then(Value::as_str), map.get("id").and_then(Value::as_str)) {
        (Some(found), Some(id)) if found == kind => Ok(id.to_owned()),
        _ => Err(bad()),
    }
}

/// Whether a client may choose this id: a UUIDv4 in 22 characters of URL-safe base64.
pub(super) fn client_id(id: &str) -> Result<(), Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(id).unwrap_or_default();
    if id.len() == 22 && bytes.len() == 16 && bytes[6] >> 4 == 4 && bytes[8] >> 6 == 2 {
        return Ok(());
    }
    Err(Refusal::new(
        422,
        "INVALID_ENTITY_ID",
        serde_json::json!({ "message": "an id must be a UUIDv4 in URL-safe base64 without padding" }),
    ))
}

/// An id as the service makes them.
pub(super) fn new_id() -> String {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[0] &= 0x7f;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Splits and decodes a query: `+` is a space, `%XX` a byte.
pub(super) fn parse_query(raw: &str) -> Vec<(String, String)> {
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Decodes `%XX`; what is no escape stays as it is.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset: usize| bytes.get(at + offset).and_then(|b| char::from(*b).to_digit(16));
        if byte == b'%'
            && let (Some(high), Some(low)) = (hex(1), hex(2))
        {
            out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn queries_are_decoded_however_they_are_written() {
        let plain = parse_query("filter[fields][md5][in][]=a&filter[fields][md5][in][]=b&x=1+2%2B3");
        let encoded = parse_query(
            "filter%5Bfields%5D%5Bmd5%5D%5Bin%5D%5B%5D=a&filter%5Bfields%5D%5Bmd5%5D%5Bin%5D%5B%5D=b&x=1%202%2b3",
        );
        assert_eq!(plain, encoded);
        assert_eq!(plain[2], ("x".to_owned(), "1 2+3".to_owned()));
        assert_eq!(decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn a_document_with_anything_unknown_is_refused() {
        let good = json!({"data": {"type": "upload", "attributes": {"path": "/1/2-a.png"}}});
        assert!(document(&good, "upload", &["path"], &[]).is_ok());
        for bad in [
            json!([]),
            json!({"data": []}),
            json!({"data": {"type": "uploads"}}),
            json!({"data": {"type": "upload", "attributes": {"paht": 1}}}),
            json!({"data": {"type": "upload", "attributes": []}}),
            json!({"data": {"type": "upload", "relationships": {"collection": {}}}}),
            json!({"data": {"type": "upload", "id": 7}}),
            json!({"data": {"type": "upload", "extra": 7}}),
            json!({"data": {"type": "upload"}, "meta": {}}),
        ] {
            assert_eq!(document(&bad, "upload", &["path"], &[]).unwrap_err().code, "INVALID_FORMAT", "{bad}");
        }
    }

    #[test]
    fn only_uuids_of_version_4_are_client_ids() {
        for _ in 0..100 {
            assert!(client_id(&new_id()).is_ok());
        }
        for id in [
            "",
            "4124",
            "q0VNpiNQSkG6z0lif_O1z",
            "q0VNpiNQAkG6z0lif_O1zg",
            "q0VNpiNQSkF6z0lif+O1zg",
            "q0VNpiNQSkG6z0lif_O1zg==",
        ] {
            assert!(client_id(id).is_err(), "{id}");
        }
        assert!(client_id("q0VNpiNQSkG6z0lif_O1zg").is_ok());
    }
}
