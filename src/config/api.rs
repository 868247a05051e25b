//! How the service is reached: the `[api]` keys and the token.
//!
//! Owns: their rules. The token is read here once and never printed: not by `Debug`, not in a problem.
//! Never does: calling the service.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::document::{Found, Section};
use super::environment::Environment;
use super::folders::Folders;
use super::problem::{Place, looks_secret};
use super::value::{Bytes, Wrong};

/// The variable that holds the token.
pub const TOKEN_VARIABLE: &str = "DATOCMS_API_TOKEN";
/// The name of the systemd credential that holds the token.
pub const TOKEN_CREDENTIAL: &str = "datocms_api_token";
/// What to do about a credential without a token; the path is the one of our own unit.
const CREDENTIAL_ADVICE: &str = "write the API token to the file that the unit's LoadCredential names (/etc/dato-mirror/token), readable by root alone";
/// Where the system service has its configuration, and the file that its unit loads the token from.
const SERVICE_FOLDER: &str = "/etc/dato-mirror";
/// No token is longer; a longer file is not a token.
const TOKEN_MAX_BYTES: usize = 4096;

/// How the service is reached.
#[derive(Debug, Clone)]
pub struct Api {
    /// The service's address, without a slash at its end.
    pub base_url: String,
    /// The environment of the project; `None` for the primary one.
    pub environment: Option<String>,
    /// The token; empty only when the request did not need one and none was given.
    pub token: SecretString,
    /// Where the token came from.
    pub token_origin: Option<TokenOrigin>,
    /// Part of the told rate limit to use at most, above 0 and up to 1.
    pub rate_share: f64,
    /// Calls a month this installation may spend.
    pub monthly_budget: Option<u64>,
    /// Bytes per second to the bucket.
    pub upload_bandwidth: Option<u64>,
    /// How often everything is listed, whatever its `updated_at` says.
    pub full_listing_interval: Duration,
}

/// Where the token came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOrigin {
    /// The file named by `token_file`.
    File(PathBuf),
    /// The environment.
    Environment,
    /// The systemd credential.
    Credential(PathBuf),
}

impl fmt::Display for TokenOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "token_file {}", path.display()),
            Self::Environment => write!(f, "${TOKEN_VARIABLE}"),
            Self::Credential(path) => write!(f, "systemd credential {}", path.display()),
        }
    }
}

/// How long a token that comes through a pipe is waited for.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);
/// The address of the service when none is given.
pub const BASE_URL: &str = "https://site-api.datocms.com";
/// Part of the rate limit used when not told.
pub const RATE_SHARE: f64 = 0.8;
/// How often everything is listed when not told.
pub const FULL_LISTING_INTERVAL: Duration = Duration::from_secs(24 * 3600);

impl Api {
    /// The service at `base_url` with a token, all else as by default.
    #[must_use]
    pub fn new(base_url: impl Into<String>, token: SecretString) -> Self {
        Self {
            base_url: base_url.into(),
            environment: None,
            token,
            token_origin: None,
            rate_share: RATE_SHARE,
            monthly_budget: None,
            upload_bandwidth: None,
            full_listing_interval: FULL_LISTING_INTERVAL,
        }
    }

    pub(super) fn read(
        mut section: Section<'_>,
        folders: &Folders<'_>,
        environment: &Environment,
        needs_token: bool,
    ) -> Self {
        let base_url = section.check("base_url", |text: String| base_url(&text));
        let name = section.check("environment", |name: String| environment_name(&name));
        let token_file = section.check("token_file", token_path);
        let rate_share = section.check("rate_share", |share: f64| {
            let wrong = || Wrong::new("must be above 0 and at most 1", "0.8 leaves a fifth of the limit to others");
            (share > 0.0 && share <= 1.0).then_some(share).ok_or_else(wrong)
        });
        let monthly_budget = section.check("monthly_budget", |calls: u64| {
            let wrong = || Wrong::new("must be at least 1", "leave the key out for no budget");
            (calls > 0).then_some(calls).ok_or_else(wrong)
        });
        let upload_bandwidth = section.get::<Bytes>("upload_bandwidth");
        let full_listing_interval = section.check("full_listing_interval", |interval: Duration| {
            let wrong = || Wrong::new("must be more than no time at all", "\"24h\", or \"30d\" to save calls");
            (!interval.is_zero()).then_some(interval).ok_or_else(wrong)
        });
        // A token written into the file is refused like any unknown key, but with the right advice.
        let token = token(&section, token_file, folders, environment, needs_token);
        section.finish();
        let (token, token_origin) = token.map_or_else(
            || (SecretString::from(String::new()), None),
            |(token, origin)| (SecretString::from(token), Some(origin)),
        );
        Self {
            base_url: base_url.map_or_else(|| BASE_URL.to_owned(), |found| found.value),
            environment: name.map(|found| found.value),
            token,
            token_origin,
            rate_share: rate_share.map_or(RATE_SHARE, |found| found.value),
            monthly_budget: monthly_budget.map(|found| found.value),
            upload_bandwidth: upload_bandwidth.map(|found| found.value.0),
            full_listing_interval: full_listing_interval.map_or(FULL_LISTING_INTERVAL, |found| found.value),
        }
    }
}

