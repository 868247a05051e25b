//! What an earlier process began and did not see the end of.
//!
//! This module owns how each open intent is settled at the start: by asking the remote, never by guessing. It sends
//! nothing; what does not show is planned anew.

use std::collections::HashSet;

use jiff::Timestamp;

use super::Session;
use crate::error::RunError;
use crate::index::intents::{self, Intent, IntentKind};
use crate::index::{assets, contact, files};
use crate::model::Stamp;
use crate::remote::{Expect, JobId};
use crate::sync::record::{record_creation, record_edit, record_replacement};

impl Session {
    /// Settles what an earlier process began. It waits a moment for those a job may still bring about, so that nothing is
    /// sent twice. What they came to is then seen as any change of the remote is.
    pub(super) async fn resolve_open_intents(&self) -> Result<(), RunError> {
        let open = self.index.call(intents::open).await?;
        let mut asked = HashSet::new();
        let waits = open.iter().filter(|intent| asked.insert(intent.asset.clone())).map(|intent| self.resolve(intent));
        futures_util::future::join_all(waits).await.into_iter().collect::<Result<Vec<()>, RunError>>()?;
        self.index.call(move |conn| open.iter().try_for_each(|intent| intents::end(conn, intent.id))).await?;
        Ok(())
    }

    async fn resolve(&self, intent: &Intent) -> Result<(), RunError> {
        let file = intent.file;
        let mirror = self.index.call(move |conn| files::mirror_of(conn, file)).await?.map(|(_, name)| name);
        let job = intent.job.clone().map(JobId::new);
        let expect = match (intent.kind, intent.md5) {
            (IntentKind::Delete, _) => Expect::Gone,
            (IntentKind::Create | IntentKind::Replace, Some(md5)) => match intent.entry.clone().zip(mirror) {
                Some((entry, mirror)) => Expect::Sent(md5, Box::new(Stamp([(mirror, entry)].into()))),
                None => Expect::Md5(md5),
            },
            (IntentKind::Edit, _) if job.is_some() => Expect::JobDone,
            (IntentKind::Create | IntentKind::Replace | IntentKind::Edit, _) => Expect::Any,
        };
        self.confirmer.set_flush(true);
        let wait = self.confirmer.wait(intent.asset.clone(), job, expect);
        match tokio::time::timeout(self.waits.for_left_open(intent.at_ms, Timestamp::now()), wait).await {
            Ok(Ok(Some(asset))) => {
                let Intent { kind, md5, entry, .. } = intent.clone();
                self.index
                    .call(move |conn| {
                        assets::upsert(conn, &asset, None)?;
                        match (kind, md5, entry) {
                            (IntentKind::Create, sent, _) => record_creation(conn, file, sent, &asset),
                            (IntentKind::Replace, Some(sent), Some(entry)) => {
                                record_replacement(conn, file, sent, &asset, &entry)
                            }
                            (IntentKind::Edit, _, Some(entry)) => record_edit(conn, file, &asset, &entry),
                            _ => Ok(()),
                        }
                    })
                    .await?;
            }
            Ok(Ok(None)) if intent.kind == IntentKind::Delete => {
                // Deleted by us: nothing an editor did.
                let (asset, file) = (intent.asset.clone(), intent.file);
                self.index
                    .call(move |conn| {
                        assets::remove(conn, &asset)?;
                        files::forget_gone(conn, file)
                    })
                    .await?;
            }
            Ok(_) | Err(_) if intent.kind == IntentKind::Create && intent.md5.is_some() => {
                // It may still come true, and is ours then.
                let (asset, sent) = (intent.asset.clone(), intent.md5);
                self.index.call(move |conn| sent.map_or(Ok(()), |sent| contact::tried(conn, &asset, sent))).await?;
            }
            // It failed, or does not show: planned anew from what the remote says.
            Ok(_) | Err(_) => tracing::debug!(asset = %intent.asset, "an earlier change does not show"),
        }
        Ok(())
    }
}
