//! What the service was found to take at once, where that is less than the facts say.
//!
//! Owns: the sizes, which only shrink, down to their floors: something that refuses for another reason must not make each
//! call tiny; whether upload requests may name a collection; and whether assets are listed by their use.
//! Never does: HTTP.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::bulk::BULK_LIMIT;
use super::listing::{LONGEST_URL, PAGE_LIMIT};

/// No shorter URL is learned, bytes: one id and its query fit.
const SHORTEST_URL: usize = 400;
/// No smaller bulk call is learned, assets.
const SMALLEST_BULK: usize = 10;
/// No smaller page is learned, assets.
const SMALLEST_PAGE: usize = 10;

/// The sizes that are in use, and what else showed.
#[derive(Debug)]
pub(super) struct Learned {
    url: AtomicUsize,
    bulk: AtomicUsize,
    page: AtomicUsize,
    plain_requests: AtomicBool,
    refuses_use: AtomicBool,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            url: AtomicUsize::new(LONGEST_URL),
            bulk: AtomicUsize::new(BULK_LIMIT),
            page: AtomicUsize::new(PAGE_LIMIT as usize),
            plain_requests: AtomicBool::new(false),
            refuses_use: AtomicBool::new(false),
        }
    }
}

impl Learned {
    /// The longest URL, bytes.
    pub(super) fn url(&self) -> usize {
        self.url.load(Ordering::Relaxed)
    }

    /// A URL of more than `bytes` was too long.
    pub(super) fn url_is(&self, bytes: usize) {
        self.url.fetch_min(bytes.max(SHORTEST_URL), Ordering::Relaxed);
    }

    /// Assets in one bulk call.
    pub(super) fn bulk(&self) -> usize {
        self.bulk.load(Ordering::Relaxed)
    }

    /// More than `assets` were too many for a bulk call.
    pub(super) fn bulk_is(&self, assets: usize) {
        self.bulk.fetch_min(assets.max(SMALLEST_BULK), Ordering::Relaxed);
    }

    /// Upload requests name no collection: the service takes none there.
    pub(super) fn plain_requests(&self) -> bool {
        self.plain_requests.load(Ordering::Relaxed)
    }

    /// An upload request was taken only without its collection.
    pub(super) fn requests_are_plain(&self) {
        self.plain_requests.store(true, Ordering::Relaxed);
    }

    /// Whether the service lists assets by their use: until it shows that it does not.
    pub(super) fn tells_use(&self) -> bool {
        !self.refuses_use.load(Ordering::Relaxed)
    }

    /// It showed that it does not.
    pub(super) fn refuse_use(&self) {
        self.refuses_use.store(true, Ordering::Relaxed);
    }

    /// Assets in one page.
    pub(super) fn page(&self) -> usize {
        self.page.load(Ordering::Relaxed)
    }

    /// A page of more than `assets` was too large to be read.
    pub(super) fn page_is(&self, assets: usize) {
        self.page.fetch_min(assets.max(SMALLEST_PAGE), Ordering::Relaxed);
    }
}
