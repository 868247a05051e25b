//! What the seeds found, shrunk: each history by the name of what went wrong.

use dato_mirror::config::policy::{Duplicates, OnDelete, OnRemoteChange, OnRemoteDelete};

use super::editor::Act;
use super::history::History;
use super::op::{Op, Save};

async fn live(ops: &[Op]) {
    // The seed decides nothing here but the metadata's shape; 1 and 2 have no jobs.
    for seed in [1, 2] {
        let mut history = History::new(seed, std::sync::Arc::default()).await;
        for op in ops {
            history.apply(op.clone()).await;
        }
    }
}

/// What an editor puts in the place of the file that a hundred copies are just joining is told of each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_replaced_while_copies_join_it_is_looked_at_again_for_each_of_them() {
    for policy in [OnRemoteChange::Report, OnRemoteChange::Overwrite, OnRemoteChange::Accept] {
        for what_they_join in [Op::Write("a.png", "two"), Op::Editor(Act::Foreign("two"))] {
            live(&[
                Op::Policy(OnDelete::Delete, policy, OnRemoteDelete::Recreate, Duplicates::Share),
                Op::Write("b.png", "one"),
                what_they_join,
                Op::Run,
                Op::Copies("two"),
                Op::EditorDuring("PUT /uploads/:id", 0, Act::Replace(0)),
                Op::Run,
            ])
            .await;
        }
    }
}

