//! What is told is true, is told once, and names the way out: messages as people read them.

use std::fs;

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::{Run, TestEnv};

/// A document with this information, and encrypted or not.
fn pdf(info: &str, encrypted: bool) -> Vec<u8> {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [] /Count 0 >>",
        info,
        "<< /Filter /Standard /V 4 >>",
    ];
    let (mut out, mut places) = (b"%PDF-1.4\n".to_vec(), Vec::new());
    for (at, object) in objects.iter().enumerate() {
        places.push(out.len());
        out.extend(format!("{} 0 obj\n{object}\nendobj\n", at + 1).bytes());
    }
    let start = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    places.iter().for_each(|place| out.extend(format!("{place:010} 00000 n \n").bytes()));
    let encrypt = if encrypted { " /Encrypt 4 0 R" } else { "" };
    let size = objects.len() + 1;
    out.extend(
        format!("trailer << /Size {size} /Root 1 0 R /Info 3 0 R{encrypt} >>\nstartxref\n{start}\n%%EOF\n").bytes(),
    );
    out
}

#[track_caller]
fn says(run: &Run, part: &str) {
    assert!(format!("{}{}", run.stdout, run.stderr).contains(part), "{part}: {run:#?}");
}

#[test]
fn a_folder_in_a_commands_place_hints_at_root() {
    let env = TestEnv::new();
    let run = env.run(&["./brand"]).exits(2);
    says(&run, "to mirror this folder: dato-mirror --root ./brand");
    says(&env.run(&["brand"]).exits(2), "dato-mirror --root brand");
    assert!(!env.run(&["statsu"]).exits(2).stderr.contains("--root"));
}

#[test]
fn what_is_wrong_with_a_configuration_ends_with_a_line_break_and_names_the_brackets() {
    let env = TestEnv::new();
    for (text, told, advice) in [
        (
            "[mirror]\nname = \"brand\"\nroot = \"brand\"\n",
            "`mirror` must be a list of tables, but is a single table",
            "write it as [[mirror]]",
        ),
        ("[[api]]\n[[mirror]]\nroot = \"brand\"\n", "`api` must be a single table, but is a list of tables", "[api]"),
        ("api = 3\n[[mirror]]\nroot = \"brand\"\n", "`api` must be a table, but is an integer", "[api]"),
    ] {
        env.config(text);
        let run = env.run(&["--sync-once"]).exits(2);
        says(&run, told);
        says(&run, advice);
        assert!(run.stderr.ends_with('\n') && !run.stderr.ends_with("\n\n"), "{run:#?}");
    }
}

#[test]
fn a_root_that_never_was_there_is_a_slip_and_no_guard() {
    let env = TestEnv::new();
    env.write("a.png", "a");
    let told = format!("no such folder: {0}/brnad; did you mean {0}/brand?", env.home().display());
    for more in [&["--sync-once"][..], &["--dry-run"], &["--sync-once", "--format", "json"], &[]] {
        let run = env.run(&[&["--root", "brnad"], more].concat()).exits(2);
        says(&run, &told);
        assert!(!run.stderr.contains("guard") && !run.stderr.contains("waits"), "{run:#?}");
    }
    let file = env.run(&["--root", "brand/a.png", "--sync-once"]).exits(2);
    says(&file, "brand/a.png is a file and not a folder");
    assert!(!env.index().exists() && env.sandbox.log().is_empty());
    // Once mirrored, it has gone away: that is the guard's.
    env.sync().exits(0);
    fs::rename(env.root(), env.home().join("away")).unwrap();
    let run = env.run(&["--root", "brand", "--sync-once"]).exits(4);
    says(&run, "is missing; the mirror waits and deletes nothing");
    assert_eq!(env.assets().len(), 1);
}

#[test]
fn a_run_promises_nothing_that_only_a_daemon_does() {
    let mut env = TestEnv::new();
    env.write("a.png", "a");
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    env.set("DATO_MIRROR_API_BASE_URL", &format!("http://{}", held.local_addr().unwrap()));
    for more in [&[][..], &["--dry-run"]] {
        let run = env.sync_with(more).exits(3);
        says(&run, "check the network, the proxy and base_url; the next run tries it again");
        assert!(!format!("{run:?}").contains("it is tried again"), "{run:#?}");
    }
}

