//! placeholder
use super::args::Demo;
use crate::error::Exit;
/// d
pub async fn run(_flags: &Demo) -> Exit {
    tokio::task::yield_now().await;
    Exit::Done
}
