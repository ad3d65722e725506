//! The command line of `difftest app`. Every option can also be an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use url::Url;

#[derive(Debug, Clone, Args)]
#[command(subcommand_negates_reqs = true)]
pub struct AppArgs {
    #[command(subcommand)]
    pub command: Option<AppCommand>,
    /// Where to listen. Port 0 takes a free one; the first line of the output names it.
    #[arg(long, env = "DIFFTEST_APP_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub storage: StorageArgs,
    /// The address under which GitHub and browsers reach the App; image links start with it.
    #[arg(long, env = "DIFFTEST_APP_PUBLIC_URL", required = true)]
    pub public_url: Option<Url>,
    /// GitHub's API; of an Enterprise Server it is https://HOST/api/v3.
    #[arg(long, env = "DIFFTEST_APP_GITHUB_URL", default_value = "https://api.github.com")]
    pub github_url: Url,
    /// The App ID that GitHub shows in the App's settings.
    #[arg(long, env = "DIFFTEST_APP_ID", required = true)]
    pub app_id: Option<u64>,
    /// The App's private key, the PEM file that GitHub gave out.
    #[arg(long, env = "DIFFTEST_APP_PRIVATE_KEY_FILE", required = true)]
    pub private_key_file: Option<PathBuf>,
    /// A file with the webhook's secret; two lines while a new secret replaces an old one.
    #[arg(long, env = "DIFFTEST_APP_WEBHOOK_SECRET_FILE", required = true)]
    pub webhook_secret_file: Option<PathBuf>,
    /// A file of runners to admit, `NAME TOKEN` a line. Else use `difftest app token NAME`.
    #[arg(long, env = "DIFFTEST_APP_RUNNER_TOKEN_FILE")]
    pub runner_token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct StorageArgs {
    /// sqlite://PATH or postgres://USER@HOST/NAME.
    #[arg(long, env = "DIFFTEST_APP_DATABASE_URL", default_value = "sqlite://difftest-app/app.db")]
    pub database_url: String,
    /// Where images and the key of image links are kept.
    #[arg(long, env = "DIFFTEST_APP_DATA_DIR", default_value = "difftest-app")]
    pub data_dir: PathBuf,
}

#[derive(Debug, Clone, Subcommand)]
pub enum AppCommand {
    /// Makes a token for a runner and shows it once.
    Token {
        /// The runner's name, for people. Each has one token.
        name: String,
        #[command(flatten)]
        storage: StorageArgs,
    },
}
