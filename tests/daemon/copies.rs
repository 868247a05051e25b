//! Copies saved while the daemon watches.

use crate::process::Daemon;
use crate::support::{TestEnv, stamped_paths};

#[test]
fn a_folder_of_copies_saved_and_renamed_under_the_daemon_stays_one_asset() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("first.png", "another");
    let daemon = Daemon::ready(&env);
    for number in 0..200 {
        env.write(format!("a/{number}.png"), "the same");
    }
    let named = |env: &TestEnv, folder: &str| {
        let paths = env.assets().iter().flat_map(stamped_paths).collect::<Vec<_>>();
        paths.iter().filter(|path| path.starts_with(folder)).count()
    };
    daemon.wait("all share it", || named(&env, "a/") == 200);
    assert_eq!(env.assets().len(), 2);
    env.rename("a", "b");
    daemon.wait("all moved", || (named(&env, "a/"), named(&env, "b/")) == (0, 200));
    daemon.stop();
    assert_eq!(env.assets().len(), 2);
}