fn base_url(text: &str) -> Result<String, Wrong> {
    let advice = format!("for example \"{BASE_URL}\"");
    // The value itself is not repeated: it may hold a password.
    let url = reqwest::Url::parse(text).map_err(|_| Wrong::new("is not a URL", &advice))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new("has a user name or password in it", "the token is all the service needs"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new("has a query or fragment in it", advice));
    }
    let loopback = is_loopback(&url);
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            let advice = "use https; plain http would show the token to the network and is for loopback only";
            return Err(Wrong::new("is plain http to another machine", advice));
        }
        _ => return Err(Wrong::new("must begin with https://", advice)),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whether the address is this machine's own.
pub(super) fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
}

/// The name of an environment of the project.
///
/// # Errors
/// What is wrong with it.
pub fn environment_name(name: &str) -> Result<String, Wrong> {
    let name = name.trim();
    // It travels in a header; the service itself allows lower case letters, digits and dashes.
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        let advice = "leave the key out for the primary environment";
        return Err(Wrong::new("must be the name of an environment: letters, digits and dashes", advice));
    }
    Ok(name.to_owned())
}

fn token_path(path: PathBuf) -> Result<PathBuf, Wrong> {
    let text = path.to_string_lossy();
    if !text.contains('/') && looks_secret(&text) {
        let advice = "put the token into a file only you can read, and name that file here; then make a new token, as this one has been in a configuration";
        return Err(Wrong::new("looks like the token itself, not like the path of a file", advice));
    }
    Ok(path)
}

fn token(
    section: &Section<'_>,
    file: Option<Found<PathBuf>>,
    folders: &Folders<'_>,
    environment: &Environment,
    needed: bool,
) -> Option<(String, TokenOrigin)> {
    let findings = section.findings();
    if let Some(found) = file {
        let path = folders.absolute(&found, findings)?;
        return match read_token(&path, PIPE_PATIENCE) {
            Ok(token) => Some((token, TokenOrigin::File(path))),
            Err(why) => {
                let advice = "write the API token into that file, as its only line";
                findings.add(found.place, format!("token file {} {why}", path.display()), advice);
                None
            }
        };
    }
    if environment.has(TOKEN_VARIABLE) {
        let place = Place::Environment(TOKEN_VARIABLE.to_owned());
        let token = match environment.text(TOKEN_VARIABLE) {
            Some(Ok(text)) => valid_token(text),
            Some(Err(_)) => Err("is not valid UTF-8".to_owned()),
            None => Err("is empty".to_owned()),
        };
        return match token {
            Ok(token) => Some((token, TokenOrigin::Environment)),
            Err(why) => {
                findings.add(place, why, "set it to the API token, or unset it");
                None
            }
        };
    }
    let credential = environment.path("CREDENTIALS_DIRECTORY").map(|folder| folder.join(TOKEN_CREDENTIAL));
    if let Some(path) = credential.filter(|path| path.exists()) {
        return match read_token(&path, PIPE_PATIENCE) {
            Ok(token) => Some((token, TokenOrigin::Credential(path))),
            Err(why) => {
                let place = Place::Environment("CREDENTIALS_DIRECTORY".to_owned());
                findings.add(place, format!("credential {} {why}", path.display()), CREDENTIAL_ADVICE);
                None
            }
        };
    }
    // Beside the system service, whoever may read its token uses it.
    let beside = folders.file.as_deref().filter(|folder| *folder == Path::new(SERVICE_FOLDER));
    if let Some(path) = beside.map(|folder| folder.join("token")).filter(|path| path.exists()) {
        match read_token(&path, PIPE_PATIENCE) {
            Ok(token) => return Some((token, TokenOrigin::File(path))),
            Err(why) if needed => {
                let message = format!("no API token: that of the system service, {}, {why}", path.display());
                let advice = format!("run it as root, such as with sudo, or set ${TOKEN_VARIABLE}");
                findings.add(Place::Everywhere, message, advice);
                return None;
            }
            Err(_) => {}
        }
    }
    // A token_file that was refused is a problem already; a second one about the same would only confuse.
    if needed && !findings.any_about("api.token_file") {
        let advice = format!(
            "do one of these: name a file that holds it with token_file = \"…\" in [api] (or $DATO_MIRROR_API_TOKEN_FILE); \
             set ${TOKEN_VARIABLE}; under systemd, LoadCredential={TOKEN_CREDENTIAL}:/path"
        );
        findings.add(Place::Everywhere, "no API token", advice);
    }
    None
}

