//! Logs audit events over OTLP: `rust-client ENDPOINT COUNT`. Nothing here knows of Sealtrail.

use std::error::Error;
use std::time::{Duration, SystemTime};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLoggerProvider};

/// Events per request, and how many may wait.
const BATCH: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (endpoint, count) =
        (args.next().ok_or("which endpoint?")?, args.next().ok_or("how many?")?.parse::<u64>()?);
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
    let resource = Resource::builder_empty().with_service_name("vault").build();
    let provider = SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build();
    let logger = provider.logger("rust-client");
    for number in 0..count {
        let mut record = logger.create_log_record();
        record.set_timestamp(SystemTime::now());
        record.set_severity_number(Severity::Info);
        record.set_severity_text("INFO");
        record.set_event_name("vault.read");
        record.set_body(AnyValue::from(format!("secret {} was read", number % 97)));
        record.add_attribute("user.id", format!("u-{:03}", number % 31));
        record.add_attribute("audit.number", number as i64);
        logger.emit(record);
        if (number + 1).is_multiple_of(20 * BATCH as u64) {
            provider.force_flush()?;
        }
    }
    provider.force_flush()?;
    provider.shutdown()?;
    println!("the OpenTelemetry SDK sent {count} records");
    Ok(())
}
