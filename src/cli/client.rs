//! The one place that speaks HTTP: requests go out, answers come back as shapes or as a [`ClientError`].
//!
//! Every wait has an end: connecting, an answer, the silence within a stream. Every answer has a greatest
//! size. Redirects are not followed, because they could carry the token elsewhere; a proxy from the
//! environment is not asked for what is on this machine. `calls` lists what the API can be asked.

mod budgets;
mod calls;
mod error;
mod lines;
mod name;
mod schedules;
mod services;
mod socket;
mod sse;

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::token::Token;
use crate::shapes::{Page, Problem};

pub(super) use calls::{BillQuery, EventQuery, LogQuery, Syntax, TaskQuery, UsageQuery};
pub(super) use error::ClientError;
pub(super) use lines::LogStream;
pub(super) use socket::{Received, SocketReceiver, SocketSender};
pub(super) use sse::EventStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(15);
/// The largest answer that is read; a page of the largest tasks has a tenth of it.
const LARGEST_ANSWER: usize = 64 << 20;
/// How many items a page is asked for.
const PAGE_SIZE: u32 = 500;
/// How many pages of one list are read: more is no list that anybody reads.
const MOST_PAGES: u32 = 10_000;

/// Asks one Neargate. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    authorization: Option<HeaderValue>,
    /// What it calls itself.
    name: Option<HeaderValue>,
}

/// An answer: what it means, and the document as the API gave it.
#[derive(Clone, Debug)]
pub(super) struct Answer<T> {
    /// What it means.
    pub(super) value: T,
    /// As it was given.
    pub(super) document: Value,
}

/// What is appended to a path behind `?`; what is `None` is left out.
type Query<'a> = [(&'static str, Option<&'a str>)];

impl Client {
    /// A client of the Neargate at `endpoint`, which is not asked for anything yet.
    pub(super) fn new(endpoint: &str, token: Option<Token>) -> Result<Self, ClientError> {
        let endpoint = parse_endpoint(endpoint)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("neargate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&endpoint) {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| ClientError::setup(&endpoint, &error))?;
        let authorization = token.and_then(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Ok(Self {
            http,
            endpoint,
            authorization,
            name: HeaderValue::try_from(name::of_process()).ok(),
        })
    }

    /// Where it asks.
    pub(super) fn endpoint(&self) -> &str {
        self.endpoint.as_str().trim_end_matches('/')
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &Query<'_>,
    ) -> Result<RequestBuilder, ClientError> {
        let mut url = self.endpoint.clone();
        // A name such as `..` would change which resource is meant; no resource is called so.
        if let Some(odd) = path
            .iter()
            .find(|segment| matches!(**segment, "" | "." | ".."))
        {
            return Err(ClientError::Name {
                name: (*odd).to_owned(),
            });
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        tracing::debug!("{method} {url}");
        let mut request = self.http.request(method, url);
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        if let Some(name) = &self.name {
            request = request.header(name::HEADER, name.clone());
        }
        Ok(request)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &Query<'_>,
    ) -> Result<Answer<T>, ClientError> {
        self.answer(self.request(Method::GET, path, query)?).await
    }

    async fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl serde::Serialize,
    ) -> Result<Answer<T>, ClientError> {
        let request = self.request(Method::PUT, path, &[])?.json(body);
        self.answer(request).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl serde::Serialize,
    ) -> Result<Answer<T>, ClientError> {
        self.answer(self.request(Method::POST, path, &[])?.json(body))
            .await
    }

    async fn post_document<T: DeserializeOwned>(
        &self,
        path: &[&str],
        content_type: &'static str,
        document: Vec<u8>,
    ) -> Result<Answer<T>, ClientError> {
        let request = self.request(Method::POST, path, &[])?;
        self.answer(request.header(CONTENT_TYPE, content_type).body(document))
            .await
    }

    /// The answer may be empty: then it is `null`.
    async fn delete(&self, path: &[&str]) -> Result<Value, ClientError> {
        self.delete_with(path, &[]).await
    }

    async fn delete_with(&self, path: &[&str], query: &Query<'_>) -> Result<Value, ClientError> {
        let request = self.request(Method::DELETE, path, query)?;
        let response = self.send(request).await?;
        let body = self.body(self.check(response).await?).await?;
        if body.is_empty() {
            Ok(Value::Null)
        } else {
            self.decode(&body)
        }
    }

    /// All pages of a list, as one.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &Query<'_>,
    ) -> Result<Answer<Vec<T>>, ClientError> {
        let mut items = Vec::new();
        let mut documents = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page: Answer<Page<T>> = self.page(path, query, token.as_deref()).await?;
            let Answer {
                value: page,
                mut document,
            } = page;
            items.extend(page.items);
            if let Some(Value::Array(page)) = document.get_mut("items") {
                documents.append(page);
            }
            let next = page.next_token;
            if next.is_none() {
                let document = serde_json::json!({ "items": documents });
                return Ok(Answer {
                    value: items,
                    document,
                });
            }
            if next == token {
                break;
            }
            token = next;
        }
        Err(self.foreign("its list has no end"))
    }

