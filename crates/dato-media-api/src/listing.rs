//! Listing assets: which, in what order, how many at once.
//!
//! Owns: the query string of `GET /uploads`, how many ids or digests fit in one, and that a listing has an end whatever
//! the answers say.
//! Never does: HTTP.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::{Md5, Upload, UploadId};

/// Longest URL we send. Source: the API's documentation.
pub(super) const LONGEST_URL: usize = 8_000;
/// Assets a page, at most. Source: the API's documentation.
pub const PAGE_LIMIT: u32 = 500;

/// Which assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFilter {
    /// All of the environment.
    All,
    /// Those with these ids, at most [`BatchLimits::ids`].
    Ids(Vec<UploadId>),
    /// Those of these ids that nothing uses: neither a record, in whatever version, nor the environment's own settings.
    Unused(Vec<UploadId>),
    /// Those with one of these contents, at most [`BatchLimits::md5s`].
    Md5s(Vec<Md5>),
    /// Parameters as the API names them, for example `("filter[fields][tags][anyIn][]", "logo")`.
    Raw(Vec<(String, String)>),
}

/// In what order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// By id: the one order that paging can rely on while assets come and go.
    ById,
    /// Changed last comes first.
    UpdatedDesc,
    /// As the API names it, for example `size_DESC`.
    Raw(String),
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Which assets.
    pub filter: ListFilter,
    /// In what order.
    pub order: Order,
    /// Assets to skip.
    pub offset: u64,
    /// Assets wanted, [`PAGE_LIMIT`] at most; 0 asks for the count alone.
    pub limit: u32,
}

impl ListQuery {
    /// The assets with these ids, in one page.
    #[must_use]
    pub fn ids(ids: Vec<UploadId>) -> Self {
        let limit = u32::try_from(ids.len()).unwrap_or(PAGE_LIMIT);
        Self { filter: ListFilter::Ids(ids), order: Order::ById, offset: 0, limit }
    }

    /// Those of the assets with these ids that nothing uses, in one page.
    #[must_use]
    pub fn unused(ids: Vec<UploadId>) -> Self {
        let limit = u32::try_from(ids.len()).unwrap_or(PAGE_LIMIT);
        Self { filter: ListFilter::Unused(ids), order: Order::ById, offset: 0, limit }
    }

    /// The assets with these contents; several may have the same.
    #[must_use]
    pub const fn md5s(md5s: Vec<Md5>) -> Self {
        Self { filter: ListFilter::Md5s(md5s), order: Order::ById, offset: 0, limit: PAGE_LIMIT }
    }

    /// All assets, from `offset` on.
    #[must_use]
    pub const fn all(offset: u64) -> Self {
        Self { filter: ListFilter::All, order: Order::ById, offset, limit: PAGE_LIMIT }
    }

    /// How many assets there are.
    #[must_use]
    pub const fn count() -> Self {
        Self { filter: ListFilter::All, order: Order::ById, offset: 0, limit: 0 }
    }

    /// The query string, escaped.
    pub(super) fn to_query(&self) -> String {
        let mut query = String::new();
        match &self.filter {
            ListFilter::All => {}
            ListFilter::Ids(ids) | ListFilter::Unused(ids) => {
                let list = ids.iter().map(|id| escape(id.as_str())).collect::<Vec<_>>().join(",");
                push(&mut query, "filter[ids]", &list);
                if matches!(self.filter, ListFilter::Unused(_)) {
                    push(&mut query, IN_USE_KEY, "false");
                }
            }
            ListFilter::Md5s(md5s) => {
                for md5 in md5s {
                    push(&mut query, MD5_KEY, &md5.to_string());
                }
            }
            ListFilter::Raw(pairs) => {
                for (key, value) in pairs {
                    push(&mut query, key, &escape(value));
                }
            }
        }
        let order = match &self.order {
            Order::ById => "id_ASC",
            Order::UpdatedDesc => "_updated_at_DESC",
            Order::Raw(raw) => raw,
        };
        push(&mut query, "order_by", &escape(order));
        push(&mut query, "page[offset]", &self.offset.to_string());
        push(&mut query, "page[limit]", &self.limit.min(PAGE_LIMIT).to_string());
        query
    }
}

