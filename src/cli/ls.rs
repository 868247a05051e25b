//! `ls`: the media area, with the local path of what is mirrored.
//!
//! Owns: the filters as the API names them, joining assets with paths, and how the list looks. Pages are printed as they
//! come, so that memory does not grow with the media area.

use std::collections::HashSet;

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use serde::Serialize;

use super::args::{Args, Format, Ls};
use super::calls;
use super::run::shown_configuration;
use super::show::{self, printable};
use crate::config::Config;
use crate::error::{Exit, RunError};
use crate::index::{Index, IndexError, files};
use crate::model::{Asset, GoesOn, UploadId};
use crate::remote::{self, ListFilter, ListQuery, Listed, Options, Order, PAGE_LIMIT, Remote, Walk};

/// One asset in `--format json`. These names are an interface: add, do not rename.
#[derive(Debug, Clone, Serialize)]
struct Row {
    id: String,
    filename: String,
    url: String,
    size: u64,
    format: Option<String>,
    mime_type: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    md5: Option<String>,
    tags: Vec<String>,
    updated_at: String,
    /// Empty: no mirror knows it.
    mirrored: Vec<Mirrored>,
}

/// A path that has the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Mirrored {
    mirror: String,
    path: String,
    /// Only the asset's own stamp says so: the path is another machine's, or this one's index is gone.
    by_stamp: bool,
}

/// Runs.
pub async fn run(args: &Args, flags: &Ls) -> Exit {
    let config = match shown_configuration(&args.global, true) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match list(&config, flags, args.global.format).await {
        Ok(exit) => exit,
        Err(error) => {
            tracing::error!("{}", error.told(GoesOn::Nobody));
            error.exit()
        }
    }
}

