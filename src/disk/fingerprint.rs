//! placeholder
/// Identity of content without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// ns.
    pub mtime_ns: i64,
    /// ns.
    pub ctime_ns: i64,
    /// inode.
    pub inode: u64,
    /// device.
    pub dev: u64,
}
impl Fingerprint {
    /// Whether the mtime is too young.
    #[must_use]
    pub fn racy(&self, recorded_at_ns: i64) -> bool {
        self.mtime_ns.max(self.ctime_ns) >= recorded_at_ns - 20_000_000
    }
}
