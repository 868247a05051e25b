//! Values that the service refused, so that a file is mirrored without them and they are not sent again and again.
//!
//! Owns: the SQL over `refused`. A refusal is about one value for one content in one metadata shape: another value, another
//! file, or a project that has changed its shape is asked anew. Never does: deciding what is refused (that is the executor),
//! or telling it (that is `sync::metadata_warnings`).

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use crate::model::{FieldKey, Md5, MirrorStamp};

/// A value that was sent for a field.
#[derive(Debug, Clone, PartialEq)]
pub struct SentValue {
    /// The content of the file that it was for.
    pub content: Md5,
    /// The field.
    pub field: FieldKey,
    /// The value, in its canonical form.
    pub value: Value,
    /// Whether the project had the newer metadata shape.
    pub by_field: bool,
}

impl SentValue {
    fn key(&self) -> (&[u8], String, String, bool) {
        (
            self.content.as_bytes().as_slice(),
            self.field.to_string(),
            MirrorStamp::value_digest(&self.value),
            self.by_field,
        )
    }
}

/// Remembers that the service refused it, and in which words. What was refused for contents that no file has any more is
/// forgotten.
///
/// # Errors
/// SQLite's.
pub fn add(conn: &Connection, sent: &SentValue, cause: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM refused WHERE NOT EXISTS (SELECT 1 FROM file WHERE file.md5 = refused.content)", [])?;
    let (content, field, digest, by_field) = sent.key();
    conn.execute(
        "INSERT OR REPLACE INTO refused (content, field, value, by_field, cause) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![content, field, digest, by_field, cause],
    )
    .map(drop)
}

/// It was something else that the service refused.
///
/// # Errors
/// SQLite's.
pub fn remove(conn: &Connection, sent: &SentValue) -> rusqlite::Result<()> {
    let (content, field, digest, by_field) = sent.key();
    conn.execute(
        "DELETE FROM refused WHERE content = ?1 AND field = ?2 AND value = ?3 AND by_field = ?4",
        params![content, field, digest, by_field],
    )
    .map(drop)
}

/// The words in which the service refused it; `None` when it did not.
///
/// # Errors
/// SQLite's.
pub fn cause(conn: &Connection, sent: &SentValue) -> rusqlite::Result<Option<String>> {
    let (content, field, digest, by_field) = sent.key();
    conn.prepare_cached("SELECT cause FROM refused WHERE content = ?1 AND field = ?2 AND value = ?3 AND by_field = ?4")?
        .query_row(params![content, field, digest, by_field], |row| row.get(0))
        .optional()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::index::Index;

    fn sent(content: &[u8], seconds: f64) -> SentValue {
        SentValue { content: Md5::of(content), field: FieldKey::PosterTime, value: json!(seconds), by_field: false }
    }

    #[test]
    fn a_refusal_is_about_one_value_of_one_content_in_one_shape() {
        let index = Index::snapshot(Path::new("/nonexistent/index.sqlite")).unwrap();
        index
            .call_blocking(|conn| {
                let refused = sent(b"a", 12.5);
                add(conn, &refused, "no")?;
                add(conn, &refused, "no more")?;
                assert_eq!(cause(conn, &refused)?.as_deref(), Some("no more"));
                let newer = SentValue { by_field: true, ..refused.clone() };
                for other in [sent(b"a", 12.0), sent(b"b", 12.5), newer] {
                    assert_eq!(cause(conn, &other)?, None, "{other:?}");
                }
                remove(conn, &refused)?;
                assert_eq!(cause(conn, &refused)?, None);
                add(conn, &refused, "no")?;
                add(conn, &sent(b"b", 1.0), "no")?;
                assert_eq!(cause(conn, &refused)?, None, "no file has that content");
                Ok(())
            })
            .unwrap();
    }
}
