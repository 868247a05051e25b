//! What the CDN serves of an asset: not always what was uploaded.
//!
//! Owns: `/_assets/...`: pictures optimised and SVGs without scripts where the query does not ask for the original, raw
//! videos refused, nothing for an infected file. "Optimised" means other bytes of the same picture, not smaller ones.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::answer::respond;
use super::call::parse_query;
use super::door::Shared;
use super::entity::{Antivirus, StoredFile};
use super::metadata::Media;
use super::settings::Settings;
use crate::digest::Md5;

/// Pictures are rewritten in memory; larger ones are served as they are, bytes.
const MOST: u64 = 64 * 1024 * 1024;
/// Decoders of pictures read no further than the picture's end.
const OPTIMISED: &[u8] = b"optimised by the sandbox";

/// What is done to the file on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    AsUploaded,
    Optimised,
    Sanitised,
    Refused,
}

fn served(settings: &Settings, file: &StoredFile, query: &[(String, String)]) -> Served {
    let asks = |name: &str, value: &str| query.iter().any(|(key, given)| key == name && given == value);
    let is_svg = file.mime_type.as_deref() == Some("image/svg+xml");
    match file.media() {
        Media::Video if settings.refuses_raw_videos => Served::Refused,
        _ if file.size > MOST => Served::AsUploaded,
        Media::Image if is_svg && settings.cdn_sanitises_svg && !asks("svg-sanitize", "false") => Served::Sanitised,
        Media::Image if !is_svg && settings.cdn_optimises && !asks("skip-default-optimizations", "true") => {
            Served::Optimised
        }
        _ => Served::AsUploaded,
    }
}

/// An asset's file.
pub(super) async fn serve(shared: &Shared, path: &str, query: &str) -> Response {
    let query = parse_query(query);
    let found = {
        let mut world = shared.world();
        let now = world.now();
        world.settle(now);
        let mut uploads = world.environments.values().flat_map(|space| space.uploads.values());
        let is_deleted = uploads.any(|upload| upload.path == path && upload.antivirus == Antivirus::Infected);
        let file = world.files.get(path).filter(|_| !is_deleted);
        file.map(|file| (world.blobs.join(&file.blob), file.clone(), served(&world.settings, file, &query)))
    };
    let Some((blob, file, served)) = found else { return respond(404, "text/plain", "no such asset\n") };
    let kind = file.mime_type.as_deref().unwrap_or("application/octet-stream");
    let mut response = match served {
        Served::Refused => return respond(422, "text/plain", "this project serves no raw videos\n"),
        Served::AsUploaded => {
            let Ok(opened) = File::open(blob).await else { return respond(404, "text/plain", "the bytes are gone\n") };
            let body = Body::from_stream(ReaderStream::with_capacity(opened, 256 * 1024));
            named(respond(200, kind, body), &file.md5)
        }
        Served::Optimised | Served::Sanitised => {
            let Ok(bytes) = tokio::fs::read(blob).await else {
                return respond(404, "text/plain", "the bytes are gone\n");
            };
            let bytes = if served == Served::Sanitised { sanitised(&bytes) } else { [&bytes, OPTIMISED].concat() };
            let md5 = Md5::of(&bytes).to_string();
            named(respond(200, kind, bytes), &md5)
        }
    };
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
    headers.insert("content-security-policy", HeaderValue::from_static(policy));
    response
}

fn named(mut response: Response, md5: &str) -> Response {
    debug_assert_eq!(response.status(), StatusCode::OK);
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{md5}\"")) {
        response.headers_mut().insert("etag", etag);
    }
    response
}

/// An SVG without its script elements; a comment tells that it was looked at.
fn sanitised(svg: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(svg);
    let (mut out, mut rest) = (String::new(), &*text);
    while let Some(start) = rest.find("<script") {
        out.push_str(&rest[..start]);
        rest = rest[start..].find("</script>").map_or("", |end| &rest[start + end + "</script>".len()..]);
    }
    out.push_str(rest);
    out.push_str("<!-- sanitised -->");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_is_served_to_who_asks_for_it_and_by_each_switch() {
        let file = |mime: &str| StoredFile {
            blob: String::new(),
            size: 1,
            md5: String::new(),
            width: None,
            height: None,
            format: None,
            mime_type: Some(mime.to_owned()),
        };
        let (strict, lax) = (
            Settings { refuses_raw_videos: true, ..Settings::default() },
            Settings { cdn_optimises: false, cdn_sanitises_svg: false, ..Settings::default() },
        );
        let original = "skip-default-optimizations=true&svg-sanitize=false";
        let (png, svg, mp4) = ("image/png", "image/svg+xml", "video/mp4");
        let cases = [
            (&strict, png, "", Served::Optimised),
            (&strict, png, original, Served::AsUploaded),
            (&strict, svg, "skip-default-optimizations=true", Served::Sanitised),
            (&strict, svg, original, Served::AsUploaded),
            (&strict, mp4, original, Served::Refused),
            (&strict, "application/pdf", "", Served::AsUploaded),
            (&lax, png, "", Served::AsUploaded),
            (&lax, svg, "", Served::AsUploaded),
            (&lax, mp4, "", Served::AsUploaded),
        ];
        for (settings, mime, query, expected) in cases {
            assert_eq!(served(settings, &file(mime), &parse_query(query)), expected, "{mime} {query}");
        }
    }

    #[test]
    fn an_svg_loses_its_scripts_and_nothing_else() {
        let svg = b"<svg><script>alert(1)</script><path/><script src='x'/></svg>";
        assert_eq!(sanitised(svg), b"<svg><path/><!-- sanitised -->");
        assert_eq!(sanitised(b"<svg/>"), b"<svg/><!-- sanitised -->");
    }
}
