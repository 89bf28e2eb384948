//! `sealtrail dev`: everything in one process, to try it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sealtrail_agent::{Acknowledge, OtlpConfig};
use serde_json::json;

use crate::admin::runtime;
use crate::agent::{Kind, say};
use crate::failure::Failure;
use crate::output::print;
use crate::signals::stop_asked;
use crate::stack::{Stack, StackConfig};

/// How often notices are shown.
const TICK: Duration = Duration::from_millis(200);

/// Ledger, agent and software attester in one process, to try it
///
/// For development: the attester is software and its key lies in the data directory, and every verdict says so.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "sealtrail-data")]
    data: PathBuf,

    /// Address for OTLP over gRPC; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4317")]
    otlp_grpc: SocketAddr,

    /// Address for OTLP over HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4318")]
    otlp_http: SocketAddr,

    /// Let --otlp-grpc and --otlp-http be addresses that other machines reach; nobody is asked who they are
    #[arg(long)]
    otlp_allow_remote: bool,

    /// Address of the ledger
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7600")]
    listen: SocketAddr,

    /// What makes the evidence
    #[arg(long, value_enum, default_value = "software")]
    attester: Kind,

    /// When a request is answered with success
    #[arg(long, value_enum, default_value = "sealed")]
    acknowledge: Ack,

    /// The stream that the agent writes
    #[arg(long, default_value = "app")]
    stream: String,

    /// Print the addresses as one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ack {
    /// In a signed batch, synced to disk
    Sealed,
    /// Under a signed checkpoint of the ledger
    Committed,
}

pub(crate) fn run(args: &DevArgs) -> Result<ExitCode, Failure> {
    let stack = Stack::start(&StackConfig {
        data: args.data.clone(),
        listen: args.listen,
        otlp: OtlpConfig { grpc: args.otlp_grpc, http: args.otlp_http, allow_remote: args.otlp_allow_remote },
        attester: args.attester,
        acknowledge: match args.acknowledge {
            Ack::Sealed => Acknowledge::Sealed,
            Ack::Committed => Acknowledge::Committed,
        },
        stream: args.stream.clone(),
    })?;
    if args.json {
        let line = json!({
            "otlp_grpc": format!("http://{}", stack.agent.grpc_address()),
            "otlp_http": format!("http://{}", stack.agent.http_address()),
            "ledger": format!("http://{}", stack.ledger_address),
            "data": args.data, "policy": stack.policy,
        });
        print(&format!("{line}\n"))?;
    } else {
        print(&welcome(&stack))?;
    }
    runtime()?.block_on(async {
        let stop = stop_asked();
        tokio::pin!(stop);
        loop {
            say(&stack.agent);
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(TICK) => if stack.agent.is_finished() { return },
            }
        }
    });
    stack.shutdown()?;
    Ok(ExitCode::SUCCESS)
}

fn welcome(stack: &Stack) -> String {
    let (http, grpc) = (stack.agent.http_address(), stack.agent.grpc_address());
    let (dir, policy) = (stack.ledger_dir.display(), stack.policy.display());
    format!(
        "sealtrail dev: ledger, agent and software attester in one process. For development only.\n\n\
         OTLP     http://{http} (HTTP)   http://{grpc} (gRPC)\n\
         ledger   http://{}\n\
         policy   {policy}\n\n\
         Send it something, then try:\n\n  \
         sealtrail verify {dir} --policy {policy}\n  \
         sealtrail export --jsonl {dir} --policy {policy}\n  \
         sealtrail show ID --proof --ledger {dir} --policy {policy}\n\n\
         An application that uses OpenTelemetry needs only OTEL_EXPORTER_OTLP_ENDPOINT=http://{http}\n\
         Ctrl-C seals what is left and closes the log.\n",
        stack.ledger_address
    )
}
