//! HTTP as this room speaks it: addresses judged before every request, redirects followed by hand,
//! bodies of limited size and known kind, keys for one origin only, repetitions by [`Repeat`].

use std::time::{Duration, SystemTime};

use backon::BackoffBuilder as _;
use bytes::Bytes;
use difftest_core::protocol::{MAX_IMAGE_BYTES, Secret};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use url::Url;

use super::address::{AddressError, Origin, shown};
use super::complaint::{complaint, one_line};
use super::fault::{CallError, ImageError};
use super::resolver::Guard;
use super::retry::{Pace, Repeat, Tally, retry_after};

const MAX_REDIRECTS: usize = 5;
/// An image in base64, and what is around it.
const MAX_JSON_BYTES: usize = MAX_IMAGE_BYTES / 3 * 4 + (1 << 20);
/// What of a refusal is read.
const MAX_COMPLAINT_BYTES: usize = 64 << 10;

/// What an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Json,
    Image,
    /// The body does not matter, or whoever asked looks at it.
    Anything,
}

#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    pub url: Url,
    pub body: Option<Value>,
    pub headers: HeaderMap,
    pub wanted: Wanted,
    pub repeat: Repeat,
    pub patience: Patience,
}

/// How long one attempt may take, its body included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// [`Pace::read`]: a question that is answered from memory.
    Short,
    /// [`Pace::greeting`]: the same, while a back end is opened.
    Greeting,
    /// The image's own limit is the only one.
    Image,
}

impl Ask {
    /// A small question that changes nothing.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            body: None,
            headers: HeaderMap::new(),
            wanted: Wanted::Json,
            repeat: Repeat::Free,
            patience: Patience::Short,
        }
    }

    pub fn image(url: Url) -> Self {
        Self { wanted: Wanted::Image, patience: Patience::Image, ..Self::get(url) }
    }

    pub fn post(url: Url, body: Value, repeat: Repeat) -> Self {
        let patience = Patience::Image;
        Self { method: Method::POST, body: Some(body), repeat, patience, ..Self::get(url) }
    }

    pub fn greeting(url: Url) -> Self {
        Self { patience: Patience::Greeting, ..Self::get(url) }
    }

    pub fn wanting(self, wanted: Wanted) -> Self {
        Self { wanted, ..self }
    }
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Result<Value, CallError> {
        serde_json::from_slice(&self.body).map_err(|e| CallError::Malformed {
            url: shown(&self.url),
            cause: format!("{e} in `{}`", one_line(&head(&self.body, 80))),
        })
    }

    pub fn content_type(&self) -> String {
        content_type(&self.headers)
    }
}

/// What only the back end's own origin gets to see.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Marked sensitive, so that no `Debug` shows them.
    pub headers: HeaderMap,
    /// Struck out of whatever a server says.
    pub secrets: Vec<Secret>,
}

#[derive(Debug, Clone)]
pub struct Transport {
    client: Client,
    guard: Guard,
    credentials: Credentials,
    pub pace: Pace,
    max_retries: usize,
}

