//! What a certificate that was not accepted asks of the operator.
//!
//! Owns: telling the causes apart by the TLS library's words.

/// What to do when `details`, the words of a failed connection, speak of a certificate.
pub(super) fn advice(details: &str) -> Option<&'static str> {
    let details = details.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| details.contains(word));
    if !details.contains("certificate") {
        None
    } else if says(&["expired", "not valid yet", "notvalidyet"]) {
        Some(
            "look at this machine's clock first; if it is right, the certificate of the service, or of what stands between, \
             has run out",
        )
    } else if says(&["causedasendentity"]) {
        Some(
            "the server shows the certificate of an authority as its own (CA:TRUE), which is taken for no server's: issue one \
             for the host with CA:FALSE, signed by that authority, give it to the server, and name the authority's with \
             SSL_CERT_FILE here",
        )
    } else if says(&["unknownissuer", "unknown issuer", "self-signed", "self signed"]) {
        Some(
            "this machine does not know who signed the certificate: where your network has an authority of its own, name \
             its certificate with SSL_CERT_FILE",
        )
    } else if says(&["notvalidforname", "not valid for name"]) {
        Some("the certificate is another host's: check base_url, and what stands between here and the API")
    } else {
        Some(
            "check the certificate: an authority of your own network is named with SSL_CERT_FILE, and the clock has to be \
             right",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_names_its_way_out() {
        for (details, word) in [
            ("client error (Connect): invalid peer certificate: UnknownIssuer", Some("SSL_CERT_FILE")),
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", Some("CA:FALSE")),
            ("invalid peer certificate: certificate expired: verification time 1795889999 (UNIX)", Some("clock")),
            ("invalid peer certificate: certificate not valid yet: verification time 5", Some("clock")),
            ("invalid peer certificate: certificate not valid for name \"a\"", Some("base_url")),
            ("invalid peer certificate: BadEncoding", Some("SSL_CERT_FILE")),
            ("tcp connect error: Connection refused (os error 111)", None),
        ] {
            let found = advice(details);
            assert_eq!(found.is_some(), word.is_some(), "{details}");
            assert!(word.is_none_or(|word| found.unwrap().contains(word)), "{details}: {found:?}");
        }
    }
}
