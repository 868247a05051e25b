//! What a mirror does, from a new file to a swapped one: issue A's scenarios, promise by promise.

use crate::support::TestEnv;

#[test]
fn a_file_becomes_an_asset_and_a_second_run_is_still() {
    let env = TestEnv::new();
    env.write("a.png", "x");
    env.sync().exits(0).did("created 1");
    assert_eq!(env.content(&env.asset("a.png").id), b"x");
    env.assert_still().exits(0).did("");
}
