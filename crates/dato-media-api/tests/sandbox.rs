//! The whole way of an upload against the sandbox, in projects of either metadata shape.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dato_media_api::{
    Accepted, CancellationToken, Client, FieldKey, Fields, FileToSend, JobState, ListQuery, Md5, Metadata,
    MetadataShape, NewUpload, Options, SendError, Stamp, Upload, UploadChange, UploadId,
};
use dato_sandbox::{Sandbox, Settings};
use serde_json::{Value, json};

const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"/>";

/// Where an upload came from.
#[derive(Debug, Clone, Default, PartialEq)]
struct Source(Option<String>);

impl Stamp for Source {
    const KEY: Option<&'static str> = Some("my-program");

    fn read(value: &Value) -> Self {
        Self(value.as_str().map(str::to_owned))
    }

    fn write(&self) -> Option<Value> {
        self.0.clone().map(Value::String)
    }

    fn unite(&mut self, other: Self) {
        self.0 = other.0.or(self.0.take());
    }
}

fn client<S: Stamp>(sandbox: &Sandbox) -> Client<S> {
    Client::stamped(Options::new(sandbox.base_url(), "sandbox".to_owned().into())).unwrap()
}

/// What people and programs wrote; the service adds the creator by itself.
fn written(upload: &Upload<Source>) -> Fields {
    let fields = upload.fields.clone().into_iter();
    fields.filter(|(key, _)| *key != FieldKey::Creator).collect()
}

/// The upload at the end of its job; nothing for a deleted one.
async fn done<S: Stamp>(client: &Client<S>, accepted: Accepted<S>) -> Option<Box<Upload<S>>> {
    let job = match accepted {
        Accepted::Done(upload) => return Some(upload),
        Accepted::Job(job) => job,
    };
    loop {
        match client.job(&job).await.unwrap() {
            JobState::Pending => tokio::time::sleep(Duration::from_millis(5)).await,
            JobState::Done(upload) => return upload,
            JobState::Failed(error) => panic!("{error}"),
        }
    }
}

async fn sent<S: Stamp>(client: &Client<S>, path: PathBuf) -> String {
    let ticket = client.upload_request("logo.svg", None).await.unwrap();
    let size = fs::metadata(&path).unwrap().len();
    let open = Arc::new(move || File::open(&path).map_err(SendError::Unreadable));
    let file = FileToSend { open, size, mime: Some("image/svg+xml") };
    let sent = client.put_file(&ticket, file, &CancellationToken::new()).await.unwrap();
    assert_eq!(sent.md5, Md5::of(SVG));
    ticket.path
}

#[tokio::test]
async fn an_upload_is_made_found_changed_and_deleted_in_both_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logo.svg");
    fs::write(&path, SVG).unwrap();
    for (by_field, shape) in [(false, MetadataShape::ByLocale), (true, MetadataShape::ByField)] {
        let settings = Settings { by_field, ..Settings::fast() };
        let sandbox =
            Sandbox::local(dato_sandbox::Options { settings, ..dato_sandbox::Options::fast() }).await.unwrap();
        let client: Client<Source> = client(&sandbox);
        let site = client.site().await.unwrap();
        assert_eq!(site.shape, shape);
        let locale = site.main_locale().to_owned();
        let alt = FieldKey::Alt(locale.clone());
        let foreign = FieldKey::CustomData(locale.clone(), "foreign".into());

        let id = UploadId::derived(&site.id, "my-program", "logo.svg", 0);
        let metadata = Metadata {
            tags: Some(vec!["logo".into()]),
            fields: Fields::from([(alt.clone(), json!("A logo"))]),
            write: BTreeSet::from([alt.clone()]),
            stamp: Some(Source(Some("logo.svg".into()))),
        };
        let new = NewUpload { id: id.clone(), path: sent(&client, path.clone()).await, metadata };
        let made = client.create(&new).await.unwrap();
        done(&client, made).await.unwrap();
        let upload = client.find(&id).await.unwrap().unwrap();
        assert_eq!((upload.md5, upload.tags.as_slice()), (Some(Md5::of(SVG)), ["logo".to_owned()].as_slice()));
        assert_eq!((&written(&upload), &upload.stamp), (&new.metadata.fields, &Source(Some("logo.svg".into()))));

        // Custom data are written whole, and the stamp that is not named stays all the same.
        let fields = Fields::from([(foreign.clone(), json!("x"))]);
        let metadata = Metadata { fields, write: BTreeSet::from([foreign.clone()]), ..Metadata::default() };
        let change = UploadChange { metadata: Some(metadata), ..UploadChange::default() };
        let changed = client.update(&id, &change).await.unwrap();
        done(&client, changed).await.unwrap();
        let listed = client.list(&ListQuery::md5s(vec![Md5::of(SVG)])).await.unwrap().assets;
        assert_eq!(listed[0].stamp, Source(Some("logo.svg".into())));
        assert_eq!(written(&listed[0]), Fields::from([(alt.clone(), json!("A logo")), (foreign.clone(), json!("x"))]));

        // Whoever leaves no stamp sees that of others as what it is: custom data.
        let plain: Client = self::client(&sandbox);
        let seen = plain.find(&id).await.unwrap().unwrap();
        assert_eq!(seen.fields.get(&FieldKey::CustomData(locale, "my-program".into())), Some(&json!("logo.svg")));

        let deleted = client.destroy(&id).await.unwrap();
        done(&client, deleted).await;
        assert_eq!(client.find(&id).await.unwrap(), None);
        sandbox.stop().await;
    }
}