    async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &Query<'_>,
        token: Option<&str>,
    ) -> Result<Answer<T>, ClientError> {
        let limit = PAGE_SIZE.to_string();
        let mut query = query.to_vec();
        query.extend([("limit", Some(limit.as_str())), ("nextToken", token)]);
        self.get(path, &query).await
    }

    /// Opens a stream; its head has come when this returns.
    async fn open(
        &self,
        request: RequestBuilder,
        accept: &'static str,
    ) -> Result<ByteStream, ClientError> {
        let response = self.open_head(request, accept).await?;
        Ok(self.stream_of(response))
    }

    /// The head of an answer whose body may take as long as it likes.
    async fn open_head(
        &self,
        request: RequestBuilder,
        accept: &'static str,
    ) -> Result<Response, ClientError> {
        let request = request.header(ACCEPT, accept);
        // Only the head has a limit in time: a stream may go on for days.
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await;
        let sent = sent.map_err(|_| self.too_slow(ANSWER_TIMEOUT))?;
        let response = sent.map_err(|error| self.lost(&error))?;
        self.check(response).await
    }

    /// The body of an answer, as it comes.
    fn stream_of(&self, response: Response) -> ByteStream {
        let client = self.clone();
        let bytes = response.bytes_stream();
        bytes.map_err(move |error| client.lost(&error)).boxed()
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Answer<T>, ClientError> {
        let response = self.send(request).await?;
        let body = self.body(self.check(response).await?).await?;
        Ok(Answer {
            value: self.decode(&body)?,
            document: self.decode(&body)?,
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.timeout(ANSWER_TIMEOUT).send().await;
        response.map_err(|error| self.lost(&error))
    }

    /// The response, if it is a success; what it says is wrong otherwise.
    async fn check(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        tracing::debug!("{status}");
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response).await?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(ClientError::Status {
                endpoint: self.endpoint().to_owned(),
                status: status.as_u16(),
            }),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.foreign("its answer is larger than 64 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body)
            .map_err(|error| self.foreign(&format!("its answer is not understood: {error}")))
    }

    fn foreign(&self, what: &str) -> ClientError {
        ClientError::Foreign {
            endpoint: self.endpoint().to_owned(),
            what: what.to_owned(),
        }
    }

    fn too_slow(&self, limit: Duration) -> ClientError {
        ClientError::TooSlow {
            endpoint: self.endpoint().to_owned(),
            seconds: limit.as_secs(),
        }
    }

    fn lost(&self, error: &reqwest::Error) -> ClientError {
        if error.is_connect() {
            return ClientError::no_answer(&self.endpoint, error);
        }
        if error.is_timeout() {
            return self.too_slow(ANSWER_TIMEOUT);
        }
        ClientError::lost(self.endpoint(), error)
    }
}

/// The bytes of a stream as they come.
type ByteStream = futures_util::stream::BoxStream<'static, Result<bytes::Bytes, ClientError>>;

fn parse_endpoint(text: &str) -> Result<Url, ClientError> {
    let wrong = |rule: &'static str| ClientError::Endpoint {
        endpoint: text.to_owned(),
        rule,
    };
    let url: Url = text.parse().map_err(|_| wrong("it is no URL"))?;
    match url.scheme() {
        "http" => {}
        "https" => {
            return Err(wrong(
                "HTTPS is not spoken here; use a tunnel, or a proxy on this machine",
            ));
        }
        _ => return Err(wrong("it must begin with http://")),
    }
    if !url.has_host() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it must have a host, and neither ? nor #"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "a secret in it would be shown; put the token into NEARGATE_TOKEN",
        ));
    }
    Ok(url)
}

/// Whether `url` leads to this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