async fn list(config: &Config, flags: &Ls, format: Format) -> Result<Exit, RunError> {
    let index = match Index::open_read_only(&config.state_path) {
        Ok(index) => Some(index),
        Err(IndexError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let remote = Remote::stamped(Options {
        environment: config.api.environment.clone(),
        rate_share: config.api.rate_share,
        ..remote::options(&config.api.base_url, config.api.token.clone())
    })?;
    let listed = pages(&remote, index.as_ref(), flags, format).await;
    calls::count(config, &remote).await;
    listed
}

async fn pages(remote: &Remote, index: Option<&Index>, flags: &Ls, format: Format) -> Result<Exit, RunError> {
    let mut walk = Walk::default();
    let mut listed: HashSet<UploadId> = HashSet::new();
    let mut unknown = 0;
    loop {
        let offset = walk.offset();
        let page = remote.list(&query(flags, offset)).await?;
        let step = walk.take(&page);
        let mut rows = Vec::new();
        // While assets come and go an asset can be on two pages.
        for asset in page.assets.into_iter().filter(|asset| listed.insert(asset.id.clone())) {
            rows.push(row(index, asset).await?);
        }
        unknown += rows.iter().filter(|row| row.mirrored.is_empty()).count();
        let text = match format {
            Format::Json => json_part(&rows, offset == 0, page.total),
            Format::Text | Format::Markdown => rows.iter().map(line).collect(),
        };
        if show::print(&text) != Exit::Done {
            return Ok(Exit::Incomplete);
        }
        if step != Listed::More {
            break;
        }
    }
    let end = match format {
        Format::Json => "]}\n".to_owned(),
        Format::Text | Format::Markdown => footer(listed.len(), unknown),
    };
    Ok(show::print(&end))
}

fn query(flags: &Ls, offset: u64) -> ListQuery {
    let mut filter: Vec<(String, String)> = Vec::new();
    if let Some(text) = &flags.query {
        filter.push(("filter[query]".into(), text.clone()));
    }
    filter.extend(flags.tags.iter().map(|tag| ("filter[fields][tags][allIn][]".to_owned(), tag.clone())));
    if let Some(kind) = &flags.kind {
        filter.push(("filter[fields][type][eq]".into(), kind.clone()));
    }
    ListQuery {
        filter: if filter.is_empty() { ListFilter::All } else { ListFilter::Raw(filter) },
        // By id is the one order that paging can rely on.
        order: flags.order_by.clone().map_or(Order::ById, Order::Raw),
        offset,
        limit: PAGE_LIMIT,
    }
}

async fn row(index: Option<&Index>, asset: Asset) -> Result<Row, IndexError> {
    let mut mirrored = Vec::new();
    if let Some(index) = index {
        let id = asset.id.clone();
        let owners = index.call(move |conn| files::owners(conn, &id)).await?;
        mirrored.extend(owners.into_iter().filter(|(_, owner)| owner.present).map(|(mirror, owner)| Mirrored {
            mirror,
            path: owner.path.key().to_owned(),
            by_stamp: false,
        }));
    }
    for (mirror, entry) in &asset.stamp.0 {
        if !mirrored.iter().any(|known| known.mirror == *mirror) {
            let paths = entry.paths.iter().cloned();
            mirrored.extend(paths.map(|path| Mirrored { mirror: mirror.clone(), path, by_stamp: true }));
        }
    }
    Ok(Row {
        id: asset.id.to_string(),
        filename: asset.filename,
        url: asset.url,
        size: asset.size,
        format: asset.format,
        mime_type: asset.mime_type,
        width: asset.width,
        height: asset.height,
        md5: asset.md5.map(|md5| md5.to_string()),
        tags: asset.tags,
        updated_at: asset.updated_at,
        mirrored,
    })
}

/// `{"total":…,"assets":[…` of the first page, `,…` of later ones.
fn json_part(rows: &[Row], first: bool, total: u64) -> String {
    let mut out = if first { format!("{{\"total\":{total},\"assets\":[") } else { String::new() };
    for (at, row) in rows.iter().enumerate() {
        if at > 0 || !first {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(row).unwrap_or_default());
    }
    out
}

fn line(row: &Row) -> String {
    let (dim, yellow) = (Style::new().dimmed(), AnsiColor::Yellow.on_default());
    let place = match row.mirrored.as_slice() {
        [] => format!("{yellow}not in any mirror{yellow:#}"),
        all => {
            let shown = |one: &Mirrored| {
                let path = format!("{}:{}", printable(&one.mirror), printable(&one.path));
                if one.by_stamp { format!("{path} {dim}(elsewhere){dim:#}") } else { path }
            };
            all.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
    };
    let size = ByteSize::b(row.size).display().si().to_string();
    let tags = if row.tags.is_empty() { String::new() } else { format!("  [{}]", printable(&row.tags.join(", "))) };
    let name = printable(&row.filename);
    format!("{size:>9}  {name:<28}  {place}{dim}{tags}{dim:#}\n           {dim}{}{dim:#}\n", printable(&row.url))
}

fn footer(count: usize, unknown: usize) -> String {
    let assets = if count == 1 { "asset" } else { "assets" };
    match unknown {
        0 => format!("{count} {assets}\n"),
        unknown => format!("{count} {assets}, {unknown} of them in no mirror\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_the_filters_of_the_api() {
        let flags = Ls {
            query: Some("a b".into()),
            tags: vec!["x".into(), "y".into()],
            kind: Some("image".into()),
            order_by: Some("size_DESC".into()),
        };
        let ListQuery { filter: ListFilter::Raw(pairs), order, offset, .. } = query(&flags, 500) else {
            panic!("a filter was expected")
        };
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("filter[query]", "a b"),
                ("filter[fields][tags][allIn][]", "x"),
                ("filter[fields][tags][allIn][]", "y"),
                ("filter[fields][type][eq]", "image")
            ]
        );
        assert_eq!((order, offset), (Order::Raw("size_DESC".into()), 500));
        assert_eq!(query(&Ls::default(), 0), ListQuery::all(0));
    }

    #[test]
    fn pages_make_one_json_object() {
        let row = Row {
            id: "a".into(),
            filename: "a.png".into(),
            url: "u".into(),
            size: 1,
            format: None,
            mime_type: None,
            width: None,
            height: None,
            md5: None,
            tags: Vec::new(),
            updated_at: String::new(),
            mirrored: Vec::new(),
        };
        let rows = [row.clone(), row];
        let text = json_part(&rows, true, 3) + &json_part(&rows[..1], false, 3) + "]}";
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["assets"].as_array().map(Vec::len), Some(3));
        let empty: serde_json::Value = serde_json::from_str(&(json_part(&[], true, 0) + "]}")).unwrap();
        assert_eq!(empty["total"], 0);
    }
}