impl Transport {
    pub fn new(
        base: &Url,
        allow_private: bool,
        credentials: Credentials,
        pace: Pace,
        max_retries: usize,
    ) -> Result<Self, CallError> {
        // Another part of the process may have installed it; the first wins.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let guard = Guard::new(Origin::of(base)?, allow_private);
        let client = Client::builder()
            .user_agent(concat!("difftest/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(guard.names.clone())
            // A proxy would resolve the names itself, past the guard.
            .no_proxy()
            // Servers close what is idle after 5 s (uvicorn) and more. A request that meets such an end
            // midway could not be told from one whose answer was lost, and must not be repeated.
            .pool_idle_timeout(Duration::from_secs(2))
            // The upgrade to a WebSocket is of HTTP/1.1; the calls here are few and long.
            .http1_only()
            .build()
            .map_err(|e| CallError::Connect { url: shown(base), cause: innermost(&e) })?;
        Ok(Self { client, guard, credentials, pace, max_retries })
    }

    /// Whether this URL belongs to the back end itself, and may see its key.
    pub fn is_own(&self, url: &Url) -> bool {
        self.guard.is_own(url)
    }

    /// Asks, and asks again where that costs nothing but time.
    pub async fn ask(&self, ask: &Ask, tally: &Tally) -> Result<Answer, ImageError> {
        let mut pauses = self.pace.schedule(self.max_retries).build();
        let error = loop {
            let error = match self.once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let scheduled = pauses.next().filter(|_| error.is_worth_repeating(ask.repeat));
            let Some(scheduled) = scheduled else { break error };
            let pause = self.pace.pause(scheduled, error.retry_after(), rand::random());
            tracing::debug!(url = %shown(&ask.url), %error, ?pause, "repeating a call");
            tally.repeated();
            self.pace.sleep(pause).await;
        };
        Err(match error {
            CallError::Lost { .. } if ask.repeat == Repeat::MayCharge => {
                ImageError::PerhapsCharged(error)
            }
            CallError::Status { status: 500..=599, .. }
                if ask.repeat == Repeat::MayCharge
                    && !error.is_worth_repeating(Repeat::MayCharge) =>
            {
                ImageError::PerhapsCharged(error)
            }
            other => ImageError::Call(other),
        })
    }

    /// One attempt, with its redirects.
    pub async fn once(&self, ask: &Ask) -> Result<Answer, CallError> {
        let response = self.send(ask).await?;
        let url = response.url().clone();
        let status = response.status();
        if !status.is_success() {
            let retry_after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|v| v.to_str().ok())
                .and_then(|v| retry_after(v, SystemTime::now()));
            let (body, _) = self.read(response, MAX_COMPLAINT_BYTES, &url).await?;
            let message = self.struck_out(complaint(&body));
            return Err(CallError::Status {
                url: shown(&url),
                status: status.as_u16(),
                message,
                retry_after,
            });
        }
        let headers = response.headers().clone();
        let limit = if ask.wanted == Wanted::Image { MAX_IMAGE_BYTES } else { MAX_JSON_BYTES };
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(CallError::TooLarge { url: shown(&url), limit });
        }
        let (body, is_whole) = self.read(response, limit, &url).await?;
        if !is_whole {
            return Err(CallError::TooLarge { url: shown(&url), limit });
        }
        let answer = Answer { url, headers, body };
        self.check_kind(&answer, ask.wanted)?;
        Ok(answer)
    }

