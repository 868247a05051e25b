//! What is said of files that the service's antivirus found infected.
//!
//! Owns: the words of these reports. Decides nothing: when they are due is `plan`'s.

use super::action::{Action, Plan, decide};
use crate::model::Asset;

const INFECTED_ADVICE: &str = "save a clean version of the file, which is mirrored as usual, or remove the file; these bytes are not \
                               sent as long as that asset is in the media area";

/// The asset's file was deleted by the service's antivirus: nothing is mirrored, and nothing is written to such an asset.
pub(super) fn infected(asset: &Asset) -> Plan {
    decide(
        Action::Report {
            cause: format!(
                "the service's antivirus found the file of its asset {} infected and deleted it: nothing is served at {}",
                asset.id, asset.url
            ),
            advice: INFECTED_ADVICE.into(),
        },
        "the service's antivirus found its asset infected",
    )
}

/// The content is that of another asset which was found infected.
pub(super) fn never_sent_again(asset: &Asset) -> Plan {
    decide(
        Action::Report {
            cause: format!(
                "the service's antivirus found the same content infected and deleted it (asset {}, {})",
                asset.id, asset.url
            ),
            advice: INFECTED_ADVICE.into(),
        },
        "the service's antivirus found the same content infected",
    )
}
