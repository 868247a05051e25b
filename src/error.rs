//! How a run can end badly, and the exit code of each end.
//!
//! Owns: the exit codes, which are stable.

use crate::disk::{GuardTripped, WalkError};
use crate::index::IndexError;
use crate::model::GoesOn;
use crate::remote::{ApiError, advice};

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All mirrored.
    Done = 0,
    /// Finished, but some files could not be mirrored; or broken off by what can pass, such as a full disk.
    Incomplete = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The API refused the token or environment, or could not be reached at all.
    Api = 3,
    /// Stopped by a safety guard.
    Guard = 4,
    /// Another instance has this index.
    Locked = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a scan could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The root cannot be listed.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// It was stopped.
    #[error("stopped during the scan")]
    Stopped,
}

/// What ends a run before its report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The index cannot be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The API cannot be used.
    #[error("{0}: {advice}", advice = advice(.0))]
    Api(#[from] ApiError),
    /// A root is not to be believed.
    #[error(transparent)]
    Guard(#[from] GuardTripped),
    /// A root without a single file to mirror.
    #[error(
        "the root {root} holds no file to mirror; the guard against empty roots stopped the run, and nothing was deleted. \
         Mount the share or restore the folder; check `include` and `exclude`"
    )]
    Empty {
        /// The configured root.
        root: String,
    },
    /// The disk under a root failed.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A setting turned out unusable.
    #[error("{0}")]
    Usage(String),
    /// The process cannot go on as it is; a new one may.
    #[error("{0}")]
    Broken(String),
    /// The run was asked to stop.
    #[error("stopped before the end; the next run goes on where this one stopped")]
    Stopped,
}

impl RunError {
    /// The words where `goes_on` tries again what failed.
    #[must_use]
    pub fn told(&self, goes_on: GoesOn) -> String {
        match self {
            Self::Api(error) => format!("{error}: {}", advice(error).told(goes_on)),
            other => other.to_string(),
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Index(IndexError::Locked { .. }) => Exit::Locked,
            Self::Index(
                IndexError::Newer { .. }
                | IndexError::Older { .. }
                | IndexError::Missing { .. }
                | IndexError::Foreign { .. }
                | IndexError::Open { .. },
            )
            | Self::Usage(_) => Exit::Usage,
            Self::Api(_) => Exit::Api,
            Self::Guard(_) | Self::Empty { .. } => Exit::Guard,
            Self::Index(IndexError::Disk { .. } | IndexError::Sqlite { .. } | IndexError::Closed)
            | Self::Scan(_)
            | Self::Broken(_)
            | Self::Stopped => Exit::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::ApiErrorKind;

    #[test]
    fn who_tries_again_is_said_as_it_is_true() {
        let network = RunError::from(ApiError::new(ApiErrorKind::Network, "refused"));
        let words = "the API does not answer: refused: check the network, the proxy and base_url";
        for (goes_on, end) in [(GoesOn::Daemon, "it is tried again"), (GoesOn::NextRun, "the next run tries it again")]
        {
            assert_eq!(network.told(goes_on), format!("{words}; {end}"));
        }
        assert_eq!(network.to_string(), network.told(GoesOn::Daemon));
        let usage = RunError::Usage("it is tried again".into());
        assert_eq!(usage.told(GoesOn::NextRun), "it is tried again");
    }
}
