//! How a file shows that it is an index of dato-mirror.
//!
//! Owns: the beginning that every such file has, whatever its name. Never does: reading files.

/// SQLite's word for whose database a file is: "DatM". Read from the file's header.
pub const APPLICATION_ID: i32 = 0x4461_744D;
/// How every SQLite file begins.
pub const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of a file that tell whose it is.
pub const HEADER_BYTES: usize = 100;
/// What is added to the index's name for the files beside it.
pub const COMPANIONS: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];

/// Whose a database is by the beginning of its file: its application id, 0 when none was set; `None` for a file that is no
/// SQLite database.
#[must_use]
pub fn application_id(head: &[u8]) -> Option<i32> {
    let id: [u8; 4] = head.get(68..72)?.try_into().ok()?;
    head.starts_with(SQLITE_MAGIC).then(|| i32::from_be_bytes(id))
}

/// Whether a file that begins so is an index of dato-mirror.
#[must_use]
pub fn is_index(head: &[u8]) -> bool {
    application_id(head) == Some(APPLICATION_ID)
}

/// The name of the index beside which a file of this name would lie, if its name is like that.
#[must_use]
pub fn index_of_companion(name: &str) -> Option<&str> {
    COMPANIONS.iter().find_map(|suffix| name.strip_suffix(suffix)).filter(|index| !index.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_told_by_its_beginning_alone() {
        let mut head = vec![0; HEADER_BYTES];
        assert!(!is_index(&head));
        head[..16].copy_from_slice(SQLITE_MAGIC);
        assert_eq!(application_id(&head), Some(0));
        head[68..72].copy_from_slice(&APPLICATION_ID.to_be_bytes());
        assert!(is_index(&head) && !is_index(&head[..70]));
        head[0] = b'X';
        assert!(!is_index(&head));
        assert_eq!(index_of_companion("index.sqlite-wal"), Some("index.sqlite"));
        assert_eq!(index_of_companion("Cargo.lock"), Some("Cargo"));
        assert_eq!(index_of_companion(".lock"), None);
        assert_eq!(index_of_companion("logo.png"), None);
    }
}
