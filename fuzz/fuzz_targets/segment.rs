//! Items of segment files, their headers and indexes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::segment::{
    ITEM_HEAD_BYTES, ItemHead, ItemKind, MAGIC, SegmentHeader, decode_index, push_item,
};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes.strip_prefix(MAGIC).unwrap_or(bytes);
    while let Some((head, after)) = rest.split_first_chunk::<ITEM_HEAD_BYTES>() {
        let Ok(Some(item)) = ItemHead::decode(*head) else { return };
        let Some((payload, after)) = after.split_at_checked(item.length as usize) else { return };
        let mut written = Vec::new();
        push_item(&mut written, item.kind, payload);
        assert_eq!(written[..5], rest[..5]);
        assert_eq!(written == rest[..written.len()], item.crc_matches(payload));
        match item.kind {
            ItemKind::Header => {
                if let Ok(header) = SegmentHeader::decode(payload) {
                    assert_eq!(header.encode(), payload);
                }
            }
            ItemKind::Index => {
                if let Some(pairs) = decode_index(payload) {
                    assert_eq!(pairs.len() * 16, payload.len());
                }
            }
            ItemKind::Body | ItemKind::Entry => {}
        }
        rest = after;
    }
});
