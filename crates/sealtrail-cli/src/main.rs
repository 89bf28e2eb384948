//! The `sealtrail` command: verbs, wording, exit codes; no logic.

mod admin;
mod agent;
mod bench;
mod dev;
mod export;
mod failure;
mod listening;
mod output;
mod policy;
mod progress;
mod server;
mod show;
mod signals;
mod source;
mod stack;
mod verify;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, USAGE};

/// How often free memory is given back to the system.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(10);

/// Attested, tamper-evident, immutable audit log for confidential computing
#[derive(Parser, Debug)]
#[command(name = "sealtrail", version, propagate_version = true, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Dev(dev::DevArgs),
    Init(admin::InitArgs),
    Serve(admin::ServeArgs),
    Agent(agent::AgentArgs),
    Verify(verify::VerifyArgs),
    Show(show::ShowArgs),
    Export(export::ExportArgs),
    Stream(admin::StreamArgs),
    Attest(agent::AttestArgs),
    Bench(bench::BenchArgs),
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
    sealtrail_malloc::keep_little(match cli.command {
        // What is long here are requests of an agent that has much to send.
        Command::Serve(_) => 128 << 10,
        // Every request and batch of a usual length would be, at a tenth of the throughput: a thousand events of a cloud's
        // own audit log are 1.5 MiB.
        _ => 4 << 20,
    });
    if matches!(cli.command, Command::Serve(_) | Command::Agent(_) | Command::Dev(_)) {
        give_back_memory();
    }
    run(&cli).unwrap_or_else(|failure| failure.report())
}

/// What runs for months gives back what a burst left behind.
fn give_back_memory() {
    let give_back = || {
        loop {
            std::thread::sleep(GIVE_BACK_EVERY);
            sealtrail_malloc::give_back();
        }
    };
    // Without the thread there is merely more memory that is free.
    let _ = std::thread::Builder::new().name("memory".to_owned()).spawn(give_back);
}

fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    match &cli.command {
        Command::Dev(args) => dev::run(args),
        Command::Init(args) => admin::init(args),
        Command::Serve(args) => admin::serve(args),
        Command::Agent(args) => agent::run(args),
        Command::Stream(args) => admin::stream(args),
        Command::Attest(args) => agent::attest(args),
        Command::Bench(args) => bench::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Show(args) => show::run(args),
        Command::Export(args) => export::run(args),
    }
}
