//! The agent's way of a record on one thread: OTLP bytes in, a signed batch's bytes out. No network, no disk, no queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealtrail_agent::otlp::{BatchLines, Encoding, Limits, Request};
use sealtrail_agent::redact::{RedactionConfig, RedactionRules};
use sealtrail_core::body::{Compressor, leaves};
use sealtrail_core::hash::sha256;
use sealtrail_core::key::Algorithm;
use sealtrail_core::merkle::root_in_place;
use sealtrail_keys::generate;

use super::load::Template;
use super::templates::REQUEST_RECORDS;
use crate::failure::Failure;

/// How long is measured.
const TIME: Duration = Duration::from_millis(700);

/// Records and bytes of their lines a second.
pub(super) struct Rate {
    pub(super) records_per_s: f64,
    pub(super) line_bytes_per_s: f64,
}

/// Decodes, redacts as by default, writes lines, hashes, compresses and signs, one batch a request.
pub(super) fn rate(templates: &[Template]) -> Result<Rate, Failure> {
    let rules = RedactionRules::compile(&RedactionConfig::default(), &[7; 32])
        .map_err(|error| Failure::from_error(&error))?;
    let mut lines = BatchLines::new(Limits::default(), Some(Arc::new(rules)));
    let mut compressor = Compressor::new().map_err(|error| Failure::from_error(&error))?;
    let key = generate(Algorithm::Es256).map_err(|error| Failure::from_error(&error))?;
    let (mut batches, mut line_bytes) = (0_u64, 0);
    let begun = Instant::now();
    for template in templates.iter().cycle() {
        if begun.elapsed() > TIME {
            break;
        }
        let request = Request::parse(Encoding::Protobuf, template.bytes())
            .map_err(|reason| Failure::new(format!("a request of ours does not parse: {reason:?}")))?;
        lines.take(&mut request.cursor(), 0);
        let seed = sha256(&[&batches.to_be_bytes()]);
        let plain = lines.finish(&seed);
        let root = root_in_place(&mut leaves(&seed, plain.bytes()));
        let frame = compressor.compress(plain.bytes()).map_err(|error| Failure::from_error(&error))?;
        let signed = key.sign(&[root, sha256(&[&frame])].concat());
        std::hint::black_box(signed.map_err(|error| Failure::from_error(&error))?);
        line_bytes += plain.bytes().len();
        batches += 1;
        lines.recycle(plain);
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Rate {
        records_per_s: (batches * REQUEST_RECORDS) as f64 / seconds,
        line_bytes_per_s: line_bytes as f64 / seconds,
    })
}
