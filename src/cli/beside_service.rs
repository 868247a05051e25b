//! The places of the system service, for the commands that people run beside it.
//!
//! Owns: which index a command shows when the service's configuration is the one in force, and what is said to somebody
//! who may not read it. Never does: choosing a configuration, or an index for a run: a run keeps its own.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, Environment, real_path};

/// The service's configuration, as its unit names it.
const CONFIG: &str = "/etc/dato-mirror/config.toml";
/// Where systemd keeps its state.
const STATE: &str = "/var/lib/dato-mirror";

/// The service's index, when the configuration is the service's and names no other; nothing where there is none.
///
/// # Errors
/// What to say to somebody who may not look there, and has no index of this configuration either.
pub(super) fn index_of(config: &Config, environment: &Environment) -> Result<Option<PathBuf>, String> {
    index_in(config, environment, Path::new(CONFIG), Path::new(STATE))
}

fn index_in(
    config: &Config,
    environment: &Environment,
    service: &Path,
    state: &Path,
) -> Result<Option<PathBuf>, String> {
    let is_the_services = config.source.as_ref().is_some_and(|source| real_path(source) == real_path(service));
    if !is_the_services || config.origins.contains_key("state.path") || environment.has("STATE_DIRECTORY") {
        return Ok(None);
    }
    let index = state.join("index.sqlite");
    match std::fs::metadata(&index).map_err(|error| error.kind()) {
        Ok(_) => Ok(Some(index)),
        Err(io::ErrorKind::PermissionDenied) if !config.state_path.exists() => Err(format!(
            "the index of the system service, in {}, may be read by the service and root alone; run it as root, such as \
             `sudo dato-mirror status`",
            state.display()
        )),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::config::{Api, Place};

    #[test]
    fn the_services_index_is_found_where_nothing_else_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (service, state) = (dir.path().join("etc/config.toml"), dir.path().join("var"));
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        std::fs::create_dir_all(&state).unwrap();
        std::fs::write(&service, "").unwrap();
        let api = Api::new("http://127.0.0.1:1", SecretString::from("t".to_owned()));
        let own = dir.path().join("own.sqlite");
        let mut config = Config { source: Some(service.clone()), ..Config::new(api, own, Vec::new()) };
        let nothing = Environment::default();
        let found = |config: &Config, environment: &Environment| index_in(config, environment, &service, &state);
        assert_eq!(found(&config, &nothing), Ok(None), "the service has not run yet");
        std::fs::write(state.join("index.sqlite"), "").unwrap();
        assert_eq!(found(&config, &nothing), Ok(Some(state.join("index.sqlite"))));
        let within: Environment = [("STATE_DIRECTORY", "/elsewhere")].into_iter().collect();
        assert_eq!(found(&config, &within), Ok(None));
        config.origins.insert("state.path".into(), Place::Everywhere);
        assert_eq!(found(&config, &nothing), Ok(None), "the configuration names its index");
        config.origins.clear();
        config.source = Some(dir.path().join("other.toml"));
        assert_eq!(found(&config, &nothing), Ok(None), "another configuration has an index of its own");
    }
}
