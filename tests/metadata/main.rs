//! Metadata end to end: real files through the real binary into a media area, and what editors did there in between.
//!
//! Each topic is here twice: in projects that keep metadata by field, as new ones do, and in those that keep them by locale.
//! So the name of a failing test names the shape, and a new test is in both by itself.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]
#![expect(clippy::duplicate_mod, reason = "every topic in both metadata shapes")]

#[path = "."]
mod newer_shape {
    /// Whether the media area's metadata are by field, then locale.
    pub const BY_FIELD: bool = true;

    mod support;

    mod bulk;
    mod collections;
    mod poster;
    mod remote;
    mod sidecars;
    mod three_way;
    mod values;
}

#[path = "."]
mod older_shape {
    /// Whether the media area's metadata are by field, then locale.
    pub const BY_FIELD: bool = false;

    mod support;

    mod bulk;
    mod collections;
    mod poster;
    mod remote;
    mod sidecars;
    mod three_way;
    mod values;
}
