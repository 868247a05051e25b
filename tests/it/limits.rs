//! Limits of the project's plan: the size of one file, and the room for all.

use dato_mirror::sandbox::{Answers, Settings};

use crate::support::{TestEnv, bytes, fast, jobs};

fn puts(env: &TestEnv) -> usize {
    env.sandbox.count("PUT bucket")
}

#[test]
fn a_file_larger_than_the_plan_takes_is_refused_before_a_byte_is_sent() {
    let env = TestEnv::with(Settings { largest_upload: 1_000, ..fast() });
    env.write("large.bin", bytes(1, 1_001));
    env.write("also.bin", bytes(2, 5_000));
    env.write("fits.bin", bytes(3, 1_000));
    let run = env.sync().exits(1);
    assert_eq!(run.count("created"), 1);
    for path in ["large.bin", "also.bin"] {
        assert!(run.problem(path).contains("1000 bytes"), "{}", run.problem(path));
    }
    assert_eq!((puts(&env), env.sandbox.count("GET /public-info")), (1, 1));
    // Each start asks once while a file is held back, and sends nothing for that.
    env.write("new.bin", "new");
    env.sync().exits(1);
    assert_eq!((puts(&env), env.sandbox.count("GET /public-info")), (1, 1));
    // A larger plan is noticed at the next start.
    env.sandbox.set(|settings| settings.largest_upload = 10_000);
    env.sync().exits(0).did("created 2");
    // With nothing held back the plan is known for a while, also to the next process.
    env.write("newer.bin", "newer");
    env.sync().exits(0);
    assert_eq!(env.sandbox.count("GET /public-info"), 0);
}

#[test]
fn a_file_that_the_service_calls_too_large_is_not_sent_twice() {
    for (answers, settings) in [(Answers::Direct, fast()), (Answers::Usual, jobs())] {
        let settings = Settings { largest_upload: 1_000, tells_largest_upload: false, answers, ..settings };
        let env = TestEnv::with(settings);
        env.write("large.bin", bytes(1, 2_000));
        env.write("small.bin", "small");
        let run = env.sync().exits(1);
        assert_eq!(run.count("created"), 1);
        assert!(run.problem("large.bin").contains("maximum_single_upload_bytes"), "{}", run.problem("large.bin"));
        assert_eq!(puts(&env), 2);
        for _ in 0..2 {
            env.sync().exits(1);
            assert_eq!(puts(&env), 0, "it is sent again");
        }
        // Another content is another file.
        env.write("large.bin", "smaller by now");
        env.sync().exits(0).did("created 1");
        env.write("small.bin", bytes(2, 3_000));
        let run = env.sync().exits(1);
        assert_eq!((puts(&env), run.count("replaced")), (1, 0));
        env.sync().exits(1);
        assert_eq!(puts(&env), 0);
    }
}

#[test]
fn after_an_upgrade_that_nobody_tells_a_retry_sends_a_refused_file_once_more() {
    let env = TestEnv::with(Settings { largest_upload: 1_000, tells_largest_upload: false, ..fast() });
    env.write("large.bin", bytes(1, 2_000));
    env.write("other.bin", bytes(2, 2_000));
    let run = env.sync().exits(1);
    assert!(run.stdout.contains("run `dato-mirror retry`, which sends it once more"), "{}", run.stdout);
    assert_eq!(puts(&env), 2);
    let retry = |path: &str| env.run(&["retry", path, "--root", env.root().to_str().unwrap()]).exits(0);
    // Before the upgrade: once, this file only, and it is remembered again.
    retry(env.at("large.bin").to_str().unwrap());
    for sent in [1, 0] {
        env.sync().exits(1);
        assert_eq!(puts(&env), sent);
    }
    env.sandbox.set(|settings| settings.largest_upload = 10_000);
    env.sync().exits(1);
    assert_eq!(puts(&env), 0, "nobody told of the upgrade");
    retry(env.at("large.bin").to_str().unwrap());
    let run = env.sync().exits(1);
    assert_eq!((run.count("created"), puts(&env)), (1, 1));
    retry(env.root().to_str().unwrap());
    env.sync().exits(0).did("created 1");
}

#[test]
fn a_full_plan_stops_sending_and_nothing_else_and_heals_by_itself() {
    for tells_limits in [true, false] {
        let env = TestEnv::with(Settings { uploadable_bytes: 10_000, tells_limits, ..fast() });
        env.config_with("on_delete = \"delete\"\nmax_delete = \"100%\"");
        for number in 0..9 {
            env.write(format!("{number}.bin"), bytes(number, 1_000));
        }
        env.sync().exits(0).did("created 9");
        for number in 10..60 {
            env.write(format!("{number}.bin"), bytes(number, 2_000));
        }
        env.remove("0.bin");
        env.config_with("on_delete = \"delete\"\nmax_delete = \"100%\"\ntags = [\"new\"]");
        let run = env.sync().exits(1);
        assert_eq!((run.count("deleted"), run.count("retagged"), run.count("created")), (1, 8, 0), "{}", run.stdout);
        // Those that were on their way when the first was refused, and no others.
        assert!((1..20).contains(&puts(&env)), "{} were sent although there is no room", puts(&env));
        assert!(run.problem("20.bin").contains("uploadable_bytes"), "{}", run.problem("20.bin"));
        // Whoever comes again asks, or tries one file, and no more.
        let run = env.sync().exits(1);
        assert_eq!(run.count("created"), 1, "8,000 of 10,000 bytes are used");
        assert!(if tells_limits { puts(&env) == 1 } else { puts(&env) < 30 }, "{}", puts(&env));
        let run = env.sync().exits(1);
        assert_eq!(run.count("created"), 0);
        assert_eq!(puts(&env), usize::from(!tells_limits), "where nobody tells, one tries");
        env.sandbox.set(|settings| settings.uploadable_bytes = 1_000_000);
        env.sync().exits(0);
        assert_eq!(env.assets().len(), 58);
    }
}

#[test]
fn another_limit_of_the_plan_concerns_one_file() {
    let env = TestEnv::new();
    for name in ["a.bin", "b.bin", "c.bin"] {
        env.write(name, name);
    }
    let details = serde_json::json!({"limit": "mux_encoding_seconds"});
    let code = "PLAN_UPGRADE_REQUIRED".to_owned();
    let kind = dato_mirror::sandbox::FaultKind::Status { status: 402, code, transient: false, details };
    env.sandbox.fault("POST /uploads", kind);
    let run = env.sync().exits(1);
    assert_eq!((run.count("created"), run.count("failed")), (2, 1), "{}", run.stdout);
}