/// Reads a token; of a pipe it is waited for as long as `patience`.
fn read_token(path: &Path, patience: Duration) -> Result<String, String> {
    use std::io::Read as _;
    let from = path.to_owned();
    let read = move || {
        let mut text = String::new();
        let file = std::fs::File::open(from)?;
        file.take(TOKEN_MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    let text = in_time(path, patience, read).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        io::ErrorKind::InvalidData => "is not text".to_owned(),
        io::ErrorKind::TimedOut => format!("is a pipe that gives nothing for {} s", patience.as_secs_f32()),
        _ => format!("cannot be read: {error}"),
    })?;
    valid_token(&text)
}

/// Reads a pipe, which may never end, on a thread of its own.
fn in_time(
    path: &Path,
    patience: Duration,
    read: impl FnOnce() -> io::Result<String> + Send + 'static,
) -> io::Result<String> {
    if path.is_file() || !path.exists() {
        return read();
    }
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(read()));
    told.recv_timeout(patience).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The token without the white space around it. No refusal shows any of it.
///
/// # Errors
/// What is wrong with it.
pub fn valid_token(text: &str) -> Result<String, String> {
    let token = text.trim();
    if token.is_empty() {
        Err("is empty".to_owned())
    } else if let Some(wrapping) = wrapping(token) {
        Err(wrapping)
    } else if token.len() > TOKEN_MAX_BYTES {
        Err("is too long to be an API token".to_owned())
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("is no API token: it has white space or characters that are not ASCII inside".to_owned())
    } else {
        Ok(token.to_owned())
    }
}

/// What people copy with a token: the variable's name, quotes, the word of the header. The service would only say that the
/// token is wrong.
fn wrapping(token: &str) -> Option<String> {
    let is_name = |name: &str| {
        let name = name.trim_start().strip_prefix("export ").unwrap_or(name).trim();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let assigned = token.split_once('=').filter(|(name, value)| is_name(name) && !value.trim_matches('=').is_empty());
    if assigned.is_some() {
        return Some("is written as NAME=token: leave out the name and the `=`, the token alone is read".to_owned());
    }
    if token.starts_with(['"', '\'', '`']) || token.ends_with(['"', '\'', '`']) {
        return Some("has quotes around it: leave them out, they are taken for a part of the token".to_owned());
    }
    let bearer = token.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("bearer "));
    bearer.then(|| "begins with the word Bearer: leave it out, the token alone is read".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_along_with_a_token_is_named() {
        for (text, told) in [
            ("DATOCMS_API_TOKEN=abc\n", "is written as NAME=token"),
            ("export DATOCMS_API_TOKEN=abc", "is written as NAME=token"),
            ("TOKEN = \"abc\"", "is written as NAME=token"),
            ("\"abc\"", "has quotes around it"),
            ("'abc'\n", "has quotes around it"),
            ("Bearer abc", "begins with the word Bearer"),
        ] {
            let why = valid_token(text).unwrap_err();
            assert!(why.starts_with(told) && !why.contains("abc"), "{text}: {why}");
        }
        // A token of another kind may end like Base64.
        assert_eq!(valid_token("a1b2==").as_deref(), Ok("a1b2=="));
    }

    #[test]
    fn addresses_are_https_or_loopback() {
        for (text, expected) in [
            ("https://site-api.datocms.com/", Some("https://site-api.datocms.com")),
            ("http://127.0.0.1:3999", Some("http://127.0.0.1:3999")),
            ("http://localhost:3999/", Some("http://localhost:3999")),
            ("http://[::1]:3999", Some("http://[::1]:3999")),
            ("http://127.9.9.9", Some("http://127.9.9.9")),
            ("https://proxy.example/dato/", Some("https://proxy.example/dato")),
            ("http://site-api.datocms.com", None),
            ("http://127.0.0.1.example.com", None),
            ("http://localhost.example.com", None),
            ("ftp://127.0.0.1", None),
            ("https://u:p@example.com", None),
            ("https://example.com?x=1", None),
            ("example.com", None),
            ("", None),
        ] {
            assert_eq!(base_url(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_token_that_comes_through_a_pipe_is_waited_for_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let [mute, pipe] = ["mute", "pipe"].map(|name| dir.path().join(name));
        for path in [&mute, &pipe] {
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        }
        let why = read_token(&mute, Duration::from_millis(20)).unwrap_err();
        assert_eq!(why, "is a pipe that gives nothing for 0.02 s");
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::write(pipe, "secret\n")
        });
        assert_eq!(read_token(&pipe, Duration::from_secs(60)).as_deref(), Ok("secret"));
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn tokens_are_trimmed_and_never_shown() {
        assert_eq!(valid_token("abc\n").as_deref(), Ok("abc"));
        for text in ["", " \n", "a b", "é", "a\0b", &"x".repeat(5000)] {
            let why = valid_token(text).unwrap_err();
            assert!(why.starts_with("is ") && !why.contains("a b"), "{why}");
        }
    }
}
