//! What people see: a page that lists the media area.
//!
//! Owns: `/`. Everything shown is escaped. The assets themselves are `cdn`'s.

use std::fmt::Write as _;

use axum::http::HeaderValue;
use axum::response::Response;

use super::answer::respond;
use super::call::{decode, parse_query};
use super::cdn;
use super::door::Shared;
use super::entity::asset_url;
use super::metadata::Media;
use super::state::World;

/// Assets on one page.
const SHOWN: usize = 200;

const STYLE: &str = "body{font:15px/1.4 system-ui,sans-serif;margin:2rem;color:#222}table{border-collapse:collapse}\
td,th{padding:.4rem .8rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:middle}\
img{max-width:64px;max-height:64px}code{background:#f4f4f4;padding:0 .3em}.tag{background:#eef;padding:0 .4em;\
border-radius:.6em;margin-right:.3em}";

/// `/` and `/_assets/…`.
pub(super) async fn enter(shared: &Shared, path: &str, query: &str) -> Response {
    match path.strip_prefix("/_assets") {
        Some(path) => cdn::serve(shared, &decode(path), query).await,
        None => {
            let html = render(&mut shared.world(), query);
            let mut response = respond(200, "text/html; charset=utf-8", html);
            let policy = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'";
            response.headers_mut().insert("content-security-policy", HeaderValue::from_static(policy));
            response
        }
    }
}

fn render(world: &mut World, query: &str) -> String {
    let now = world.now();
    world.settle(now);
    let query = parse_query(query);
    let asked = query.iter().find(|(key, _)| key == "environment").map(|(_, value)| value.clone());
    let name = asked.unwrap_or_else(|| world.primary());
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title><style>{STYLE}</style><h1>{0}</h1>",
        escape(&world.site_name)
    );
    let _ = write!(
        html,
        "<p>A local media area. API: <code>{}</code>, token: <code>sandbox</code>.",
        escape(&world.base_url)
    );
    for other in world.environments.keys() {
        let _ = write!(html, " <a href=\"/?environment={0}\">{0}</a>", escape(other));
    }
    let Some(space) = world.environments.get(&name) else {
        html.push_str("<p>There is no such environment.");
        return html;
    };
    let mut uploads: Vec<_> = space.uploads.values().collect();
    uploads.sort_by_key(|upload| std::cmp::Reverse((upload.updated_at, upload.seq)));
    let _ = write!(html, "<h2>{} ({} assets)</h2><table>", escape(&name), uploads.len());
    html.push_str("<tr><th><th>Name<th>Size<th>Tags<th>Collection<th>MD5");
    for upload in uploads.into_iter().take(SHOWN) {
        let url = asset_url("", &upload.path);
        let image = if upload.file.media() == Media::Image {
            format!("<img loading=lazy alt=\"\" src=\"{}\">", escape(&url))
        } else {
            String::new()
        };
        let tags: String = upload.tags.iter().map(|tag| format!("<span class=tag>{}</span>", escape(tag))).collect();
        let collection = upload.collection.as_ref().and_then(|id| space.collections.get(id));
        let _ = write!(
            html,
            "<tr><td>{image}<td><a href=\"{}\">{}</a><td>{}<td>{tags}<td>{}<td><code>{}</code>",
            escape(&url),
            escape(upload.filename()),
            upload.file.size,
            collection.map_or_else(String::new, |collection| escape(&collection.label)),
            escape(&upload.file.md5),
        );
    }
    html.push_str("</table>");
    html
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("<b a=\"x\">'&"), "&lt;b a=&quot;x&quot;&gt;&#39;&amp;");
    }
}