    /// Sends, and follows redirects of questions that change nothing.
    pub async fn send(&self, ask: &Ask) -> Result<Response, CallError> {
        let mut url = ask.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.hop(ask, &url).await?;
            let status = response.status();
            let Some(location) =
                response.headers().get(LOCATION).filter(|_| status.is_redirection())
            else {
                return Ok(response);
            };
            let to = location.to_str().ok().and_then(|l| url.join(l).ok());
            let refused = |why: &str| CallError::Redirect {
                url: shown(&url),
                to: to.as_ref().map_or("something that is no address".into(), shown),
                why: why.into(),
            };
            let Some(next) = &to else { return Err(refused("it is not a URL")) };
            may_follow(&ask.method, &url, next).map_err(refused)?;
            self.guard.admit(next).await.map_err(|e| refused(&e.to_string()))?;
            url = next.clone();
        }
        Err(CallError::Redirect {
            url: shown(&ask.url),
            to: shown(&url),
            why: format!("there were {MAX_REDIRECTS} redirects before it"),
        })
    }

    async fn hop(&self, ask: &Ask, url: &Url) -> Result<Response, CallError> {
        self.guard.admit(url).await.map_err(|error| match error {
            // A resolver that fails is a connection that fails.
            AddressError::Unknown(url) => {
                CallError::Connect { url, cause: "its name is not known here".into() }
            }
            other => other.into(),
        })?;
        let mut request = self.client.request(ask.method.clone(), url.clone());
        request = request.headers(ask.headers.clone());
        if self.is_own(url) {
            request = request.headers(self.credentials.headers.clone());
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        request = match ask.patience {
            Patience::Short => request.timeout(self.pace.read),
            Patience::Greeting => request.timeout(self.pace.greeting),
            Patience::Image => request,
        };
        request.send().await.map_err(|error| {
            let cause = innermost(&error);
            if error.is_connect() {
                self.guard.names.forget(url.host_str().unwrap_or_default());
                CallError::Connect { url: shown(url), cause }
            } else {
                CallError::Lost { url: shown(url), cause }
            }
        })
    }

    /// The body up to `limit`, and whether that was all of it.
    async fn read(
        &self,
        mut response: Response,
        limit: usize,
        url: &Url,
    ) -> Result<(Vec<u8>, bool), CallError> {
        let mut body = Vec::new();
        loop {
            let chunk: Option<Bytes> = response
                .chunk()
                .await
                .map_err(|e| CallError::Lost { url: shown(url), cause: innermost(&e) })?;
            let Some(chunk) = chunk else { return Ok((body, true)) };
            if body.len() + chunk.len() > limit {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return Ok((body, false));
            }
            body.extend_from_slice(&chunk);
        }
    }

    pub fn check_kind(&self, answer: &Answer, wanted: Wanted) -> Result<(), CallError> {
        let found = answer.content_type();
        let (is_right, wanted) = match wanted {
            Wanted::Anything => (true, ""),
            Wanted::Json => (found == "application/json" || found.ends_with("+json"), "JSON"),
            // Storage that does not know better calls everything a stream of octets.
            Wanted::Image => (is_image(&found) || is_unspecific(&found), "an image"),
        };
        if is_right {
            return Ok(());
        }
        let is_text = found.starts_with("text/") || found.ends_with("json");
        let excerpt =
            if is_text { self.struck_out(complaint(&answer.body)) } else { String::new() };
        Err(CallError::ContentType {
            url: shown(&answer.url),
            found: if found.is_empty() { "no content type".into() } else { found },
            wanted,
            excerpt,
        })
    }

    /// A server may repeat the key it was shown, for instance to say that it is wrong.
    pub fn struck_out(&self, mut text: String) -> String {
        for secret in &self.credentials.secrets {
            if !secret.expose().is_empty() {
                text = text.replace(secret.expose(), "***");
            }
        }
        text
    }
}

/// What no redirect may do, wherever it leads.
fn may_follow(method: &Method, from: &Url, to: &Url) -> Result<(), &'static str> {
    if *method != Method::GET {
        return Err("a request that does something is not sent on; name that address");
    }
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err("it leaves the encryption");
    }
    Ok(())
}

pub fn is_image(content_type: &str) -> bool {
    matches!(content_type, "image/png" | "image/jpeg" | "image/jpg" | "image/webp")
}

fn is_unspecific(content_type: &str) -> bool {
    matches!(content_type, "" | "application/octet-stream" | "binary/octet-stream")
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn head(bytes: &[u8], length: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(length)]).into_owned()
}

/// The innermost cause says what happened; the outer ones repeat the address.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_keeps_the_encryption_and_repeats_no_deed() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (open, closed) = (url("http://a.example/"), url("https://a.example/"));
        assert_eq!(may_follow(&Method::GET, &open, &closed), Ok(()));
        assert_eq!(may_follow(&Method::GET, &open, &open), Ok(()));
        assert_eq!(may_follow(&Method::GET, &closed, &open), Err("it leaves the encryption"));
        assert!(may_follow(&Method::POST, &closed, &closed).is_err());
    }

    #[test]
    fn no_debug_shows_a_key() {
        let mut value = reqwest::header::HeaderValue::from_static("Bearer s3cret");
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(reqwest::header::AUTHORIZATION, value)]);
        let credentials = Credentials { headers, secrets: vec![Secret::new("s3cret")] };
        let url = Url::parse("http://127.0.0.1:1/").unwrap();
        let transport = Transport::new(&url, false, credentials, Pace::default(), 0).unwrap();
        assert!(!format!("{transport:?}").contains("s3cret"));
        assert_eq!(transport.struck_out("wrong key s3cret!".into()), "wrong key ***!");
    }
}
