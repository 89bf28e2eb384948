//! Lines of all kinds. What is accepted is JSON without whitespace, in UTF-8, on one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::line::check::{self, Context};
use sealtrail_core::line::write;

fuzz_target!(|line: &[u8]| {
    let contexts = [Context::Resource, Context::Scope];
    let header = check::header(line);
    let accepted =
        [header.is_ok(), check::context(line).is_ok(), check::record(line, &contexts).is_ok()].into_iter();
    if accepted.filter(|accepted| *accepted).count() > 0 {
        let text = std::str::from_utf8(line).unwrap();
        assert!(text.starts_with('{') && text.ends_with('}'));
        assert!(!text.contains(|c: char| c < ' '));
    }
    if let Ok(header) = header {
        let mut written = Vec::new();
        write::header(&mut written, header.length, &header.requests, &header.seed);
        assert_eq!(written, line);
    }
    // The same bytes as the value of a record's body.
    let record = [b"{\"body\":", line, b",\"resource\":1,\"scope\":2}"].concat();
    if check::record(&record, &contexts).is_ok() {
        assert!(std::str::from_utf8(line).is_ok());
    }
});
