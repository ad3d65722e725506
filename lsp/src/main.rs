//! `difftest-lsp`: the language server alone, for editors on machines without the wheel.

use std::process::ExitCode;

use clap::Parser;

/// Diagnostics for difftest's tests over the Language Server Protocol, on standard input and output.
#[derive(Parser)]
#[command(name = "difftest-lsp", version)]
struct Args {
    /// Speak on standard input and output. There is no other way; editors pass it all the same.
    #[arg(long)]
    stdio: bool,
}

fn main() -> ExitCode {
    Args::parse();
    match difftest_lsp::run() {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            eprintln!("difftest-lsp: the asynchronous runtime did not start: {error}");
            ExitCode::from(2)
        }
    }
}
