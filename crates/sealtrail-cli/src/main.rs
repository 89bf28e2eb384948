//! The `sealtrail` command: verbs, wording, exit codes; no logic.

mod export;
mod failure;
mod output;
mod progress;
mod show;
mod source;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, USAGE};

/// Attested, tamper-evident, immutable audit log for confidential computing
#[derive(Parser, Debug)]
#[command(name = "sealtrail", version, propagate_version = true, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Verify(verify::VerifyArgs),
    Show(show::ShowArgs),
    Export(export::ExportArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nothing is left to say where even this cannot be printed.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    run(&cli).unwrap_or_else(|failure| failure.report())
}

fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    match &cli.command {
        Command::Verify(args) => verify::run(args),
        Command::Show(args) => show::run(args),
        Command::Export(args) => export::run(args),
    }
}
