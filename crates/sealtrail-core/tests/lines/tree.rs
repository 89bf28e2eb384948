//! Values as a tree, and the line they make: what a mapper does, in the slowest and plainest way.

use proptest::prelude::*;
use sealtrail_core::line::{utf16_order, write};

/// An AnyValue.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Array(Vec<Tree>),
    List(Vec<(Vec<u8>, Tree)>),
}

impl Tree {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Int(value) => write::int(out, *value),
            Self::Double(value) => write::double(out, *value),
            Self::Text(bytes) => write::text(out, bytes),
            Self::Bytes(bytes) => write::bytes(out, bytes),
            Self::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::List(pairs) => write_list(out, pairs),
        }
    }
}

fn write_list(out: &mut Vec<u8>, pairs: &[(Vec<u8>, Tree)]) {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by(|a, b| utf16_order(&a.0, &b.0));
    let distinct = sorted.windows(2).all(|two| two[0].0 != two[1].0);
    if distinct && sorted.iter().all(|(key, _)| std::str::from_utf8(key).is_ok()) {
        out.push(b'{');
        for (index, (key, value)) in sorted.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write::name(out, std::str::from_utf8(key).unwrap());
            value.write(out);
        }
        out.push(b'}');
        return;
    }
    out.extend_from_slice(b"{\"$kv\":[");
    for (index, (key, value)) in pairs.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
        write::text(out, key);
        out.push(b',');
        value.write(out);
        out.push(b']');
    }
    out.extend_from_slice(b"]}");
}

/// Text that provokes: controls, escapes, `$`, both sides of the surrogates, bytes that are not UTF-8.
pub(crate) fn text() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(vec![
        "",
        "$",
        "$$",
        "$b",
        "$kv",
        "a",
        "b",
        "\"",
        "\\",
        "\n",
        "\u{0}",
        "\u{1f}",
        "\u{7f}",
        "/",
        "é",
        "\u{d7ff}",
        "\u{e000}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
        "</script>",
    ]);
    prop_oneof![
        4 => prop::collection::vec(odd, 0..4).prop_map(|parts| parts.concat().into_bytes()),
        4 => "[a-z.]{0,40}".prop_map(String::into_bytes),
        2 => any::<String>().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

pub(crate) fn double() -> impl Strategy<Value = f64> {
    let odd = vec![
        0.0,
        -0.0,
        1.0,
        -25.0,
        0.5,
        1e21,
        1e-7,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        5e-324,
    ];
    prop_oneof![
        prop::sample::select(odd),
        any::<u64>().prop_map(f64::from_bits),
        any::<i32>().prop_map(f64::from)
    ]
}

fn int() -> impl Strategy<Value = i64> {
    let edge = 1 << 53;
    let odd = vec![0, 1, -1, edge - 1, edge, -edge + 1, -edge, i64::MAX, i64::MIN];
    prop_oneof![prop::sample::select(odd), any::<i64>(), any::<i16>().prop_map(i64::from)]
}

pub(crate) fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        int().prop_map(Tree::Int),
        double().prop_map(Tree::Double),
        text().prop_map(Tree::Text),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(Tree::Bytes),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
            prop::collection::vec((text(), inner), 0..6).prop_map(Tree::List),
        ]
    })
}
