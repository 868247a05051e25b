//! The paths of `--files-from` that nobody knows.
//!
//! Owns: telling of them. It is no failure: what was deleted before it was ever mirrored stands in the list of changes of a
//! build as well. Never does: looking for them anywhere else.

use super::{Once, Work};
use crate::disk::Verdict;
use crate::error::RunError;
use crate::index::{Problem, files};
use crate::model::ActionKind;

impl Once<'_> {
    /// Tells of listed paths that no mirror has in its folder or ever had: they may be misspelt.
    pub(super) async fn tell_unknown(&self, work: &mut [Work<'_>]) -> Result<(), RunError> {
        let Some(listed) = &self.options.only else { return Ok(()) };
        let mut unknown = listed.clone();
        for Work { mirror, believed, .. } in work.iter() {
            // Of a root that is not there nothing can be said.
            if !believed {
                return Ok(());
            }
            let (row, root, selection) = (mirror.row, mirror.root().to_owned(), mirror.selection.clone());
            unknown = self
                .session
                .index
                .call(move |conn| {
                    let mut still = Vec::new();
                    for path in unknown {
                        let is_gone = path.below(&root).symlink_metadata().is_err_and(|error| is_absent(&error));
                        let counts = matches!(selection.verdict(&path), Verdict::Mirrored);
                        if is_gone && counts && !files::is_known(conn, row, path.key())? {
                            still.push(path);
                        }
                    }
                    Ok(still)
                })
                .await?;
        }
        let Some(Work { mirror, report, .. }) = work.first_mut() else { return Ok(()) };
        for path in unknown {
            let problem = Problem::new(
                ActionKind::Read,
                "--files-from lists it, there is no such file, and the mirror never had one",
                "check how it is written",
            );
            tracing::warn!(mirror = mirror.config.name, %path, "{}; {}", problem.cause, problem.advice);
            report.counts.skipped += 1;
            report.problem(path.key(), &problem);
        }
        Ok(())
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}
