//! A second opinion on values: a document in memory, another canonicaliser, and the rules written the slow way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Whether these bytes are a value, by `docs/spec/01-lines.md` section 1.1.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    // Refuses whitespace, order, repeats, escapes and the form of numbers in one go.
    serde_json_canonicalizer::to_vec(&value).is_ok_and(|canonical| canonical == bytes)
        && depth(&value).is_some_and(|depth| depth <= 64)
}

/// The depth of a value, or `None` where it breaks a rule.
fn depth(value: &Value) -> Option<usize> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Some(1),
        Value::Number(number) => {
            let double = number.as_f64()?;
            let whole = double.fract() == 0.0;
            let bare = !whole || (double.abs() < 9_007_199_254_740_992.0);
            (bare && !(whole && number.to_string().contains('e'))).then_some(1)
        }
        Value::Array(items) => deepest(items.iter()),
        Value::Object(members) => {
            match members.keys().find(|name| name.starts_with('$') && !name.starts_with("$$")) {
                None => deepest(members.values()),
                Some(name) if members.len() == 1 => wrapper(name, &members[name.as_str()]),
                Some(_) => None,
            }
        }
    }
}

fn deepest<'a>(values: impl Iterator<Item = &'a Value>) -> Option<usize> {
    values.map(depth).try_fold(0, |most, depth| Some(depth?.max(most))).map(|most| most + 1)
}

fn wrapper(name: &str, value: &Value) -> Option<usize> {
    let text = value.as_str().unwrap_or("not a string");
    let legal = match name {
        "$i" => text.parse::<i64>().is_ok_and(|int| int.to_string() == text && int.unsigned_abs() >= 1 << 53),
        "$d" => match text {
            "NaN" | "Infinity" | "-Infinity" | "-0" => true,
            _ => text.parse::<f64>().is_ok_and(|double| {
                double.is_finite() && double.fract() == 0.0 && ryu_js::Buffer::new().format(double) == text
            }),
        },
        "$b" => base64(value).is_some(),
        "$u" => is_not_utf8(value),
        "$e" => match value.as_array().map(Vec::as_slice) {
            Some([Value::String(id), nonce, ciphertext]) => {
                hex::decode(id).is_ok_and(|bytes| bytes.len() == 32 && hex::encode(bytes) == *id)
                    && base64(nonce).is_some_and(|bytes| bytes.len() == 12)
                    && base64(ciphertext).is_some_and(|bytes| bytes.len() >= 16)
            }
            _ => false,
        },
        "$kv" => return pairs(value),
        _ => false,
    };
    legal.then_some(1)
}

fn pairs(value: &Value) -> Option<usize> {
    let mut keys = std::collections::HashSet::new();
    let mut needed = false;
    let mut values = Vec::new();
    for pair in value.as_array()? {
        let [key, value] = pair.as_array()?.as_slice() else { return None };
        match key {
            Value::String(key) => needed |= !keys.insert(key),
            Value::Object(members) => needed |= is_only_u(members).then_some(true)?,
            _ => return None,
        }
        values.push(value);
    }
    needed.then(|| deepest(values.into_iter()))?
}

fn is_only_u(members: &Map<String, Value>) -> bool {
    members.len() == 1 && members.get("$u").is_some_and(is_not_utf8)
}

fn is_not_utf8(value: &Value) -> bool {
    base64(value).is_some_and(|bytes| String::from_utf8(bytes).is_err())
}

fn base64(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    STANDARD.decode(text).ok().filter(|bytes| STANDARD.encode(bytes) == text)
}