#[test]
fn ls_lists_what_is_allowed() {
    let env = TestEnv::new();
    let order = env.run(&["--root", "brand", "ls", "--order-by", "created_at_DESC"]).exits(2);
    says(&order, "did you mean _created_at_DESC?");
    says(&order, "the fields are _created_at, _updated_at, basename, filename, id, mime_type, path, resolution, size");
    let kind = env.run(&["--root", "brand", "ls", "--type", "pictures"]).exits(2);
    says(&kind, "the types are archive, audio, image, pdfdocument, presentation, richtext, spreadsheet, video");
    env.run(&["--root", "brand", "ls", "--type", "pdf", "--order-by", "size_ASC,id_DESC"]).exits(0);
}

#[test]
fn what_was_copied_along_with_the_token_is_named() {
    let mut env = TestEnv::new();
    env.write("a.png", "a");
    let file = env.home().join("token");
    for (text, told) in [
        ("DATOCMS_API_TOKEN=sandbox\n", "is written as NAME=token: leave out the name"),
        ("\"sandbox\"\n", "has quotes around it: leave them out"),
        ("Bearer sandbox\n", "begins with the word Bearer"),
    ] {
        fs::write(&file, text).unwrap();
        env.set("DATOCMS_API_TOKEN", "");
        env.set("DATO_MIRROR_API_TOKEN_FILE", file.to_str().unwrap());
        says(&env.sync().exits(2), told);
        env.set("DATO_MIRROR_API_TOKEN_FILE", "");
        env.set("DATOCMS_API_TOKEN", text.trim());
        says(&env.sync().exits(2), told);
    }
    assert!(env.sandbox.log().is_empty());
}

#[test]
fn the_sandbox_announces_no_address_that_it_refuses() {
    let env = TestEnv::new();
    let run = env.run(&["sandbox", "--listen", "0.0.0.0:0"]).exits(2);
    assert_eq!(run.stdout, "");
    says(&run, "can be reached by others and the sandbox's tokens are public; listen on 127.0.0.1");
}

#[test]
fn a_file_beside_root_says_what_of_it_is_used() {
    let env = TestEnv::new();
    env.write("a.png", "a");
    fs::create_dir(env.home().join("other")).unwrap();
    let text = "[[mirror]]\nname = \"press\"\nroot = \"other\"\n";
    fs::write(env.home().join("press.toml"), text).unwrap();
    let run = env.run(&["-c", "press.toml", "--root", "brand", "--sync-once"]).exits(0);
    says(&run, "[api], [state] and [status] are used, and none of its mirrors (press), because --root names a folder");
    let run = env.run(&["-c", "press.toml", "--root", "other", "--dry-run"]).exits(4);
    says(&run, "--mirror press instead of --root mirrors this folder with its keys");
}

#[test]
fn a_broken_metadata_file_is_told_on_one_line_everywhere_and_of_its_own_files_only() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("a.png", "a");
    env.write("b.png", "b");
    env.write("a.png.meta.toml", "alt = 3\nfoo = \"x\"\n");
    let told = "a.png.meta.toml:1:7: `alt` must be a table, but is an integer (write it as [alt]); a.png.meta.toml:2:1: \
                unknown key `foo` in the file";
    assert!(env.sync().exits(0).problem("a.png.meta.toml").starts_with(told));
    for args in [&["--sync-once"][..], &["--dry-run"], &["status"], &["explain", "a.png"]] {
        let run = env.run(args).exits(0);
        says(&run, told);
        assert!(!run.stdout.contains("\\n") && run.stdout.matches(told).count() == 1, "{run:#?}");
    }
    assert!(!env.run(&["explain", "b.png"]).exits(0).stdout.contains("a.png.meta.toml"));
    env.write("a.png.meta.toml", "[alt]\nen = \"A\"\n");
    env.sync().exits(0).did("retagged 1");
    assert!(!env.run(&["status"]).exits(0).stdout.contains("meta.toml"));
}

#[test]
fn explain_tells_collections_by_their_labels() {
    let env = TestEnv::new();
    env.config_with("collections = \"mirror\"");
    env.write("logos/old/a.svg", "<svg/>");
    env.sync().exits(0);
    let run = env.run(&["explain", "logos/old/a.svg"]).exits(0);
    assert!(run.stdout.contains("collection  logos/old  from [[mirror]]\n"), "{run:#?}");
    let json: Value =
        serde_json::from_str(&env.run(&["explain", "logos/old/a.svg", "--format", "json"]).exits(0).stdout).unwrap();
    let slots = json["metadata"].as_array().unwrap();
    let slot = slots.iter().find(|slot| slot["field"] == "collection").unwrap();
    assert_eq!(slot["wanted"], slot["remote"], "{slot:#}");
    assert!(slot["wanted"].is_string() && slot["wanted_labels"] == "logos/old", "{slot:#}");
    env.config_with("collections = \"New/Place\"");
    let run = env.run(&["explain", "logos/old/a.svg"]).exits(0);
    says(&run, "New/Place  from [[mirror]]; the asset still has logos/old");
}

