//! `difftest-app`: the App as a binary of its own. `difftest app` of the Python package is the same.

use clap::Parser;
use difftest_app::AppArgs;
use tokio_util::sync::CancellationToken;

/// The difftest GitHub App.
#[derive(Parser)]
#[command(name = "difftest-app", version)]
struct Cli {
    #[command(flatten)]
    app: AppArgs,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        difftest_app::stop_signal().await;
        stopped.cancel();
    });
    match difftest_app::serve(cli.app, stop).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("difftest-app: {error}");
            std::process::ExitCode::from(2)
        }
    }
}
