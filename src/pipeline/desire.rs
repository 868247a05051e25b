//! placeholder
use crate::metadata::Desired;
use crate::model::RelPath;
/// d
#[derive(Debug)]
pub struct Desires;
impl Desires {
    /// o
    #[must_use]
    pub fn of(&self, _path: &RelPath, _embedded: Option<&str>) -> Desired {
        Desired::default()
    }
}
