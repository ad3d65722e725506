//! Starting, serving, stopping.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use difftest_core::ids::ImageSha;
use difftest_core::protocol::Secret;
use difftest_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::trace::TraceLayer;

use crate::api::{ApiState, GitTokens, ImageKey, ImageSigner};
use crate::args::{AppArgs, AppCommand, StorageArgs};
use crate::error::AppError;
use crate::github::{AppKey, GitHub};
use crate::outbox::Poster;
use crate::signature::WebhookSecrets;
use crate::tenancy::Tenancy;
use crate::{api, webhook, workers};

/// How long requests and workers may go on after the signal to stop. What they do not finish is
/// leased work, and done again.
const GRACE: Duration = Duration::from_secs(5);
/// How long a job stays a runner's without a renewal; runners renew four times in it.
const LEASE: Duration = Duration::from_secs(30);

/// Runs `difftest app` until `stop` is cancelled.
///
/// The first line on the standard output is `{"ready":true,"address":"127.0.0.1:8080",…}`, once
/// requests are answered.
pub async fn serve(args: AppArgs, stop: CancellationToken) -> Result<(), AppError> {
    install_crypto();
    match args.command {
        Some(AppCommand::Token { name, storage }) => token(&name, &storage).await,
        None => listen(args, stop).await,
    }
}

async fn listen(args: AppArgs, stop: CancellationToken) -> Result<(), AppError> {
    install_logging();
    let app_id = args.app_id.ok_or(AppError::Missing("--app-id"))?;
    let key_file = args.private_key_file.ok_or(AppError::Missing("--private-key-file"))?;
    let secret_file = args.webhook_secret_file.ok_or(AppError::Missing("--webhook-secret-file"))?;
    let public_url = args.public_url.ok_or(AppError::Missing("--public-url"))?;

    let key = AppKey::from_pem(app_id, read("the private key", &key_file)?.as_bytes())?;
    let secrets = WebhookSecrets::from_lines(&read("the webhook's secret", &secret_file)?)
        .ok_or(AppError::NoSecret { path: secret_file })?;
    let github = Arc::new(GitHub::new(&args.github_url, key)?);
    let store = Store::open(&args.storage.database_url, &args.storage.data_dir).await?;
    if let Some(path) = &args.runner_token_file {
        admit_runners(&store, path).await?;
    }
    let data_dir = &args.storage.data_dir;
    let tenancy = Tenancy::take(data_dir)
        .map_err(|source| AppError::DataDir { path: data_dir.clone(), source })?;
    if tenancy.alone {
        store.take_over().await?;
    }
    let signer = Arc::new(ImageSigner::new(ImageKey::load_or_create(data_dir)?, public_url));
    let api = ApiState {
        store: store.clone(),
        git_tokens: Arc::clone(&github) as Arc<dyn GitTokens>,
        signer: Arc::clone(&signer),
        lease_ttl: LEASE,
        stop: stop.clone(),
    };

    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|source| AppError::Listen { address: args.listen, source })?;
    let address = listener.local_addr().map_err(AppError::Serve)?;
    let image_url = Arc::new(move |sha: &ImageSha| signer.url(sha, seconds_now()));
    let poster = Poster { store: store.clone(), github: Arc::clone(&github), image_url };
    let mut running = workers::start(&store, &github, &poster, LEASE, &stop);
    say_ready(&address);
    tokio::spawn(check_settings(github));

    let stopping = stop.clone();
    let server = axum::serve(listener, router(store.clone(), secrets, api))
        .with_graceful_shutdown(async move { stopping.cancelled().await })
        .into_future();
    let served = tokio::select! {
        served = server => served.map_err(AppError::Serve),
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    };
    stop.cancel();
    let ended = tokio::time::timeout(GRACE, async { while running.join_next().await.is_some() {} });
    if ended.await.is_err() {
        tracing::warn!("a worker was cut off; its work is done again at the next start");
        running.abort_all();
    }
    store.close().await;
    drop(tenancy);
    tracing::info!("stopped");
    served
}

/// Every address the App answers at.
fn router(store: Store, secrets: WebhookSecrets, api: ApiState) -> Router {
    webhook::routes(store, secrets)
        .merge(api::routes(api))
        .route("/healthz", get(|| async { "ok" }))
        // Not the whole address: the query of an image's link is the right to look at it.
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request| {
            tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
        }))
}

/// Says early and in plain words what would otherwise fail at the first pull request.
async fn check_settings(github: Arc<GitHub>) {
    match github.settings().await {
        Ok(settings) => {
            for lack in settings.lacking() {
                tracing::error!("{lack}: grant it in the App's settings");
            }
        }
        Err(error) if error.is_passing() => {
            tracing::warn!(%error, "the App's settings could not be read");
        }
        Err(error) => {
            tracing::error!(%error, "GitHub does not know this App ID with this private key");
        }
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

async fn token(name: &str, storage: &StorageArgs) -> Result<(), AppError> {
    let store = Store::open(&storage.database_url, &storage.data_dir).await?;
    let token = store.add_runner_token(name).await?;
    store.close().await;
    // Shown this once, to the person who asked; only its hash is kept.
    print_line(token.expose());
    Ok(())
}

/// The file's runners, `NAME TOKEN` a line: for those who deploy App and runners together.
async fn admit_runners(store: &Store, path: &Path) -> Result<(), AppError> {
    let text = read("the runners' tokens", path)?;
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [name, token] => store.set_runner_token(name, &Secret::new(*token)).await?,
            _ => return Err(AppError::RunnerToken { path: path.into(), line: index + 1 }),
        }
    }
    Ok(())
}

fn read(what: &'static str, path: &Path) -> Result<String, AppError> {
    std::fs::read_to_string(path).map_err(|source| AppError::Unreadable {
        what,
        path: path.into(),
        source,
    })
}

fn say_ready(address: &std::net::SocketAddr) {
    tracing::info!(%address, "ready");
    let line = serde_json::json!({
        "ready": true,
        "address": address.to_string(),
        "url": format!("http://{address}"),
        "pid": std::process::id(),
    });
    print_line(&line.to_string());
}

fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason to stop serving.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Makes ring the process's TLS provider. Harmless when repeated; needed before any HTTP client.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Logs as JSON lines on the standard error, `info` and above unless `RUST_LOG` says otherwise.
/// Left as it is where the process logs already.
fn install_logging() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// Ends at the first SIGINT or SIGTERM.
pub async fn stop_signal() {
    let interrupt = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
