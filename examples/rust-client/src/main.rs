//! Logs audit events over OTLP: `rust-client ENDPOINT COUNT`, or `rust-client ENDPOINT -` for events from standard input,
//! each a line of JSON `[source, event]`. Nothing here knows of Sealtrail.

use std::error::Error;
use std::io::BufRead as _;
use std::time::{Duration, SystemTime};

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLogger, SdkLoggerProvider};
use serde_json::Value;

/// Events per request, and how many may wait.
const BATCH: usize = 1000;
/// 2026-01-01T00:00:00Z, when the first event from standard input is said to have happened.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (endpoint, what) = (args.next().ok_or("which endpoint?")?, args.next().ok_or("how many?")?);
    let exporter = LogExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/logs"))
        .with_timeout(Duration::from_secs(10))
        .build()?;
    let config = BatchConfigBuilder::default()
        .with_max_export_batch_size(BATCH)
        .with_max_queue_size(100 * BATCH)
        .build();
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
    let resource = Resource::builder_empty().with_service_name("payments").build();
    let provider = SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build();
    let scope = InstrumentationScope::builder("sealtrail.tests").with_version("1.0").build();
    let logger = provider.logger_with_scope(scope);
    let mut sent = 0_u64;
    let mut emitted = |emit: &dyn Fn(u64) -> Result<(), Box<dyn Error>>| {
        emit(sent)?;
        sent += 1;
        // The SDK drops what does not fit its queue, so let it drain.
        if sent.is_multiple_of(20 * BATCH as u64) {
            provider.force_flush()?;
        }
        Ok::<(), Box<dyn Error>>(())
    };
    if what == "-" {
        for line in std::io::stdin().lock().lines() {
            let (source, event): (String, Value) = serde_json::from_str(&line?)?;
            emitted(&|number| real(&logger, number, &source, &event))?;
        }
    } else {
        for _ in 0..what.parse::<u64>()? {
            emitted(&|number| Ok(made(&logger, number)))?;
        }
    }
    provider.force_flush()?;
    provider.shutdown()?;
    println!("the OpenTelemetry SDK sent {sent} records");
    Ok(())
}

/// Logs an event made up for the purpose.
fn made(logger: &SdkLogger, number: u64) {
    let mut record = logger.create_log_record();
    record.set_timestamp(SystemTime::now());
    record.set_severity_number(Severity::Info);
    record.set_severity_text("INFO");
    record.set_event_name("vault.read");
    record.set_body(AnyValue::from(format!("secret {} was read", number % 97)));
    record.add_attribute("user.id", format!("u-{:03}", number % 31));
    record.add_attribute("audit.number", number as i64);
    logger.emit(record);
}

/// Logs an event that was read; the number tells it apart from all others.
fn real(logger: &SdkLogger, number: u64, source: &str, event: &Value) -> Result<(), Box<dyn Error>> {
    let (severity, text) = [(Severity::Info, "INFO"), (Severity::Warn, "WARN"), (Severity::Error, "ERROR")]
        [(number % 3) as usize];
    let happened = SystemTime::UNIX_EPOCH + BEGINNING + Duration::from_nanos(number);
    let mut record = logger.create_log_record();
    record.set_timestamp(happened);
    record.set_observed_timestamp(happened + Duration::from_nanos(7));
    record.set_severity_number(severity);
    record.set_severity_text(text);
    // The SDK takes names known when the application is built.
    record.set_event_name(match source {
        "cloudtrail" => "cloudtrail.event",
        "windows" => "windows.event",
        "payments" => "payments.event",
        other => return Err(format!("no event name for the source {other:?}").into()),
    });
    record.set_body(value(event).ok_or("an event that is null")?);
    record.add_attribute("audit.number", i64::try_from(number)?);
    record.add_attribute("audit.source", source.to_owned());
    record.add_attribute("audit.ratio", number as f64 / 8.0);
    logger.emit(record);
    Ok(())
}

/// The SDK's form of a value; it has none for null.
fn value(json: &Value) -> Option<AnyValue> {
    Some(match json {
        Value::Null => return None,
        Value::Bool(value) => AnyValue::from(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => AnyValue::from(value),
            None => AnyValue::from(number.as_f64()?),
        },
        Value::String(text) => AnyValue::from(text.clone()),
        Value::Array(items) => AnyValue::ListAny(Box::new(items.iter().filter_map(value).collect())),
        Value::Object(members) => AnyValue::Map(Box::new(
            members.iter().filter_map(|(key, item)| Some((key.clone().into(), value(item)?))).collect(),
        )),
    })
}