/// A stranger's asset that a path took over may be replaced; who then takes the stamp away leaves that file in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_that_was_taken_over_and_replaced_keeps_its_file_when_an_editor_takes_the_stamp_away() {
    for duplicates in [Duplicates::Share, Duplicates::Separate] {
        live(&[
            Op::Policy(OnDelete::Delete, OnRemoteChange::Overwrite, OnRemoteDelete::Recreate, duplicates),
            Op::Editor(Act::Foreign("one")),
            Op::Write("f/a.png", "one"),
            Op::Run,
            Op::Write("f/a.png", "two"),
            Op::Run,
            Op::SavedAndEdited("b.png", "four", "PUT bucket", Act::Unstamp(0)),
        ])
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_machines_asset_for_a_path_is_not_made_again_where_duplicates_are_separate() {
    live(&[
        Op::Policy(OnDelete::Keep, OnRemoteChange::Overwrite, OnRemoteDelete::Recreate, Duplicates::Separate),
        Op::Write("d/b.png", "three"),
        Op::Run,
        Op::Editor(Act::Delete(0)),
        Op::Editor(Act::Foreign("two")),
        Op::Write("d/b.png", "two"),
        Op::OtherMachine,
        Op::Run,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_whose_shared_asset_another_machine_made_anew_for_others_has_the_one_made_for_it() {
    live(&[
        Op::Policy(OnDelete::Keep, OnRemoteChange::Report, OnRemoteDelete::Report, Duplicates::Share),
        Op::Write("a.png", "three"),
        Op::Write("f/a.png", "three"),
        Op::Run,
        Op::Editor(Act::Delete(0)),
        Op::Run,
        Op::Policy(OnDelete::Keep, OnRemoteChange::Report, OnRemoteDelete::Report, Duplicates::Separate),
        Op::OtherMachine,
        Op::Run,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_another_machine_gave_an_asset_of_its_own_does_not_replace_the_one_it_left() {
    live(&[
        Op::Policy(OnDelete::Keep, OnRemoteChange::Report, OnRemoteDelete::Report, Duplicates::Share),
        Op::Write("b.png", "five"),
        Op::Write("f/c.png", "five"),
        Op::Run,
        Op::Write("b.png", "one"),
        Op::OtherMachine,
        Op::Write("f/c.png", "four"),
        Op::Run,
    ])
    .await;
}

/// Another mirror stays with the one it left, and no path of ours is left there to say that it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_left_an_asset_to_another_mirror_is_named_by_its_own_alone() {
    let policy = || Op::Policy(OnDelete::Tag, OnRemoteChange::Report, OnRemoteDelete::Recreate, Duplicates::Share);
    let back_and_forth = [Op::Write("f/c.png", "five"), Op::Run, Op::Write("f/c.png", "one"), Op::Run];
    let adopted = [policy(), Op::Write("f/c.png", "one"), Op::Web("a.png", Some("one")), Op::Run];
    let made = [policy(), Op::Write("f/c.png", "one"), Op::Run, Op::Web("a.png", Some("one"))];
    for before in [adopted, made] {
        live(&[before.as_slice(), &back_and_forth].concat()).await;
    }
}

/// The other machine leaves the asset to a path that only stamps tell of: nobody but itself can say that it has left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_another_machine_took_from_an_asset_is_not_named_by_it_any_more() {
    live(&[
        Op::Policy(OnDelete::Delete, OnRemoteChange::Report, OnRemoteDelete::Report, Duplicates::Share),
        Op::Write("d/b.png", "one"),
        Op::Write("d/a.png", "two"),
        Op::Run,
        Op::Copy("d/b.png", "a.png"),
        Op::Run,
        Op::Delete("a.png"),
        Op::Rename("d/a.png", "a.png"),
        Op::Rename("d/b.png", "d/a.png"),
        Op::OtherMachine,
        Op::Run,
    ])
    .await;
}

/// What the stamp taught the planner is written down: else the next change of the file looks like an editor's work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_step_after_an_old_index_is_replaced_when_it_changes_back() {
    for policy in [OnRemoteChange::Accept, OnRemoteChange::Report] {
        live(&[
            Op::Policy(OnDelete::Keep, policy, OnRemoteDelete::Report, Duplicates::Separate),
            Op::Write("f/c.png", "three"),
            Op::Run,
            Op::Backup,
            Op::Write("f/c.png", "four"),
            Op::Run,
            Op::OldIndex,
            Op::Run,
            Op::Write("f/c.png", "three"),
            Op::Run,
        ])
        .await;
    }
}

/// The record lost it with the deletion: what is made anew under the same id is in nobody's use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_made_again_after_an_editor_deleted_it_is_in_use_by_nobody() {
    live(&[
        Op::Policy(OnDelete::Delete, OnRemoteChange::Report, OnRemoteDelete::Recreate, Duplicates::Share),
        Op::Write("b.png", "five"),
        Op::Run,
        Op::Editor(Act::Reference(0)),
        Op::Editor(Act::Delete(0)),
        Op::Run,
        Op::Write("a.png", "two"),
        Op::Delete("b.png"),
        Op::Run,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_file_stands_also_under_another_policy() {
    live(&[
        Op::Policy(OnDelete::Keep, OnRemoteChange::Accept, OnRemoteDelete::Report, Duplicates::Separate),
        Op::Write("a.png", "five"),
        Op::Run,
        Op::Editor(Act::Replace(0)),
        Op::Run,
        Op::Policy(OnDelete::Tag, OnRemoteChange::Overwrite, OnRemoteDelete::Recreate, Duplicates::Share),
        Op::Run,
    ])
    .await;
}

/// What is typed within the last round trip may be lost where it is a part of a whole, and only there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_typed_within_the_last_round_trip_may_be_lost_and_one_typed_before_it_is_not() {
    for route in ["GET /uploads/:id", "PUT /uploads/:id"] {
        live(&[
            Op::Policy(OnDelete::Keep, OnRemoteChange::Report, OnRemoteDelete::Report, Duplicates::Share),
            Op::Write("b.png", "five"),
            Op::Run,
            Op::Write("d/b.png", "five"),
            Op::EditorDuring(route, 0, Act::Retag(0)),
            Op::Run,
        ])
        .await;
    }
}

/// The tag on a vanished file's asset says nothing about the file that an editor put there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editors_file_that_was_tagged_as_gone_is_not_overwritten_when_the_file_comes_back() {
    for then in [Op::OtherMachine, Op::LoseIndex] {
        live(&[
            Op::Policy(OnDelete::Tag, OnRemoteChange::Report, OnRemoteDelete::Report, Duplicates::Separate),
            Op::Write("a.png", "one"),
            Op::Run,
            Op::Write("g/b.png", "five"),
            Op::Run,
            Op::Delete("a.png"),
            Op::Editor(Act::Replace(0)),
            Op::Editor(Act::Replace(1)),
            Op::Run,
            Op::Write("a.png", "one"),
            then,
            Op::Run,
        ])
        .await;
    }
}

/// The other machine saw the file while it had another content for a while: nobody chose that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_machine_put_in_an_assets_place_is_not_accepted_as_an_editors_file() {
    for policy in [OnRemoteChange::Report, OnRemoteChange::Overwrite, OnRemoteChange::Accept] {
        for duplicates in [Duplicates::Share, Duplicates::Separate] {
            live(&[
                Op::Policy(OnDelete::Delete, policy, OnRemoteDelete::Report, duplicates),
                Op::Write("d/a.png", "three"),
                Op::Run,
                Op::Write("d/a.png", "one"),
                Op::OtherMachine,
                Op::Write("d/a.png", "three"),
                Op::Run,
            ])
            .await;
        }
    }
}

/// It comes back with another content while its asset, which an editor replaced, is being tagged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_there_again_is_not_tagged_as_gone_whatever_an_editor_put_in_its_assets_place() {
    for policy in [OnRemoteChange::Report, OnRemoteChange::Overwrite, OnRemoteChange::Accept] {
        for again in ["one", "three"] {
            live(&[
                Op::Policy(OnDelete::Tag, policy, OnRemoteDelete::Recreate, Duplicates::Separate),
                Op::Write("a.png", "three"),
                Op::Write("d/a.png", "one"),
                Op::Run,
                Op::Editor(Act::Replace(0)),
                Op::Editor(Act::Replace(1)),
                Op::Run,
                Op::Delete("d/a.png"),
                Op::FolderDuring("PUT /uploads/:id", 0, Save::Write("d/a.png", again)),
                Op::Run,
            ])
            .await;
        }
    }
}
