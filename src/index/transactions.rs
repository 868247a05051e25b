//! The index's one thread.
//!
//! Owns: the connection, and doing what waits in one transaction. A transaction costs an `fsync`; on a slow disk work
//! waits while the last one goes on, and then costs one together. Never does: say what the work is. Work comes in the
//! order it was asked for, fails alone, and is answered when it is kept for good.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, ffi};

/// Pieces of work in one transaction at most.
const MOST: usize = 64;
/// No more work is begun in a transaction after this: the first in it waits for the last.
const LONGEST: Duration = Duration::from_millis(20);

/// What the thread is asked for.
pub(super) enum Job {
    /// Work in a transaction.
    Work(Box<dyn Work>),
    /// Closes the connection, then does this.
    Close(Box<dyn FnOnce() + Send>),
}

/// Work that shares a transaction with other work.
pub(super) trait Work: Send {
    /// Does it, once.
    ///
    /// # Errors
    /// When it failed: nothing of it is to be kept.
    fn run(&mut self, conn: &Connection) -> rusqlite::Result<()>;

    /// Answers: with what it came to, or, when the transaction was not kept, with why.
    fn answer(self: Box<Self>, kept: Result<(), &rusqlite::Error>);
}

/// Work with the place for its result.
pub(super) struct Task<T, F, R> {
    work: Option<F>,
    result: Option<rusqlite::Result<T>>,
    reply: R,
}

impl<T, F, R> Task<T, F, R> {
    pub(super) const fn new(work: F, reply: R) -> Self {
        Self { work: Some(work), result: None, reply }
    }
}

impl<T, F, R> Work for Task<T, F, R>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    R: FnOnce(rusqlite::Result<T>) + Send,
{
    fn run(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let result = work(conn);
        let failed = result.as_ref().err().map(copy);
        self.result = Some(result);
        failed.map_or(Ok(()), Err)
    }

    fn answer(self: Box<Self>, kept: Result<(), &rusqlite::Error>) {
        let result = match (self.result, kept) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(error)) => Err(copy(error)),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => return,
        };
        (self.reply)(result);
    }
}

/// Works until nobody can ask any more.
pub(super) fn serve(mut conn: Connection, queue: &Receiver<Job>, behavior: TransactionBehavior) {
    while let Ok(job) = queue.recv() {
        let mut next = Some(job);
        while let Some(job) = next.take() {
            match job {
                Job::Work(work) => next = together(&mut conn, behavior, work, queue),
                Job::Close(then) => {
                    if let Ok(empty) = Connection::open_in_memory() {
                        drop(std::mem::replace(&mut conn, empty));
                        then();
                    }
                }
            }
        }
    }
}

/// Does `first`, and what waits behind it, in one transaction, and answers. Returns what was met that is no work.
fn together(
    conn: &mut Connection,
    behavior: TransactionBehavior,
    first: Box<dyn Work>,
    queue: &Receiver<Job>,
) -> Option<Job> {
    let (mut group, mut met) = (vec![first], None);
    let kept = transact(conn, behavior, &mut group, || match queue.try_recv().ok()? {
        Job::Work(work) => Some(work),
        other => {
            met = Some(other);
            None
        }
    });
    for work in group {
        work.answer(kept.as_ref().copied());
    }
    met
}

/// Does the work in `group`, and what `more` gives, which joins the group.
fn transact(
    conn: &mut Connection,
    behavior: TransactionBehavior,
    group: &mut Vec<Box<dyn Work>>,
    mut more: impl FnMut() -> Option<Box<dyn Work>>,
) -> rusqlite::Result<()> {
    let begun = Instant::now();
    let mut transaction = conn.transaction_with_behavior(behavior)?;
    group.iter_mut().try_for_each(|work| work.run(&transaction))?;
    while group.len() < MOST
        && begun.elapsed() < LONGEST
        && let Some(work) = more()
    {
        group.push(work);
        let part = transaction.savepoint()?;
        match group.last_mut().map_or(Ok(()), |work| work.run(&part)) {
            Ok(()) => part.commit()?,
            Err(error) => {
                drop(part);
                // A failing disk has SQLite undo the whole transaction.
                if transaction.is_autocommit() {
                    return Err(error);
                }
            }
        }
    }
    transaction.commit()
}

/// What failed for several is told to each.
fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    type Answers = Vec<Result<i64, String>>;

    /// Does the statements as work that all waits when the thread begins; the answers, and the numbers then in the table.
    fn done(statements: &[&'static str]) -> (Answers, Vec<i64>) {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "PRAGMA foreign_keys = ON; CREATE TABLE number (n INTEGER PRIMARY KEY) STRICT;
             CREATE TABLE other (n INTEGER REFERENCES number (n) DEFERRABLE INITIALLY DEFERRED) STRICT;",
        )
        .unwrap();
        let (jobs, queue) = channel();
        let (answers, heard) = channel();
        for sql in statements {
            ask(&jobs, &answers, sql);
        }
        let (first, mut rest) = (queue.recv().unwrap(), None);
        if let Job::Work(first) = first {
            rest = together(&mut conn, TransactionBehavior::Immediate, first, &queue);
        }
        assert!(rest.is_none() && queue.try_recv().is_err(), "all were done together");
        let mut select = conn.prepare("SELECT n FROM number ORDER BY n").unwrap();
        let numbers = select.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        (heard.try_iter().collect(), numbers)
    }

    fn ask(jobs: &Sender<Job>, answers: &Sender<Result<i64, String>>, sql: &'static str) {
        let answers = answers.clone();
        let work = move |conn: &Connection| {
            conn.execute(sql, [])?;
            conn.query_row("SELECT count(*) FROM number", [], |row| row.get(0))
        };
        let reply = move |result: rusqlite::Result<i64>| {
            answers.send(result.map_err(|error| error.to_string())).unwrap();
        };
        jobs.send(Job::Work(Box::new(Task::new(work, reply)))).unwrap_or_default();
    }

    #[test]
    fn what_waits_is_done_together_in_order() {
        let inserts =
            ["INSERT INTO number VALUES (1)", "INSERT INTO number VALUES (2)", "INSERT INTO number VALUES (3)"];
        assert_eq!(done(&inserts), (vec![Ok(1), Ok(2), Ok(3)], vec![1, 2, 3]));
    }

    #[test]
    fn work_fails_alone() {
        let (answers, numbers) = done(&[
            "INSERT INTO number VALUES (1)",
            "INSERT INTO number VALUES (2), (1)",
            "INSERT INTO number VALUES (3)",
        ]);
        assert_eq!((&answers[0], &answers[2], numbers), (&Ok(1), &Ok(2), vec![1, 3]));
        assert!(answers[1].as_ref().is_err_and(|cause| cause.contains("UNIQUE")), "{answers:?}");
    }

    #[test]
    fn when_the_transaction_is_not_kept_nobody_is_told_that_it_was() {
        let (answers, numbers) = done(&["INSERT INTO number VALUES (1)", "INSERT INTO other VALUES (9)"]);
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|cause| cause.contains("FOREIGN KEY"))));
        assert_eq!((answers.len(), numbers), (2, vec![]));
    }

    #[test]
    fn what_undoes_the_whole_transaction_is_told_to_all_in_it() {
        let (answers, numbers) = done(&["INSERT INTO number VALUES (1)", "INSERT OR ROLLBACK INTO number VALUES (1)"]);
        assert!(
            answers.iter().all(|answer| answer.as_ref().is_err_and(|cause| cause.contains("UNIQUE"))),
            "{answers:?}"
        );
        assert_eq!((answers.len(), numbers), (2, vec![]));
    }
}
