//! JSON for golden files: names in order whatever the features of `serde_json`, bytes in hex.

use serde_json::{Map, Value};

/// The text of a file: names sorted, two spaces of indentation, a newline at the end.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(&sorted(value)).unwrap() + "\n"
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            names.into_iter().map(|name| (name.clone(), sorted(&members[name]))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// Bytes as hex.
pub(super) fn hex(bytes: impl AsRef<[u8]>) -> Value {
    hex::encode(bytes).into()
}

/// Several byte strings as hex.
pub(super) fn hexes<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Value {
    items.into_iter().map(hex).collect()
}

/// Bytes as hex, or `null`.
pub(super) fn hex_or_null(bytes: Option<impl AsRef<[u8]>>) -> Value {
    bytes.map_or(Value::Null, hex)
}

/// Members of a case's input. The files are ours, so a missing or ill-formed member is a mistake of the generator.
pub(super) trait Input {
    fn bytes(&self, name: &str) -> Vec<u8>;
    fn optional_bytes(&self, name: &str) -> Option<Vec<u8>>;
    fn array<const N: usize>(&self, name: &str) -> [u8; N];
    fn text(&self, name: &str) -> &str;
    fn number(&self, name: &str) -> u64;
    fn list(&self, name: &str) -> &[Value];
}

impl Input for Value {
    fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name)).unwrap_or_else(|_| panic!("`{name}` is not hex"))
    }

    fn optional_bytes(&self, name: &str) -> Option<Vec<u8>> {
        if self[name].is_null() { None } else { Some(self.bytes(name)) }
    }

    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap_or_else(|_| panic!("`{name}` has not {N} bytes"))
    }

    fn text(&self, name: &str) -> &str {
        self[name].as_str().unwrap_or_else(|| panic!("`{name}` is missing"))
    }

    fn number(&self, name: &str) -> u64 {
        self[name].as_u64().unwrap_or_else(|| panic!("`{name}` is missing"))
    }

    fn list(&self, name: &str) -> &[Value] {
        self[name].as_array().unwrap_or_else(|| panic!("`{name}` is missing"))
    }
}
