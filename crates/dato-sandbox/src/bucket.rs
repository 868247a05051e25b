//! The bucket: presigned puts, as strict as S3.
//!
//! Owns: `/_bucket/…`: the checks, streaming to disk with a running digest, and the bucket's own faults. A put of any
//! size takes a few megabytes of memory.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::answer::{bucket_error, respond};
use super::call::{decode, parse_query};
use super::create::MAX_SIZE;
use super::door::Shared;
use super::entity::StoredFile;
use super::fault::FaultKind;
use super::line::Line;
use super::place;
use crate::digest::{Md5, Md5Hasher};

/// Chunks that may wait for the disk; each is what one read of the socket gave.
const WAITING: usize = 16;

/// Whether a path is the bucket's.
pub(super) fn is(path: &str) -> bool {
    path.starts_with("/_bucket/")
}

/// `PUT /_bucket/…`.
pub(super) async fn enter(
    shared: &Shared,
    line: &Line,
    seq: u64,
    request: Request,
    fault: Option<&FaultKind>,
) -> Response {
    match fault {
        Some(FaultKind::SlowDown) => return closing(bucket_error(503, "SlowDown", "Please reduce your request rate.")),
        Some(FaultKind::Redirect { to }) => {
            let here = request.uri().path_and_query().map_or("/", |url| url.as_str()).to_owned();
            let mut response = bucket_error(307, "TemporaryRedirect", "Please re-send this request to the endpoint.");
            if let Ok(value) = HeaderValue::from_str(to.as_ref().unwrap_or(&here)) {
                response.headers_mut().insert("location", value);
            }
            return closing(response);
        }
        Some(FaultKind::EarlyForbidden) => return closing(bucket_error(403, "AccessDenied", "Request has expired")),
        _ => {}
    }
    let path = decode(request.uri().path().trim_start_matches("/_bucket"));
    let length = match allowed(shared, &path, &request) {
        Ok(length) => length,
        // S3 answers without reading the body and closes.
        Err(refusal) => return closing(*refusal),
    };
    let blobs = shared.world().blobs.clone();
    let blob = format!("{:032x}", fastrand::u128(..));
    let (sender, receiver) = mpsc::channel(WAITING);
    let writer = tokio::task::spawn_blocking({
        let (file, corrupt) = (blobs.join(&blob), corrupts(fault));
        move || write(&file, receiver, corrupt)
    });
    let mut body = request.into_body().into_data_stream();
    let mut arrived = 0;
    let mut broken = false;
    while let Some(chunk) = body.next().await {
        let Ok(chunk) = chunk else {
            broken = true;
            break;
        };
        arrived += chunk.len() as u64;
        if fault == Some(&FaultKind::ResetMidBody) && (arrived > length / 2 || arrived == length) {
            line.cut();
            broken = true;
            break;
        }
        if sender.send(chunk).await.is_err() {
            broken = true;
            break;
        }
    }
    drop(sender);
    let written = writer.await;
    shared.world().log.amend(seq, |entry| entry.bytes_in = arrived);
    let (Ok(Ok((sent, stored))), false) = (written, broken || arrived != length) else {
        let _ = std::fs::remove_file(blobs.join(&blob));
        return closing(bucket_error(400, "IncompleteBody", "The body has not the length that was announced."));
    };
    let etag = match fault {
        Some(FaultKind::WrongEtag) => Md5::of(b"another"),
        Some(FaultKind::CorruptQuietly) => sent,
        _ => stored,
    };
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
    let file = describe(&blobs, blob, length, stored, extension.unwrap_or_default());
    keep(shared, &path, file);
    let mut response = respond(200, "application/xml", "");
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        response.headers_mut().insert("etag", value);
    }
    response
}

const fn corrupts(fault: Option<&FaultKind>) -> bool {
    matches!(fault, Some(FaultKind::CorruptBytes | FaultKind::CorruptQuietly))
}

/// The answer after which the connection cannot go on: its body was not read.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert("connection", HeaderValue::from_static("close"));
    response
}