const IN_USE_KEY: &str = "filter[fields][in_use][eq]";
const MD5_KEY: &str = "filter[fields][md5][in][]";

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<S = ()> {
    /// The assets of this page.
    pub assets: Vec<Upload<S>>,
    /// How many the filter matches in all.
    pub total: u64,
}

/// How a listing stands after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// There is more, from [`Walk::offset`] on.
    More,
    /// Every asset was seen.
    Whole,
    /// It ends here and is not whole: what was not seen may be there all the same.
    Broken,
}

/// A listing's way through its pages, which ends whatever the answers say.
#[derive(Debug, Default)]
pub struct Walk {
    /// Hashes of the ids seen.
    seen: HashSet<u64>,
    offset: u64,
    first_total: Option<u64>,
    shifted: bool,
}

/// While it is listed, a media area may become twice as large and some more.
const GROWTH: u64 = 10_000;
/// Assets of the largest media area.
const MOST_ASSETS: u64 = 5_000_000;

impl Walk {
    /// Assets to skip for the next page.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next page.
    pub fn take<S>(&mut self, page: &Page<S>) -> Listed {
        let first = *self.first_total.get_or_insert(page.total);
        self.shifted |= first != page.total;
        let before = self.seen.len();
        self.seen.extend(page.assets.iter().map(|asset| {
            let mut hasher = DefaultHasher::new();
            asset.id.hash(&mut hasher);
            hasher.finish()
        }));
        let news = self.seen.len() > before;
        self.offset = self.offset.saturating_add(page.assets.len() as u64);
        if self.offset >= page.total {
            let all = self.seen.len() as u64 >= page.total;
            return if all && !self.shifted { Listed::Whole } else { Listed::Broken };
        }
        let endless = self.offset > first.saturating_mul(2).saturating_add(GROWTH).min(MOST_ASSETS);
        if news && !endless { Listed::More } else { Listed::Broken }
    }
}

/// How many of a kind fit into the URL of one listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// For [`ListFilter::Ids`] and [`ListFilter::Unused`].
    pub ids: usize,
    /// For [`ListFilter::Md5s`].
    pub md5s: usize,
}

impl BatchLimits {
    /// Below a base URL of so many bytes, for URLs of at most `longest` bytes and pages of at most `page` assets.
    pub(super) fn below(base: usize, longest: usize, page: usize) -> Self {
        let frame =
            ListQuery { filter: ListFilter::Unused(Vec::new()), order: Order::ById, offset: 9_999_999, limit: 500 };
        let room = longest.saturating_sub(base + "/uploads?".len() + frame.to_query().len());
        let id = 22 + ",".len();
        let md5 = escape(MD5_KEY).len() + "=&".len() + 32;
        Self { ids: (room / id).clamp(1, page), md5s: (room / md5).clamp(1, page) }
    }
}

fn push(query: &mut String, key: &str, escaped_value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(&escape(key));
    query.push('=');
    query.push_str(escaped_value);
}

