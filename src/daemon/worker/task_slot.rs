//! A place for one piece of work at a time.
//!
//! Owns: that work does not outlive whoever began it. Never does: choosing what to begin.

use tokio_util::task::AbortOnDropHandle;

use crate::error::RunError;

/// Empty, or a task under way. Dropped, it ends the task at its next wait.
#[derive(Debug)]
pub struct TaskSlot<T>(Option<AbortOnDropHandle<Result<T, RunError>>>);

impl<T> Default for TaskSlot<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> TaskSlot<T> {
    /// Whether nothing is under way.
    pub const fn is_free(&self) -> bool {
        self.0.is_none()
    }

    /// Begins `work`; ends what was under way before.
    pub fn begin(&mut self, work: impl Future<Output = Result<T, RunError>> + Send + 'static) {
        self.0 = Some(AbortOnDropHandle::new(tokio::spawn(work)));
    }

    /// The end of what is under way; never, when nothing is. Nothing inside when the work ended abnormally. Safe to cancel.
    pub async fn end(&mut self) -> Option<Result<T, RunError>> {
        let Some(handle) = &mut self.0 else { return std::future::pending().await };
        let ended = handle.await;
        self.0 = None;
        ended.inspect_err(|error| tracing::error!(%error, "work ended abnormally; it is begun again")).ok()
    }

    /// Waits for what is under way and forgets what it came to.
    pub async fn drain(&mut self) {
        if !self.is_free() {
            self.end().await;
        }
    }
}