#[test]
fn explain_ends_with_an_error_for_what_nobody_knows() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("logos/a.svg", "<svg/>");
    says(&env.run(&["explain", "no/such.png"]).exits(2), "there is no such file, and the mirror never had one");
    env.sync().exits(0);
    says(&env.run(&["explain", "no/such.png"]).exits(2), "there is no such file, and the mirror never had one");
    says(&env.run(&["explain", "no/such.png", "--format", "json"]).exits(2), "\"on_disk\":false");
    says(&env.run(&["explain", "logos"]).exits(2), "it is a folder; name a file in it");
    // What is gone was known.
    env.remove("logos/a.svg");
    env.run(&["explain", "logos/a.svg"]).exits(0);
}

/// Runs, and holds that each scanned file was counted once.
#[track_caller]
fn adds_up(run: &Run, failed_on_disk: u64) {
    let changed: u64 =
        ["created", "adopted", "aliased", "moved", "replaced", "retagged"].map(|name| run.count(name)).iter().sum();
    assert_eq!(run.count("scanned"), changed + failed_on_disk + run.count("unchanged"), "{run:#?}");
}

/// Where the files stand, by `status`.
fn standing(env: &TestEnv) -> Value {
    let told: Value = serde_json::from_str(&env.run(&["status", "--format", "json"]).exits(0).stdout).unwrap();
    let counts = told["mirrors"][0]["counts"].clone();
    let sum: u64 = ["mirrored", "pending", "failed"].map(|name| counts[name].as_u64().unwrap()).iter().sum();
    assert_eq!(counts["files"], sum, "{told:#}");
    counts
}

#[test]
fn the_guard_is_told_once_and_the_counts_add_up() {
    let env = TestEnv::new();
    env.config_with("on_delete = \"delete\"\nmax_delete = 1");
    for name in ["a", "b", "c", "m/1", "m/2", "m/3", "m/4", "m/5"] {
        env.write(format!("{name}.png"), name);
    }
    env.write("large.mp4", "");
    let large = fs::File::options().write(true).open(env.at("large.mp4")).unwrap();
    large.set_len(1_000_000_001).unwrap();
    adds_up(&env.sync().exits(1), 1);
    assert_eq!(standing(&env), json!({"files": 9, "mirrored": 8, "pending": 0, "failed": 1, "gone": 0}));
    says(&env.run(&["status"]).exits(0), "9 files: 8 mirrored, 0 pending, 1 failed\n");

    fs::remove_dir_all(env.at("m")).unwrap();
    env.write("a.png", "changed");
    let dry = env.sync_with(&["--dry-run"]).exits(4);
    assert_eq!((dry.count("scanned"), dry.count("unchanged")), (4, 2), "{dry:#?}");
    let markdown = env.run(&["--dry-run", "--format", "markdown"]).exits(4);
    says(&markdown, "When this is merged: 1 asset gets a new file. 1 of 4 files needs something.");
    says(&markdown, "| `m/1.png, m/2.png, m/3.png and 2 more` | max\\_delete: ");
    assert_eq!((markdown.stdout.matches("m/1.png").count(), markdown.stdout.matches("m/4.png").count()), (1, 0));
    let run = env.sync().exits(4);
    adds_up(&run, 1);
    assert_eq!((run.count("failed"), run.count("unchanged")), (6, 2), "programs get each: {run:#?}");
    assert!(!run.stderr.contains("not mirrored"), "the log is not told once a file: {run:#?}");
    let text = env.run(&["--sync-once"]).exits(4);
    assert_eq!(
        text.stdout.matches("m/1.png, m/2.png, m/3.png and 2 more: these 5 files are gone").count(),
        1,
        "{text:#?}"
    );
    assert!(text.stdout.contains("3 to look at") && !text.stdout.contains("m/4.png"), "{text:#?}");
    assert_eq!(standing(&env), json!({"files": 4, "mirrored": 3, "pending": 0, "failed": 1, "gone": 5}));
    let status = env.run(&["status"]).exits(0);
    says(&status, "4 files: 3 mirrored, 0 pending, 1 failed\n  5 more are gone from the folder");
    assert!(!status.stdout.contains("m/4.png"), "{status:#?}");
}

