//! Random words that a page elsewhere cannot know.
//!
//! Owns: where they come from, and comparing them without telling how far they agree.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// 128 bits, as text.
pub(super) struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn new() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// For the one place that tells it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is it; takes as long whatever differs.
    pub(super) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_of_it_is_it_and_no_two_are_alike() {
        let secret = Secret::new().unwrap();
        let text = secret.expose().to_owned();
        assert_eq!(text.len(), 22);
        assert!(secret.is(text.as_bytes()));
        assert!(!secret.is(&text.as_bytes()[1..]) && !secret.is(b"") && !secret.is(&[b'a'; 22]));
        assert!(!Secret::new().unwrap().is(text.as_bytes()));
        assert!(!format!("{secret:?}").contains(&text));
    }
}