/// Everything but letters, digits and `-._~` as `%XX`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_spelt_as_the_api_wants_them() {
        let ids = ListQuery::ids(vec![UploadId::new("a_1"), UploadId::new("b-2")]);
        assert_eq!(ids.to_query(), "filter%5Bids%5D=a_1,b-2&order_by=id_ASC&page%5Boffset%5D=0&page%5Blimit%5D=2");
        let md5 = Md5::of(b"abc");
        let query = ListQuery::md5s(vec![md5, md5]).to_query();
        let key = "filter%5Bfields%5D%5Bmd5%5D%5Bin%5D%5B%5D=900150983cd24fb0d6963f7d28e17f72";
        assert!(query.starts_with(&format!("{key}&{key}&order_by")), "{query}");
        let raw = ListQuery {
            filter: ListFilter::Raw(vec![("filter[query]".into(), "a b&c".into())]),
            order: Order::Raw("size_DESC".into()),
            offset: 500,
            limit: 9999,
        };
        assert_eq!(
            raw.to_query(),
            "filter%5Bquery%5D=a%20b%26c&order_by=size_DESC&page%5Boffset%5D=500&page%5Blimit%5D=500"
        );
        let unused = ListQuery::unused(vec![UploadId::new("a"), UploadId::new("b")]).to_query();
        assert!(unused.starts_with("filter%5Bids%5D=a,b&filter%5Bfields%5D%5Bin_use%5D%5Beq%5D=false&"), "{unused}");
        assert!(ListQuery::count().to_query().ends_with("page%5Blimit%5D=0"));
    }

    fn page(ids: std::ops::Range<u64>, total: u64) -> Page {
        let asset = |n: u64| super::super::wire::bare_asset(&UploadId::new(format!("a{n}")));
        Page { assets: ids.map(asset).collect(), total }
    }

    #[test]
    fn a_listing_ends_when_all_was_seen() {
        let mut walk = Walk::default();
        assert_eq!(walk.take(&page(0..500, 700)), Listed::More);
        assert_eq!(walk.offset(), 500);
        assert_eq!(walk.take(&page(500..700, 700)), Listed::Whole);
        assert_eq!(Walk::default().take(&page(0..0, 0)), Listed::Whole);
        // More than asked for is no harm.
        assert_eq!(Walk::default().take(&page(0..9, 5)), Listed::Whole);
    }

    #[test]
    fn a_listing_that_tells_nothing_new_or_moves_under_us_is_not_whole() {
        let mut again = Walk::default();
        assert_eq!(again.take(&page(0..500, 1_000_000)), Listed::More);
        assert_eq!(again.take(&page(0..500, 1_000_000)), Listed::Broken);
        let mut empty = Walk::default();
        assert_eq!(empty.take(&page(0..0, 5)), Listed::Broken);
        // One was deleted and one made meanwhile: the total is the same, and one was never seen.
        let mut overlap = Walk::default();
        assert_eq!(overlap.take(&page(0..500, 700)), Listed::More);
        assert_eq!(overlap.take(&page(499..699, 700)), Listed::Broken);
        let mut shifted = Walk::default();
        assert_eq!(shifted.take(&page(0..500, 701)), Listed::More);
        assert_eq!(shifted.take(&page(500..700, 700)), Listed::Broken);
    }

    #[test]
    fn a_total_that_grows_for_ever_is_bounded() {
        for first in [1, 1_000, 20_000] {
            let mut walk = Walk::default();
            let mut pages = 0;
            while walk.take(&page(walk.offset()..walk.offset() + 500, first + walk.offset() * 2 + 1000)) == Listed::More
            {
                pages += 1;
                assert!(pages < 200, "{first}");
            }
            assert!(pages as u64 * 500 >= first, "{first}: {pages}");
        }
    }

    #[test]
    fn a_full_batch_stays_under_8_kb_and_is_worth_its_call() {
        let base = "https://site-api.datocms.com";
        let limits = BatchLimits::below(base.len(), LONGEST_URL, PAGE_LIMIT as usize);
        assert!(limits.ids >= 300 && limits.md5s >= 90, "{limits:?}");
        let ids = ListQuery::ids(vec![UploadId::new("q0VNpiNQSkG6z0lif_O1zg"); limits.ids]);
        let md5s = ListQuery { offset: 9_999_999, ..ListQuery::md5s(vec![Md5::of(b""); limits.md5s]) };
        for query in [ids, md5s] {
            let url = format!("{base}/uploads?{}", query.to_query());
            assert!(url.len() < 8_000, "{}", url.len());
        }
    }
}
