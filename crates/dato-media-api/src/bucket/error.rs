//! Why a file's bytes did not arrive whole.
//!
//! Owns: the kinds, whether trying again helps, and what to do. Sends nothing.

use std::io;

/// Why a file's bytes did not arrive whole. Holds no URL.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The bucket said no (403: most often the ticket has expired) or hung up in mid-body, which is how an early no
    /// often looks. Ask for a new ticket.
    #[error("the bucket refuses the upload{}: {details}", of_status(*status))]
    Refused {
        /// HTTP status, when there was an answer.
        status: Option<u16>,
        /// What it said.
        details: String,
    },
    /// A proxy or a login page: what it says is not the bucket's word.
    #[error("something between us and the bucket answers in its place (HTTP {status})")]
    Between {
        /// HTTP status.
        status: u16,
    },
    /// The file grew, shrank, changed or vanished: settle it again.
    #[error("the file changed while it was sent: {0}")]
    Changed(&'static str),
    /// The disk or the rights say no.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The bucket received other bytes than we sent.
    #[error("the bucket received other bytes than were sent (its ETag is {etag})")]
    Mismatch {
        /// What the bucket said.
        etag: String,
    },
    /// 503 or 429: later.
    #[error("the bucket asks to slow down (HTTP {status})")]
    Throttled {
        /// HTTP status.
        status: u16,
    },
    /// No connection, no progress, no answer, or the bucket's own trouble.
    #[error("the bucket cannot be reached: {0}")]
    Network(String),
    /// The service named an address that no file is sent to, or headers that no file is sent with.
    #[error("the service named an address for the upload {0}: the file was not sent there")]
    Ticket(&'static str),
    /// The caller no longer wants it.
    #[error("the upload was cancelled")]
    Cancelled,
}

fn of_status(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!(" (HTTP {status})"))
}

impl SendError {
    /// Trying again with a new ticket can help.
    #[must_use]
    pub const fn retry_with_new_ticket(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Between { .. }
                | Self::Mismatch { .. }
                | Self::Throttled { .. }
                | Self::Network(_)
                | Self::Ticket(_)
        )
    }

    /// The bucket takes no file of this size.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused { status: Some(400 | 413), details } if details.contains("EntityTooLarge"))
    }

    /// Whether trying again later can help: everything may pass, also a disk that cannot be read.
    #[must_use]
    pub const fn heals(&self) -> bool {
        self.retry_with_new_ticket() || matches!(self, Self::Unreadable(_))
    }

    /// What to do about it, as far as the sending is concerned. What a program does by itself, it has to add.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "ask for a new upload URL; if it lasts, check the clock and any proxy",
            Self::Between { status: 407 } => {
                "the proxy asks for a login: put it into HTTPS_PROXY (http://user:password@host)"
            }
            Self::Between { status: 413 } => {
                "a proxy on the way to the bucket takes no file of this size: raise its limit, or let uploads go around it \
                 (NO_PROXY)"
            }
            Self::Between { .. } => "see what answers instead of the bucket: a proxy, a login page, a dead gateway",
            Self::Changed(_) => "send it when nobody writes it any more",
            Self::Unreadable(_) => "check the file's permissions and the disk",
            Self::Mismatch { .. } => "send it anew; if it lasts, something on the way alters uploads",
            Self::Throttled { .. } => "send it later",
            Self::Network(_) => "check the network and the proxy",
            Self::Ticket(_) => {
                "ask for another upload URL; if it lasts, something between here and the API alters its answers: check \
                 base_url and any proxy"
            }
            Self::Cancelled => "nothing: whoever sent it gave it up",
        }
    }
}
