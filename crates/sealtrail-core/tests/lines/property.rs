//! Random values are accepted as written, and changed lines are judged as the oracle judges them.

use proptest::prelude::*;

use crate::tree::{double, text, tree};
use crate::{oracle, record, with_body};

/// Bytes that matter to the form.
const BYTES: &[u8] = b"\"\\,:[]{}$0123456789-+.eEntfuabkvd= \n\x00\x1f\x7f\x80\xc3\xff/";

fn mutate(value: &mut Vec<u8>, edits: &[(prop::sample::Index, u8, u8)]) {
    for (place, kind, byte) in edits {
        if value.is_empty() {
            return;
        }
        let at = place.index(value.len());
        let byte = BYTES[usize::from(*byte) % BYTES.len()];
        match kind % 5 {
            0 => value[at] = byte,
            1 => value.insert(at, byte),
            2 => drop(value.remove(at)),
            3 => value.truncate(at + 1),
            _ => value.swap(at, (at + 1) % place.index(at + 1).max(1)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn written_values_are_accepted(tree in tree()) {
        let mut value = Vec::new();
        tree.write(&mut value);
        prop_assert!(oracle::is_value(&value), "oracle refuses {}", String::from_utf8_lossy(&value));
        prop_assert_eq!(record(&with_body(&value)).map(|info| info.stub), Ok(false), "{}", String::from_utf8_lossy(&value));
    }

    #[test]
    fn changed_values_are_judged_alike(
        tree in tree(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..4),
    ) {
        let mut value = Vec::new();
        tree.write(&mut value);
        mutate(&mut value, &edits);
        let verdict = record(&with_body(&value));
        // Some edits close the body early and open another member: the oracle only knows values.
        let shown = String::from_utf8_lossy(&value).into_owned();
        prop_assert_eq!(verdict.is_ok(), oracle::is_value(&value), "{} {:?}", shown, verdict);
    }

    #[test]
    fn doubles_are_judged_alike(value in double(), wrap: bool) {
        let text = ryu_js::Buffer::new().format(value).to_owned();
        let value = if wrap { format!("{{\"$d\":\"{text}\"}}") } else { text };
        let verdict = record(&with_body(value.as_bytes()));
        prop_assert_eq!(verdict.is_ok(), oracle::is_value(value.as_bytes()), "{}", value);
    }

    #[test]
    fn strings_read_back(bytes in text()) {
        let mut value = Vec::new();
        sealtrail_core::line::write::text(&mut value, &bytes);
        let parsed: serde_json::Value = serde_json::from_slice(&value).unwrap();
        match std::str::from_utf8(&bytes) {
            Ok(text) => prop_assert_eq!(parsed.as_str(), Some(text)),
            Err(_) => prop_assert!(parsed["$u"].is_string()),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = record(&bytes);
        let _ = record(&with_body(&bytes));
        let _ = sealtrail_core::line::check::header(&bytes);
        let _ = sealtrail_core::line::check::context(&bytes);
    }
}
