//! Whose media area the index is about: a project's, and of that one environment's.
//!
//! Owns: the decision whether the index is kept, and what is left of it when not. Where no environment is configured
//! the primary one is meant, and which that is the service's answers tell: somebody may have promoted another since.
//! Never does: calls, logging.
//!
//! An index is not kept beside that of another environment but filled anew: that costs one listing and no upload, since
//! stamps and derived ids say everything that is to be known of an asset.

use rusqlite::Connection;

use super::settings::{get, set};

/// Setting: `SITE/ENVIRONMENT`; without the environment where no answer has named it.
const PROJECT: &str = "project";
/// Setting: the environment is the primary one, and an answer named it.
const BY_ANSWER: &str = "environment_by_answer";
/// Setting: everything has to be listed once, whatever the index seems to know.
const LIST_ALL: &str = "list_all";

/// What a session works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The project.
    pub site: &'a str,
    /// The environment that is configured.
    pub asked: Option<&'a str>,
    /// The environment that the service's answer names.
    pub answered: Option<&'a str>,
}

/// What becomes of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// It is about this place, or about none so far.
    Kept,
    /// Somebody made another environment the primary one: what the index knew of the media area is about another.
    Promoted {
        /// The primary environment of before.
        from: String,
        /// That of now.
        to: String,
    },
    /// It was about another project, or an environment that was configured: nothing of the media area is kept.
    Emptied,
}

/// Decides. `bound`: the project and the environment that the index is about; `by_answer`: that an answer named it. Gives
/// also the environment that the index is about from now on.
fn decide(bound: Option<(&str, &str)>, by_answer: bool, place: Place<'_>) -> (Binding, String) {
    let named = place.asked.or(place.answered).unwrap_or_default();
    let Some((site, before)) = bound else { return (Binding::Kept, named.to_owned()) };
    let is_same = before.eq_ignore_ascii_case(named);
    let binding = match (place.asked, place.answered) {
        _ if site != place.site => Binding::Emptied,
        _ if is_same => Binding::Kept,
        // No answer named it so far, as with an older version.
        (None, Some(_)) if before.is_empty() => Binding::Kept,
        (None, Some(_)) if by_answer => Binding::Promoted { from: before.to_owned(), to: named.to_owned() },
        // Nothing is told this time, and nothing speaks against what was told before.
        (None, None) if by_answer => return (Binding::Kept, before.to_owned()),
        _ => Binding::Emptied,
    };
    (binding, named.to_owned())
}

/// Binds the index to a place. What it knew of another one's media area is forgotten; the digests of the files are kept.
///
/// # Errors
/// SQLite's.
pub fn bind(conn: &Connection, place: Place<'_>) -> rusqlite::Result<Binding> {
    let bound = get(conn, PROJECT)?;
    let by_answer = is_primary(conn)?;
    let parts = bound.as_deref().map(|bound| bound.split_once('/').unwrap_or((bound, "")));
    let (binding, environment) = decide(parts, by_answer, place);
    match binding {
        Binding::Kept => {}
        Binding::Promoted { .. } => {
            leave_environment(conn)?;
            set(conn, LIST_ALL, "1")?;
        }
        Binding::Emptied => empty(conn)?,
    }
    let project = format!("{}/{environment}", place.site);
    if bound.as_deref() != Some(project.as_str()) || binding != Binding::Kept {
        set(conn, PROJECT, &project)?;
    }
    let by_answer_now = place.asked.is_none() && (place.answered.is_some() || (by_answer && binding == Binding::Kept));
    match (is_primary(conn)?, by_answer_now) {
        (false, true) => set(conn, BY_ANSWER, "1")?,
        (true, false) => conn.execute("DELETE FROM setting WHERE key = ?1", [BY_ANSWER]).map(drop)?,
        (true, true) | (false, false) => {}
    }
    Ok(binding)
}

/// Whether the index is about the primary environment, whichever that is.
///
/// # Errors
/// SQLite's.
pub fn is_primary(conn: &Connection) -> rusqlite::Result<bool> {
    Ok(get(conn, BY_ANSWER)?.is_some())
}

