//! The suite's own HTTP client: a call goes out, its answer comes back, and what was seen on the way is noted.
//!
//! Owns: headers, waiting out of refusals that pass, following jobs. It shares no type with the product's client, so
//! that a misspelt field cannot agree with itself. Never does: deciding which environment may be written to (`fork`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Longer than anything takes here, the fork of a large project among it; only a failure uses it up.
pub const LONG: Duration = Duration::from_secs(1800);

/// The way to a project.
pub struct Wire {
    http: Client,
    base: String,
    token: String,
    seen: RefCell<Seen>,
    // Last: the client's connections live on it.
    runtime: Runtime,
}

/// What the answers so far had in common.
#[derive(Debug, Default)]
pub struct Seen {
    /// API calls, puts to the bucket not among them.
    pub calls: usize,
    /// The environments that answers named; an empty text where one named none.
    pub environments: BTreeSet<String>,
    /// Answers without `x-request-id`.
    pub without_request_id: usize,
    /// What `x-ratelimit-limit` told.
    pub limits: BTreeSet<String>,
    /// Refusals by the rate limit.
    pub refused: usize,
    /// How calls that changed something were answered, by route: in a job, at once.
    pub answered: BTreeMap<String, BTreeSet<&'static str>>,
}

/// The end of a call, its job's where there was one.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// Whether this came as the result of a job.
    pub in_job: bool,
    /// What `x-environment` named.
    pub environment: Option<String>,
}

impl Answer {
    pub const fn is_ok(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// This answer, which has to be a success.
    #[track_caller]
    pub fn ok(self, what: &str) -> Self {
        assert!(self.is_ok(), "{what}: {}", self.refusal());
        self
    }

    /// `data` of a success.
    #[track_caller]
    pub fn data(self, what: &str) -> Value {
        self.ok(what).body["data"].take()
    }

    /// The refusal in few words: status, where it was told, codes and details.
    pub fn refusal(&self) -> String {
        let place = if self.in_job { "in the job" } else { "at once" };
        let errors = self.body["data"].as_array().cloned().unwrap_or_default();
        let one = |error: &Value| {
            let inner = &error["attributes"]["details"];
            let words = [&error["attributes"]["code"], &inner["field"], &inner["code"], &inner["limit"]];
            words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(" ")
        };
        let codes: Vec<String> = errors.iter().map(one).collect();
        format!("{} {place}, {}", self.status, if codes.is_empty() { "no code".to_owned() } else { codes.join("; ") })
    }

    fn is_transient(&self) -> bool {
        let errors = self.body["data"].as_array();
        errors.is_some_and(|errors| errors.iter().any(|error| error["attributes"]["transient"] == true))
    }
}

impl Wire {
    pub fn new(base: &str, token: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut http = Client::builder().timeout(Duration::from_secs(120));
        if base.contains("//127.0.0.1") {
            http = http.no_proxy();
        }
        let base = base.trim_end_matches('/').to_owned();
        Self { http: http.build().unwrap(), base, token: token.to_owned(), seen: RefCell::default(), runtime }
    }

