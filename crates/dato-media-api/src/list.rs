//! Listing assets, in as many calls as the service's limits ask for.
//!
//! Owns: that a URL which is too long is halved, and a page which is too large asked in smaller ones; both are remembered.
//! Never does: walking through pages (that is the caller's, by [`super::Walk`]).

use crate::http::Call;
use crate::{
    ApiError, ApiErrorKind, BatchLimits, CallPermit, Client, ListFilter, ListQuery, Listed, Md5, Page, Stamp, Upload,
    UploadId, Walk, wire,
};

impl<S: Stamp> Client<S> {
    /// One page of assets: as many as were asked for, or fewer where a page of so many is too large. All of them where
    /// they are named, by id or content, and do not fit into one URL.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn list(&self, query: &ListQuery) -> Result<Page<S>, ApiError> {
        self.list_from(None, query).await
    }

    /// [`Client::list`] with its permit in hand.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn list_in(&self, permit: CallPermit, query: &ListQuery) -> Result<Page<S>, ApiError> {
        self.list_from(Some(permit), query).await
    }

    /// How many ids and digests one listing can ask for.
    #[must_use]
    pub fn batch_limits(&self) -> BatchLimits {
        let learned = &self.transport.learned;
        BatchLimits::below(self.transport.base.as_str().len(), learned.url(), learned.page())
    }

    /// Whether [`Client::unused_in`] may be asked: what was heard so far does not speak against it.
    #[must_use]
    pub fn tells_use(&self) -> bool {
        self.transport.learned.tells_use()
    }

    /// Those of the assets with these ids that nothing uses, with the permit in hand. Nothing where the service refuses the
    /// question, or answers with assets that were not asked for: then only [`Client::references`] of each tell.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn unused_in(&self, permit: CallPermit, ids: &[UploadId]) -> Result<Option<Vec<Upload<S>>>, ApiError> {
        let Some(unused) = self.by_use(Some(permit), &ListQuery::unused(ids.to_vec())).await? else {
            return Ok(None);
        };
        // A page ends where as many are shown as were asked for; the count tells of others.
        let Page { assets, total } = unused;
        if total <= ids.len() as u64 && assets.iter().all(|asset| ids.contains(&asset.id)) {
            return Ok(Some(assets));
        }
        self.transport.learned.refuse_use();
        tracing::info!("the API does not tell in a list which assets are in use: each is asked for by itself");
        Ok(None)
    }

    /// A listing by use; nothing where the service refuses to list so.
    async fn by_use(&self, permit: Option<CallPermit>, query: &ListQuery) -> Result<Option<Page<S>>, ApiError> {
        match self.list_from(permit, query).await {
            Ok(page) => Ok(Some(page)),
            Err(error) if error.kind == ApiErrorKind::Invalid => {
                self.transport.learned.refuse_use();
                tracing::info!(%error, "the API does not list assets by their use: each is asked for by itself");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn list_from(&self, permit: Option<CallPermit>, query: &ListQuery) -> Result<Page<S>, ApiError> {
        match &query.filter {
            ListFilter::Ids(ids) if query.offset == 0 => self.by_ids(permit, ids, query, ListFilter::Ids).await,
            ListFilter::Unused(ids) => self.by_ids(permit, ids, query, ListFilter::Unused).await,
            ListFilter::Md5s(md5s) => self.by_md5s(permit, md5s, query).await,
            ListFilter::All | ListFilter::Ids(_) | ListFilter::Raw(_) => self.shrinking(permit, query).await,
        }
    }

    async fn by_ids(
        &self,
        mut permit: Option<CallPermit>,
        ids: &[UploadId],
        query: &ListQuery,
        filter: fn(Vec<UploadId>) -> ListFilter,
    ) -> Result<Page<S>, ApiError> {
        let mut assets: Vec<Upload<S>> = Vec::new();
        let mut total = 0;
        let (mut rest, mut most) = (ids, usize::MAX);
        loop {
            let (batch, after) = rest.split_at(rest.len().min(most).min(self.batch_limits().ids));
            let part = |ids: &[UploadId]| ListQuery {
                limit: u32::try_from(ids.len()).unwrap_or(query.limit).min(query.limit),
                filter: filter(ids.to_vec()),
                ..query.clone()
            };
            match self.page(permit.take(), &part(batch)).await {
                // One that was asked for and does not show is taken for gone: not in a list of others.
                Ok(page)
                    if matches!(query.filter, ListFilter::Ids(_))
                        && page.assets.iter().any(|asset| !batch.contains(&asset.id)) =>
                {
                    return Err(ApiError::new(ApiErrorKind::Between, "with a list of assets that were not asked for"));
                }
                Ok(page) => {
                    total += page.total;
                    assets.extend(page.assets);
                }
                Err(error) if batch.len() > 1 && (error.is_url_too_long() || error.is_too_large()) => {
                    most = batch.len() / 2;
                    if error.is_too_large() {
                        self.transport.learned.page_is(most);
                    } else {
                        self.learn_url(&part(&batch[..most]));
                    }
                    continue;
                }
                Err(error) => return Err(error),
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        // What is shown of ids is all there is of them.
        let total = if matches!(query.filter, ListFilter::Unused(_)) { total } else { assets.len() as u64 };
        Ok(Page { assets, total })
    }

    async fn by_md5s(&self, permit: Option<CallPermit>, md5s: &[Md5], query: &ListQuery) -> Result<Page<S>, ApiError> {
        let mut most = self.batch_limits().md5s;
        if md5s.len() <= most {
            match self.shrinking(permit, query).await {
                Err(error) if error.is_url_too_long() && md5s.len() > 1 => {
                    most = md5s.len() / 2;
                    self.learn_url(&ListQuery { filter: ListFilter::Md5s(md5s[..most].to_vec()), ..query.clone() });
                }
                answer => return answer,
            }
        }
        // In several listings a page has no place: they are read to their ends.
        let mut assets: Vec<Upload<S>> = Vec::new();
        let mut rest = md5s;
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(most).min(self.batch_limits().md5s));
            let mut walk = Walk::default();
            let ended = loop {
                let part =
                    ListQuery { filter: ListFilter::Md5s(batch.to_vec()), offset: walk.offset(), ..query.clone() };
                match self.shrinking(None, &part).await {
                    Ok(page) => {
                        let listed = walk.take(&page);
                        assets.extend(page.assets);
                        if listed != Listed::More {
                            break true;
                        }
                    }
                    Err(error) if error.is_url_too_long() && batch.len() > 1 => {
                        most = batch.len() / 2;
                        self.learn_url(&ListQuery { filter: ListFilter::Md5s(batch[..most].to_vec()), ..part });
                        break false;
                    }
                    Err(error) => return Err(error),
                }
            };
            if ended {
                rest = after;
            }
        }
        let total = assets.len() as u64;
        Ok(Page { assets, total })
    }

    /// One page; a smaller one where this is too large to be read.
    async fn shrinking(&self, mut permit: Option<CallPermit>, query: &ListQuery) -> Result<Page<S>, ApiError> {
        let mut limit = query.limit.min(u32::try_from(self.transport.learned.page()).unwrap_or(u32::MAX));
        loop {
            match self.page(permit.take(), &ListQuery { limit, ..query.clone() }).await {
                Err(error) if error.is_too_large() && limit > 1 => {
                    limit /= 2;
                    self.transport.learned.page_is(limit as usize);
                    tracing::debug!(limit, "a page was too large: smaller ones are asked for");
                }
                answer => return answer,
            }
        }
    }

    async fn page(&self, permit: Option<CallPermit>, query: &ListQuery) -> Result<Page<S>, ApiError> {
        let may_be_shorter = match &query.filter {
            ListFilter::Ids(ids) | ListFilter::Unused(ids) => query.offset == 0 && ids.len() > 1,
            ListFilter::Md5s(md5s) => md5s.len() > 1,
            ListFilter::All | ListFilter::Raw(_) => false,
        };
        let call = Call::get(&["uploads"]).query(query.to_query()).may_be_shorter(may_be_shorter);
        let (assets, total) = wire::assets(&self.transport.result_from(&call, permit).await?)?;
        Ok(Page { assets, total })
    }

    /// A URL longer than that of `query` was too long.
    fn learn_url(&self, query: &ListQuery) {
        let length = self.transport.base.as_str().len() + "/uploads?".len() + query.to_query().len();
        self.transport.learned.url_is(length);
        tracing::info!(length, "a URL was too long for the API, or for something before it: shorter ones are sent");
    }
}