/// Whether everything has to be listed once, also where asking for single assets would cost less.
///
/// # Errors
/// SQLite's.
pub fn must_list_all(conn: &Connection) -> rusqlite::Result<bool> {
    Ok(get(conn, LIST_ALL)?.is_some())
}

fn empty(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "DELETE FROM intent; DELETE FROM pushed; DELETE FROM asset; DELETE FROM collection;
         DELETE FROM setting; DELETE FROM made; DELETE FROM refused; UPDATE mirror SET belongs = NULL;
         UPDATE file SET asset = NULL, base_md5 = NULL, news = news + 1, failures = 0, retry_at = NULL, problem = NULL;
         DELETE FROM file WHERE present = 0;",
    )
}

/// As [`empty`], but project and folder are as before. So what is known of the folder stays: files that were here and are
/// gone, whose the name is where somebody said so, which assets a mirror made (ids are the same in all environments). And
/// an asset that was told as deleted by an editor stays so where it is missing in the new environment as well.
fn leave_environment(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "UPDATE file SET asset = NULL, base_md5 = NULL, news = news + 1, failures = 0, retry_at = NULL, problem = NULL
            WHERE NOT (present = 1 AND asset IS NOT NULL AND asset NOT IN (SELECT id FROM asset)
                AND problem IS NOT NULL AND json_extract(problem, '$.action') = 'report');
         DELETE FROM file WHERE present = 0 AND seen = 0;
         DELETE FROM intent; DELETE FROM pushed; DELETE FROM asset; DELETE FROM collection; DELETE FROM refused;
         UPDATE mirror SET belongs = NULL
            WHERE NOT EXISTS (SELECT 1 FROM setting WHERE key = 'contact/' || mirror.id AND value = 'taken over');
         DELETE FROM setting WHERE NOT (key LIKE 'contact/%' AND value = 'taken over');",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::index;
    use crate::index::settings::mirror;

    const fn place<'a>(asked: Option<&'a str>, answered: Option<&'a str>) -> Place<'a> {
        Place { site: "1", asked, answered }
    }

    #[test]
    fn the_index_of_one_environment_is_not_that_of_another() {
        use Binding::{Emptied, Kept};
        let promoted = || Binding::Promoted { from: "main".into(), to: "spring".into() };
        let (main, spring) = (Some("main"), Some("spring"));
        for (bound, by_answer, now, expected, environment, why) in [
            (None, false, place(None, main), Kept, "main", "a new index"),
            (None, false, place(None, None), Kept, "", "a new index, and nothing is named"),
            (Some(("1", "")), false, place(None, main), Kept, "main", "an older version's is taken over"),
            (Some(("1", "")), false, place(None, None), Kept, "", "as before"),
            (Some(("1", "main")), true, place(None, main), Kept, "main", "nothing changed"),
            (Some(("1", "main")), true, place(None, Some("Main")), Kept, "Main", "names know no case"),
            (Some(("1", "main")), true, place(None, spring), promoted(), "spring", "a fork was promoted"),
            (Some(("1", "main")), true, place(None, None), Kept, "main", "the name is left out this time"),
            (Some(("1", "main")), true, place(main, main), Kept, "main", "the primary one is configured by name"),
            (Some(("1", "main")), false, place(None, main), Kept, "main", "it is not any more, and is the same"),
            (Some(("1", "main")), false, place(None, spring), Emptied, "spring", "the configuration changed"),
            (Some(("1", "main")), false, place(None, None), Emptied, "", "the configuration changed"),
            (Some(("1", "main")), true, place(spring, spring), Emptied, "spring", "the configuration changed"),
            (Some(("1", "main")), false, place(main, None), Kept, "main", "configured, and nothing is named"),
            (Some(("1", "")), false, place(main, main), Emptied, "main", "it may have been another's"),
            (Some(("2", "main")), true, place(None, main), Emptied, "main", "another project's"),
            (Some(("2", "main")), true, place(None, spring), Emptied, "spring", "another project's"),
            (Some(("2", "")), false, place(None, None), Emptied, "", "another project's"),
        ] {
            assert_eq!(decide(bound, by_answer, now), (expected, environment.to_owned()), "{why}: {bound:?} {now:?}");
        }
    }

    #[test]
    fn an_index_of_another_project_is_emptied_but_keeps_the_digests() {
        let (conn, _) = index();
        assert_eq!(bind(&conn, place(Some("main"), None)).unwrap(), Binding::Kept);
        let mirror = mirror(&conn, "brand").unwrap();
        conn.execute(
            "INSERT INTO file (mirror, path, present, md5, asset, handled) VALUES (?1, 'a', 1, x'00', 'u', 1)",
            [mirror.id],
        )
        .unwrap();
        assert_eq!(bind(&conn, place(Some("main"), Some("main"))).unwrap(), Binding::Kept);
        let other = Place { site: "2", ..place(Some("main"), None) };
        assert_eq!(bind(&conn, other).unwrap(), Binding::Emptied);
        let row: (Option<String>, Option<Vec<u8>>, i64) = conn
            .query_row("SELECT asset, md5, dirty FROM file", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        assert_eq!(row, (None, Some(vec![0]), 1));
    }

    #[test]
    fn after_a_promotion_nothing_is_known_of_the_media_area_and_all_of_the_folder() {
        let (conn, _) = index();
        // As an older version left it.
        set(&conn, PROJECT, "1/").unwrap();
        for (answered, expected) in [
            (Some("main"), Binding::Kept),
            (None, Binding::Kept),
            (Some("spring"), Binding::Promoted { from: "main".into(), to: "spring".into() }),
            (Some("spring"), Binding::Kept),
        ] {
            if answered == Some("spring") && expected != Binding::Kept {
                fill(&conn);
            }
            assert_eq!(bind(&conn, place(None, answered)).unwrap(), expected, "{answered:?}");
        }
        assert_eq!(get(&conn, PROJECT).unwrap().as_deref(), Some("1/spring"));
        assert!(must_list_all(&conn).unwrap() && get(&conn, "listed").unwrap().is_none());
        let rows: Vec<(String, Option<String>, bool)> = conn
            .prepare("SELECT path, asset, dirty FROM file ORDER BY path")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let row = |path: &str, asset: Option<&str>, dirty| (path.to_owned(), asset.map(str::to_owned), dirty);
        assert_eq!(rows, [row("a", None, true), row("gone", None, true), row("told", Some("deleted"), false)]);
        let belongs: Vec<Option<String>> = conn
            .prepare("SELECT belongs FROM mirror ORDER BY name")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            belongs,
            [None, Some("/r".to_owned())],
            "whose a name is is found out anew, unless somebody said so"
        );
    }

    fn fill(conn: &Connection) {
        let (one, said) = (mirror(conn, "brand").unwrap().id, mirror(conn, "said").unwrap().id);
        conn.execute_batch(&format!(
            "UPDATE mirror SET belongs = '/r';
             INSERT INTO setting VALUES ('contact/{one}', 'met'), ('contact/{said}', 'taken over'), ('listed', '1');
             INSERT INTO asset (id, size, path, url, filename, tags, fields, stamp, created_at, updated_at)
                VALUES ('u', 1, '', '', '', '[]', '{{}}', '{{}}', '', '');
             INSERT INTO file (mirror, path, present, seen, md5, asset, handled, problem) VALUES
                ({one}, 'a', 1, 1, x'00', 'u', 1, NULL),
                ({one}, 'elsewhere', 0, 0, NULL, 'u', 1, NULL),
                ({one}, 'gone', 0, 1, x'01', 'u', 1, NULL),
                ({one}, 'told', 1, 1, x'02', 'deleted', 1, '{{\"action\":\"report\",\"cause\":\"\",\"advice\":\"\"}}');"
        ))
        .unwrap();
    }
}