    /// Where the project is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token, for the runs of the binary.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What was seen so far.
    pub fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.borrow())
    }

    /// Where tasks can be left to run beside the suite.
    pub const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A call, to its end: what passes is waited out, a job is followed.
    #[track_caller]
    pub fn call(
        &self,
        environment: Option<&str>,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let answer = self.patiently(environment, method, path, query, body);
        let job = answer.body.pointer("/data/id").filter(|_| answer.body["data"]["type"] == "job").cloned();
        let end = match job.as_ref().and_then(Value::as_str) {
            Some(job) => self.follow(environment, job),
            None => answer,
        };
        if *method != Method::GET && end.is_ok() {
            let how = if end.in_job { "in a job" } else { "at once" };
            self.seen.borrow_mut().answered.entry(route(method, path)).or_default().insert(how);
        }
        end
    }

    fn follow(&self, environment: Option<&str>, job: &str) -> Answer {
        let (started, mut pause) = (Instant::now(), Duration::from_millis(50));
        loop {
            let answer = self.patiently(environment, &Method::GET, &format!("/job-results/{job}"), &[], None);
            if answer.status != 404 {
                let result = answer.ok("a job's result");
                let attributes = &result.body["data"]["attributes"];
                let status = attributes["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap();
                let (body, environment) = (attributes["payload"].clone(), result.environment.clone());
                return Answer { status, body, in_job: true, environment };
            }
            assert!(started.elapsed() < LONG, "the job {job} does not end");
            sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(3));
        }
    }

    fn patiently(
        &self,
        environment: Option<&str>,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let started = Instant::now();
        loop {
            let (answer, reset) = match self.once(environment, method, path, query, body) {
                Ok(told) => told,
                // What only reads can be asked again; what became of a change whose answer was lost is not known.
                Err(_) if *method == Method::GET && started.elapsed() < Duration::from_secs(60) => {
                    sleep(Duration::from_secs(2));
                    continue;
                }
                Err(error) => panic!("{method} {path}: {error}"),
            };
            let pause = match answer.status {
                429 => reset.unwrap_or(1),
                _ if answer.is_transient() => 2,
                _ => return answer,
            };
            assert!(started.elapsed() < Duration::from_secs(300), "{method} {path}: {}", answer.refusal());
            sleep(Duration::from_secs(pause));
        }
    }

    /// One request; also gives how long a 429 asks to wait, s.
    fn once(
        &self,
        environment: Option<&str>,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(Answer, Option<u64>), reqwest::Error> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base)).query(query);
        request = request.bearer_auth(&self.token).header("accept", "application/json").header("x-api-version", "3");
        if let Some(environment) = environment {
            request = request.header("x-environment", environment);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/vnd.api+json").body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await?;
            let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
            let (status, environment) = (response.status().as_u16(), header("x-environment"));
            let reset = header("x-ratelimit-reset").and_then(|text| text.parse().ok());
            {
                let mut seen = self.seen.borrow_mut();
                seen.calls += 1;
                seen.environments.insert(environment.clone().unwrap_or_default());
                seen.without_request_id += usize::from(header("x-request-id").is_none());
                seen.limits.extend(header("x-ratelimit-limit"));
                seen.refused += usize::from(status == 429);
            }
            let body = response.bytes().await?;
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            Ok((Answer { status, body, in_job: false, environment }, reset))
        })
    }

    /// Puts bytes into the bucket, as an upload request says.
    #[track_caller]
    pub fn put(&self, upload_request: &Value, bytes: &[u8]) {
        let attributes = &upload_request["attributes"];
        let mut request = self.http.put(attributes["url"].as_str().unwrap()).body(bytes.to_vec());
        for (name, value) in attributes["request_headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap());
        }
        let status = self.runtime.block_on(async { request.send().await.map(|response| response.status()) });
        // The URL is a secret: it stands in no message.
        let status = status.map_err(reqwest::Error::without_url).unwrap();
        assert!(status.is_success(), "the bucket answers {status}");
    }

    /// What is served at a URL: status and bytes; `Err` when it cannot be reached.
    pub fn served(&self, url: &str) -> Result<(StatusCode, Vec<u8>), String> {
        self.runtime.block_on(async {
            let response = self.http.get(url).send().await.map_err(|error| error.to_string())?;
            let status = response.status();
            Ok((status, response.bytes().await.map_err(|error| error.to_string())?.to_vec()))
        })
    }
}

/// A call's route, ids replaced.
fn route(method: &Method, path: &str) -> String {
    let is_id = |at: usize, part: &str| at == 2 && part != "bulk";
    let parts: Vec<_> =
        path.split('/').enumerate().map(|(at, part)| if is_id(at, part) { ":id" } else { part }).collect();
    format!("{method} {}", parts.join("/"))
}