/// What S3 would refuse; gives the announced length, bytes. The refusal is boxed because a response is large.
fn allowed(shared: &Shared, path: &str, request: &Request) -> Result<u64, Box<Response>> {
    let refuse = |status, code, message: &str| Err(Box::new(bucket_error(status, code, message)));
    let headers = request.headers();
    if request.method() != "PUT" {
        return refuse(405, "MethodNotAllowed", "Only PUT is presigned.");
    }
    if headers.contains_key("authorization") {
        return refuse(
            400,
            "InvalidArgument",
            "Only one auth mechanism allowed: the query or the Authorization header.",
        );
    }
    if headers.contains_key("transfer-encoding") {
        return refuse(
            501,
            "NotImplemented",
            "A header you provided implies functionality that is not implemented: Transfer-Encoding",
        );
    }
    let Some(length) = text(headers, "content-length").parse::<u64>().ok() else {
        return refuse(411, "MissingContentLength", "You must provide the Content-Length HTTP header.");
    };
    if length > MAX_SIZE {
        return refuse(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size: 1 GB.");
    }
    let query = parse_query(request.uri().query().unwrap_or_default());
    let param = |name: &str| query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let world = shared.world();
    let Some(ticket) = world.tickets.get(path) else {
        return refuse(403, "AccessDenied", "Access Denied");
    };
    if param("X-Amz-Signature") != ticket.secret || param("expires") != ticket.expires.to_string() {
        return refuse(403, "SignatureDoesNotMatch", "The request signature does not match.");
    }
    if world.now() >= ticket.expires {
        return refuse(403, "AccessDenied", "Request has expired");
    }
    if text(headers, "x-amz-meta-sandbox") != ticket.nonce || text(headers, "x-amz-server-side-encryption") != "AES256"
    {
        return refuse(403, "SignatureDoesNotMatch", "A signed header is missing or differs.");
    }
    Ok(length)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Writes the chunks; gives the digest of what was sent and of what is stored.
fn write(path: &Path, mut chunks: mpsc::Receiver<Bytes>, corrupt: bool) -> io::Result<(Md5, Md5)> {
    let mut file = place::create(path)?;
    let mut sent = Md5Hasher::default();
    let mut stored = Md5Hasher::default();
    let mut first = true;
    while let Some(chunk) = chunks.blocking_recv() {
        sent.update(&chunk);
        if corrupt {
            let mut changed = chunk.to_vec();
            if let Some(byte) = changed.first_mut().filter(|_| first) {
                *byte ^= 1;
            }
            stored.update(&changed);
            file.write_all(&changed)?;
        } else {
            file.write_all(&chunk)?;
        }
        first = false;
    }
    let sent = sent.finish();
    Ok((sent, if corrupt { stored.finish() } else { sent }))
}

/// Notes the bytes on their ticket.
fn keep(shared: &Shared, path: &str, file: StoredFile) {
    let mut world = shared.world();
    let Some(mut ticket) = world.tickets.get(path).cloned() else { return };
    let before = ticket.stored.replace(file);
    if let Some(before) = before.filter(|before| !world.blob_uses.contains_key(&before.blob)) {
        let _ = std::fs::remove_file(world.blobs.join(before.blob));
    }
    ticket.used = false;
    world.put_ticket(ticket);
}

/// What the service finds out about a file.
pub(super) fn describe(blobs: &Path, blob: String, size: u64, md5: Md5, extension: &str) -> StoredFile {
    let path: PathBuf = blobs.join(&blob);
    let head = head(&path).unwrap_or_default();
    let found = infer::get(&head);
    let (format, mime_type) = if extension.is_empty() {
        (found.map(|kind| kind.extension().to_owned()), found.map(|kind| kind.mime_type().to_owned()))
    } else {
        let lower = extension.to_ascii_lowercase();
        let mime = match lower.as_str() {
            "psd" => Some("image/vnd.adobe.photoshop".to_owned()),
            other => mime_guess::from_ext(other).first_raw().map(str::to_owned),
        };
        (Some(if lower == "jpeg" { "jpg".to_owned() } else { lower }), mime)
    };
    let image = mime_type.as_deref().is_some_and(|mime| mime.starts_with("image/"));
    let measured = if image { imagesize::size(&path).ok() } else { None };
    let side = |side: Option<usize>| side.and_then(|pixels| u32::try_from(pixels).ok());
    StoredFile {
        blob,
        size,
        md5: md5.to_string(),
        width: side(measured.map(|size| size.width)),
        height: side(measured.map(|size| size.height)),
        format,
        mime_type,
    }
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::with_capacity(8192);
    file.take(8192).read_to_end(&mut head)?;
    Ok(head)
}
