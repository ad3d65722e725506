//! A server of a back end's protocol on 127.0.0.1, its faults, and what it was asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use difftest_core::recipe::Recipe;
use difftest_runner::remote::{Item, OpenError, Pace, Remote, Request, Sleeper};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// What the server does once instead of its duty.
#[derive(Debug, Clone)]
pub enum Fault {
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Takes the request and never answers.
    Hang,
    /// Does its duty, and the answer is lost on the way.
    LoseAnswer,
    /// Begins an image and never goes on.
    SlowImage,
    /// Says an image and sends without end.
    Endless,
    /// Does its duty under another content type.
    ContentType(&'static str),
}

pub fn status(status: u16) -> Fault {
    Fault::Answer(status, vec![], format!("{{\"detail\":\"fault {status}\"}}").into_bytes())
}

pub fn page(html: &str) -> Fault {
    Fault::Answer(200, vec![("content-type", "text/html".into())], html.as_bytes().to_vec())
}

pub fn redirect(to: &str) -> Fault {
    Fault::Answer(302, vec![("location", to.into())], vec![])
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Value,
}

#[derive(Default)]
struct Inner {
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<BTreeMap<String, Vec<Fault>>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

/// What any server was asked, and what it shall do wrong.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Inner>);

impl Ledger {
    /// The next request of this method and path beginning, as in `POST /prompt`, fails so.
    pub fn fault(&self, call: &str, fault: Fault) {
        self.0.faults.lock().unwrap().entry(call.into()).or_default().push(fault);
    }

    pub fn faults(&self, call: &str, fault: &Fault, times: usize) {
        (0..times).for_each(|_| self.fault(call, fault.clone()));
    }

    pub fn seen(&self, call: &str) -> Vec<Seen> {
        let (method, path) = call.split_once(' ').unwrap();
        let all = self.0.seen.lock().unwrap();
        all.iter().filter(|s| s.method == method && s.path.starts_with(path)).cloned().collect()
    }

    pub fn count(&self, call: &str) -> usize {
        self.seen(call).len()
    }

    /// The most requests that were under way at a time, of those counted by [`Self::counted`].
    pub fn most_at_once(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// Counts what is under way while the work lasts.
    pub async fn counted<T>(&self, work: impl Future<Output = T>) -> T {
        let now = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
        let done = work.await;
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        done
    }

    fn next_fault(&self, method: &str, path: &str) -> Option<Fault> {
        let mut faults = self.0.faults.lock().unwrap();
        let (_, waiting) = faults.iter_mut().find(|(call, waiting)| {
            let (m, p) = call.split_once(' ').unwrap();
            m == method && path.starts_with(p) && !waiting.is_empty()
        })?;
        Some(waiting.remove(0))
    }
}

/// Serves until the test's runtime ends; answers the base address.
pub async fn serve(routes: Router, ledger: &Ledger) -> String {
    let routes = routes.layer(from_fn_with_state(ledger.clone(), keep));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

async fn keep(State(ledger): State<Ledger>, request: HttpRequest, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    ledger.0.seen.lock().unwrap().push(Seen {
        method: method.clone(),
        path: path.clone(),
        query: parts.uri.query().unwrap_or_default().into(),
        headers: parts.headers.clone(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    });
    let request = HttpRequest::from_parts(parts, Body::from(bytes));
    match ledger.next_fault(&method, &path) {
        None => next.run(request).await,
        Some(Fault::Answer(status, headers, body)) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            response.headers_mut().remove("content-type");
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::LoseAnswer) => {
            next.run(request).await;
            // The body breaks off before the length that was said.
            let broken = futures::stream::iter([
                Ok(Bytes::from_static(b"{")),
                Err(std::io::Error::other("broken off")),
            ]);
            Response::builder()
                .header("content-type", "application/json")
                .body(Body::from_stream(broken))
                .unwrap()
        }
        Some(Fault::SlowImage) => {
            let begun =
                futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"\x89PNG"))])
                    .chain(futures::stream::pending());
            Response::builder()
                .header("content-type", "image/png")
                .body(Body::from_stream(begun))
                .unwrap()
        }
        Some(Fault::Endless) => {
            let megabyte = Bytes::from(vec![0_u8; 1 << 20]);
            let endless = futures::stream::repeat(megabyte).map(Ok::<_, std::io::Error>);
            Response::builder()
                .header("content-type", "image/png")
                .body(Body::from_stream(endless))
                .unwrap()
        }
        Some(Fault::ContentType(kind)) => {
            let mut response = next.run(request).await;
            response.headers_mut().insert("content-type", kind.parse().unwrap());
            response
        }
    }
}

/// A PNG that differs by seed, of noise so that it has many bytes.
pub fn png(width: u32, height: u32, seed: i64) -> Vec<u8> {
    let image = image::RgbImage::from_fn(width, height, |x, y| {
        let n = i64::from(x * 7919 + y * 104_729) + seed * 31;
        image::Rgb([(n % 251) as u8, (n % 241) as u8, (n % 239) as u8])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

pub fn pixels(png: &[u8]) -> image::RgbImage {
    image::load_from_memory(png).unwrap().into_rgb8()
}

pub fn recipe(seed: i64) -> Recipe {
    serde_json::from_value(json!({"prompt": format!("a cat, {seed}"), "seed": seed})).unwrap()
}

/// Waits that pass at once and are written down.
#[derive(Clone, Default)]
pub struct Waits(Arc<Mutex<Vec<Duration>>>);

impl Waits {
    pub fn all(&self) -> Vec<Duration> {
        self.0.lock().unwrap().clone()
    }

    pub fn pace(&self) -> Pace {
        let waits = self.0.clone();
        let sleeper: Sleeper = Arc::new(move |pause| {
            waits.lock().unwrap().push(pause);
            Box::pin(async { tokio::task::yield_now().await })
        });
        let short = Duration::from_millis(300);
        Pace { sleeper, quiet: short, read: short, ..Pace::default() }
    }
}

/// One client of one stand-in.
pub struct Client {
    pub remote: Arc<Remote>,
    pub waits: Waits,
}

/// Opens a back end. `options` are those of `difftest.generators.Options`; the rest is filled in.
pub async fn open(options: Value) -> Result<Client, OpenError> {
    let waits = Waits::default();
    let mut all = json!({"model": "shapes", "device": "cpu", "root": ".", "options": {}, "recipe": {},
        "jobs": 1, "image_timeout_s": 20.0, "vram_budget_bytes": null});
    let given = options.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(given);
    let request: Request = serde_json::from_value(all).unwrap();
    let remote = Remote::open(&request, &|_| None, waits.pace()).await?;
    Ok(Client { remote: Arc::new(remote), waits })
}

impl Client {
    pub async fn images(&self, recipes: Vec<Recipe>) -> Vec<Item> {
        self.remote.images(recipes, &CancellationToken::new()).collect().await
    }

    pub async fn image(&self, seed: i64) -> Item {
        self.images(vec![recipe(seed)]).await.remove(0)
    }

    /// What went wrong with one image, as a person reads it.
    pub async fn failure(&self, seed: i64) -> String {
        self.image(seed).await.result.unwrap_err().to_string()
    }
}

/// Until a condition holds; a test that waits for ever has failed.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true in five seconds");
}
