"""Sends audit events through the OpenTelemetry SDK: send.py ENDPOINT COUNT [--protocol http|grpc].

Prints how many records the SDK exported without complaint; exits 1 when it was not all of them.
"""

import argparse
import logging
import sys
import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from events import events

BEGINNING_NS = 1_767_225_600_000_000_000


def exporter(protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

        return OTLPLogExporter(endpoint=endpoint, insecure=True)
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter(endpoint=f"{endpoint}/v1/logs")


class Counting:
    """Stands in front of an exporter and counts what it exported."""

    def __init__(self, inner):
        self.inner = inner
        self.exported = 0

    def export(self, batch):
        result = self.inner.export(batch)
        if result.name == "SUCCESS":
            self.exported += len(batch)
        return result

    def shutdown(self):
        self.inner.shutdown()

    def force_flush(self, timeout_millis=30000):
        return True


def record(number, source, event):
    """The record of one event; `number` tells it apart from all others."""
    severities = [SeverityNumber.INFO, SeverityNumber.WARN, SeverityNumber.ERROR]
    severity = severities[number % 3]
    return LogRecord(
        timestamp=BEGINNING_NS + number,
        observed_timestamp=BEGINNING_NS + number + 7,
        severity_number=severity,
        severity_text=severity.name,
        body=event,
        attributes={"audit.number": number, "audit.source": source, "audit.ratio": number / 8},
        event_name=f"{source}.event",
    )


def send(endpoint, count, protocol="http"):
    resource = Resource({"service.name": "payments", "service.version": "1.4.2"})
    counting = Counting(exporter(protocol, endpoint))
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    size = 1000
    processor = BatchLogRecordProcessor(counting, max_queue_size=100 * size, max_export_batch_size=size)
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("sealtrail.tests", "1.0")
    for number, (source, event) in enumerate(events(count)):
        logger.emit(record(number, source, event))
        # The SDK drops what does not fit its queue, so let it drain.
        while number - counting.exported > 50 * size:
            time.sleep(0.01)
    provider.force_flush(120_000)
    provider.shutdown()
    return counting.exported


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("count", type=int)
    parser.add_argument("--protocol", choices=["http", "grpc"], default="http")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    begun = time.monotonic()
    exported = send(args.endpoint, args.count, args.protocol)
    print(f"the OpenTelemetry SDK sent {exported} of {args.count} records in {time.monotonic() - begun:.1f} s")
    sys.exit(0 if exported == args.count else 1)


if __name__ == "__main__":
    main()