#[test]
fn a_folder_that_the_built_in_list_leaves_out_is_told() {
    let env = TestEnv::new();
    env.config_with("");
    for path in ["a.png", "Template.temp/a.png", "backup~/b.png", ".git/c.png", "@eaDir/d.png"] {
        env.write(path, path);
    }
    let run = env.sync().exits(0).did("created 1, skipped 2");
    assert_eq!(
        run.problem("Template.temp"),
        "the folder is left out with all that is in it, for its name: a temporary file"
    );
    assert!(run.problem("backup~").ends_with("an editor's backup"));
    env.config_with("exclude = [\"*.temp\", \"backup~\"]");
    env.sync().exits(0).did("");
}

#[test]
fn what_lies_in_a_files_nature_is_nothing_to_look_at() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("secret.pdf", pdf("<< /Title (x) >>", true));
    for _ in 0..2 {
        let run = env.sync().exits(0);
        assert!(run.problems().is_empty(), "{run:#?}");
    }
    says(&env.run(&["explain", "secret.pdf"]).exits(0), "the PDF is encrypted; its metadata cannot be read");
}

#[test]
fn what_programs_wrote_into_a_file_is_no_persons() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("word.pdf", pdf("<< /Title (Microsoft Word - x.docx) /Author (jdoe) >>", false));
    env.write("ours.pdf", pdf("<< /Title (Annual report) /Author (Ada Lovelace) >>", false));
    env.write("board.svg", "<svg xmlns='http://www.w3.org/2000/svg'><title>Artboard Copy 2</title></svg>");
    env.sync().exits(0).did("created 3");
    assert_eq!(env.asset("word.pdf").author, None);
    assert_eq!(env.asset("ours.pdf").author.as_deref(), Some("Ada Lovelace"));
    let all = ["word.pdf", "board.svg"].map(|path| env.asset(path).metadata.to_string()).concat();
    assert!(!all.contains("Microsoft") && !all.contains("Artboard"), "{all}");
    assert!(env.asset("ours.pdf").metadata.to_string().contains("Annual report"));
}

/// One of two names that read the same is not mirrored, and that is a failure.
#[test]
fn the_second_of_two_names_that_read_the_same_is_a_problem_of_its_own() {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_ROOT", "brand");
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    for name in ["u\u{308}.txt", "\u{fc}.txt", "\u{e9}/a.txt"] {
        env.write(name, name);
    }
    let run = env.sync().exits(1).did("created 2, failed 1");
    adds_up(&run, 1);
    assert!(run.problem("u\\u{308}.txt").contains("another Unicode spelling"), "{run:#?}");
    assert_eq!(standing(&env), json!({"files": 3, "mirrored": 2, "pending": 0, "failed": 1, "gone": 0}));
    says(&env.run(&["status"]).exits(0), "rename or remove one of the two");
    let told = env.run(&["explain", "brand/u\u{308}.txt"]).exits(0);
    says(&told, "it cannot be mirrored as it is");
    says(&told, "another Unicode spelling");
    says(&env.run(&["explain", "brand/\u{fc}.txt"]).exits(0), "nothing to do");
    // Named alone it is no other file's new content.
    let run = env
        .run_with_input(&["--sync-once", "--format", "json", "--files-from", "-"], "brand/u\u{308}.txt\n".as_bytes());
    run.exits(1).did("failed 1");
    env.rename("u\u{308}.txt", "other.txt");

    // Whole folders, of which the second is the one that was mirrored.
    env.sync().exits(0).did("created 1");
    env.rename("\u{e9}/a.txt", "e\u{301}/a.txt");
    fs::remove_dir(env.at("\u{e9}")).unwrap();
    env.sync().exits(0).did("");
    env.write("\u{e9}/b.txt", "b");
    let run = env.sync().exits(1).did("created 1, failed 1");
    adds_up(&run, 0);
    assert!(run.problem("e\\u{301}").contains("another folder beside it"), "{run:#?}");
    env.asset("\u{e9}/a.txt");
    env.write("e\u{301}/z.txt", "z");
    let told = env.run(&["explain", "brand/e\u{301}/z.txt"]).exits(0);
    says(&told, "it cannot be mirrored as it is");
    says(&told, "move its files into the other folder");
    let run = env
        .run_with_input(&["--sync-once", "--format", "json", "--files-from", "-"], "brand/e\u{301}/a.txt\n".as_bytes());
    run.exits(1).did("failed 1");
    env.asset("\u{e9}/a.txt");
    for name in ["a", "z"] {
        env.rename(&format!("e\u{301}/{name}.txt"), &format!("\u{e9}/{name}.txt"));
    }
    fs::remove_dir(env.at("e\u{301}")).unwrap();
    env.sync().exits(0).did("created 1");
    assert_eq!(env.assets().len(), 5);
}
