//! Listing assets: which, in what order, how many at once.
//!
//! Owns: the query string of `GET /uploads` and how many ids or digests fit in one.
//! Never does: HTTP.
//! Called by: `Remote::list` and `Remote::batch_limits`.

use std::fmt::Write as _;

use crate::model::{Asset, Md5, UploadId};

/// Longest URL we send. Source: media-area-api.md "Keep a URL under 8 KB".
const LONGEST_URL: usize = 8_000;
/// Assets a page, at most. Source: media-area-api.md "Listing".
pub const PAGE_LIMIT: u32 = 500;

/// Which assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFilter {
    /// All of the environment.
    All,
    /// Those with these ids, at most [`BatchLimits::ids`].
    Ids(Vec<UploadId>),
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
            ListFilter::Ids(ids) => {
                let list = ids.iter().map(|id| escape(id.as_str())).collect::<Vec<_>>().join(",");
                push(&mut query, "filter[ids]", &list);
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

const MD5_KEY: &str = "filter[fields][md5][in][]";

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The assets of this page.
    pub assets: Vec<Asset>,
    /// How many the filter matches in all.
    pub total: u64,
}

/// How many of a kind fit into the URL of one listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// For [`ListFilter::Ids`].
    pub ids: usize,
    /// For [`ListFilter::Md5s`].
    pub md5s: usize,
}

impl BatchLimits {
    /// Below a base URL of so many bytes.
    pub(super) fn below(base: usize) -> Self {
        let frame =
            ListQuery { filter: ListFilter::Ids(Vec::new()), order: Order::ById, offset: 9_999_999, limit: 500 };
        let room = LONGEST_URL.saturating_sub(base + "/uploads?".len() + frame.to_query().len());
        let id = 22 + ",".len();
        let md5 = escape(MD5_KEY).len() + "=&".len() + 32;
        let page = PAGE_LIMIT as usize;
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
        assert!(ListQuery::count().to_query().ends_with("page%5Blimit%5D=0"));
    }

    #[test]
    fn a_full_batch_stays_under_8_kb_and_is_worth_its_call() {
        let base = "https://site-api.datocms.com";
        let limits = BatchLimits::below(base.len());
        assert!(limits.ids >= 300 && limits.md5s >= 90, "{limits:?}");
        let ids = ListQuery::ids(vec![UploadId::new("q0VNpiNQSkG6z0lif_O1zg"); limits.ids]);
        let md5s = ListQuery { offset: 9_999_999, ..ListQuery::md5s(vec![Md5::of(b""); limits.md5s]) };
        for query in [ids, md5s] {
            let url = format!("{base}/uploads?{}", query.to_query());
            assert!(url.len() < 8_000, "{}", url.len());
        }
    }
}
