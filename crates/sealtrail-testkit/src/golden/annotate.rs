//! CBOR for readers: hex on the left, what it is on the right.

use std::fmt::Write as _;

/// Bytes a line of hex shows.
const WIDTH: usize = 32;

/// Hex, 32 bytes a line.
pub(super) fn wrapped(bytes: &[u8]) -> String {
    bytes.chunks(WIDTH).map(hex::encode).collect::<Vec<_>>().join("\n")
}

/// Names of claims, as `docs/spec/03-statements.md` 3.3 has them.
const CLAIMS: [(u64, &str); 33] = [
    (1, "version"),
    (2, "origin"),
    (3, "trail"),
    (4, "stream"),
    (5, "instance"),
    (6, "epoch"),
    (7, "sequence"),
    (8, "prev"),
    (9, "record root"),
    (10, "context count"),
    (11, "record count"),
    (12, "stored hash"),
    (13, "stored length"),
    (14, "codec"),
    (15, "encryption"),
    (16, "seen"),
    (17, "wall clock"),
    (18, "monotonic"),
    (19, "totals"),
    (20, "retention class"),
    (21, "close"),
    (22, "published"),
    (32, "public key"),
    (33, "HPKE key"),
    (34, "evidence"),
    (35, "software version"),
    (36, "configuration"),
    (37, "redaction"),
    (38, "heartbeat interval"),
    (39, "maximum age"),
    (40, "challenge"),
    (41, "predecessor"),
    (42, "opened at"),
];

/// One item, one line for each head, indented; `claims`: the keys of the outermost map are claims.
pub(super) fn annotate(bytes: &[u8], claims: bool) -> String {
    let mut writer = Writer { out: String::new(), claims };
    let rest = writer.item(bytes, 0, Role::Value);
    assert!(rest.is_empty(), "one item");
    writer.out
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Value,
    /// A key of the outermost map.
    Claim,
}

struct Writer {
    out: String,
    claims: bool,
}

impl Writer {
    fn line(&mut self, depth: usize, bytes: &[u8], what: &str) {
        let left = format!("{}{}", "  ".repeat(depth), hex::encode(bytes));
        writeln!(self.out, "{left:<26} # {what}").unwrap();
    }

    /// Writes an item; returns what follows it.
    fn item<'a>(&mut self, bytes: &'a [u8], depth: usize, role: Role) -> &'a [u8] {
        let (major, argument, head) = head(bytes);
        let (head, rest) = bytes.split_at(head);
        let count = argument as usize;
        match major {
            0 => {
                let name = CLAIMS.iter().find(|(key, _)| *key == argument).map(|(_, name)| *name);
                match name.filter(|_| role == Role::Claim) {
                    Some(name) => self.line(depth, head, &format!("{argument}, {name}")),
                    None => self.line(depth, head, &argument.to_string()),
                }
                rest
            }
            1 => {
                self.line(depth, head, &format!("−{}", argument + 1));
                rest
            }
            2 | 3 => {
                let (content, rest) = rest.split_at(count);
                self.string(depth, head, content, major == 3);
                rest
            }
            4 => {
                self.line(depth, head, &format!("array of {count}"));
                (0..count).fold(rest, |rest, _| self.item(rest, depth + 1, Role::Value))
            }
            5 => {
                self.line(depth, head, &format!("map of {count}"));
                let key = if self.claims && depth == 0 { Role::Claim } else { Role::Value };
                (0..count).fold(rest, |rest, _| {
                    let rest = self.item(rest, depth + 1, key);
                    self.item(rest, depth + 2, Role::Value)
                })
            }
            6 => {
                self.line(depth, head, &format!("tag {argument}"));
                self.item(rest, depth + 1, Role::Value)
            }
            _ => {
                let what = ["false", "true", "null"].get(count.wrapping_sub(20)).unwrap();
                self.line(depth, head, what);
                rest
            }
        }
    }

    fn string(&mut self, depth: usize, head: &[u8], content: &[u8], text: bool) {
        let kind = if text { "text" } else { "bytes" };
        self.line(depth, head, &format!("{kind}, {}", content.len()));
        if text {
            self.line(depth + 1, content, &format!("\"{}\"", std::str::from_utf8(content).unwrap()));
            return;
        }
        for line in content.chunks(WIDTH) {
            writeln!(self.out, "{}{}", "  ".repeat(depth + 1), hex::encode(line)).unwrap();
        }
    }
}

/// Major type, argument, and length of the head.
fn head(bytes: &[u8]) -> (u8, u64, usize) {
    let (major, info) = (bytes[0] >> 5, bytes[0] & 31);
    let width = match info {
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return (major, info.into(), 1),
    };
    let argument = bytes[1..=width].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    (major, argument, 1 + width)
}
