//! Tile paths: the one text of each, leading nowhere else.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use sealtrail_core::tile::Tile;

fuzz_target!(|path: &str| {
    let Some(tile) = Tile::parse(path) else { return };
    assert_eq!(tile.path(), path);
    assert!((1..=256).contains(&tile.width));
    assert!(Path::new(path).components().all(|part| matches!(part, Component::Normal(_))));
    assert!(
        path.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/.".contains(&byte))
    );
});
