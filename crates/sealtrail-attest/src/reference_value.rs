//! Reference values: the code that a trust policy accepts (`docs/spec/05-evidence.md` 5.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::{Kind, shown};
use crate::nitro::{PCRS_MAX, Pcr};

/// One accepted root with the code accepted under it, an `[[accept]]` table of a trust policy.
///
/// ```
/// # #[derive(serde::Deserialize)] struct Policy { accept: Vec<sealtrail_attest::ReferenceValue> }
/// let policy: Policy = toml::from_str(r#"
///     [[accept]]
///     kind = "software"
///     root = "7b3d979ca8330a94fa7e9e1b466d8b99e0bcdea1ec90596c0dcc8d7ef6b4300c"
///     measurements = ["9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"]
///     streams = ["payments", "web-*"]
/// "#)?;
/// assert!(policy.accept[0].applies_to("web-eu"));
/// assert!(!policy.accept[0].applies_to("ledger"));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct ReferenceValue {
    root: [u8; 32],
    code: Code,
    streams: Option<Vec<String>>,
}

/// The code a reference value accepts, by kind of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Code {
    /// SHA-256 of program files; one of them.
    Software { measurements: Vec<[u8; 32]> },
    /// Registers, all of them; 0, 1 and 2 are always named.
    NitroSim { pcrs: BTreeMap<u8, Pcr>, debug: bool },
}

impl ReferenceValue {
    /// Accepts programs whose file has one of these SHA-256 digests, as vouched for by the key with SPKI digest `root`.
    #[must_use]
    pub fn software(root: [u8; 32], measurements: Vec<[u8; 32]>) -> Self {
        Self { root, code: Code::Software { measurements }, streams: None }
    }

    /// Accepts enclaves whose PCR 0, 1 and 2 are `code`, under the root certificate with DER digest `root`. With `debug`
    /// also those in debug mode, whose PCR 0, 1 and 2 are zero.
    #[must_use]
    pub fn nitro_sim(root: [u8; 32], code: [Pcr; 3], debug: bool) -> Self {
        let pcrs = (0u8..).zip(code).collect();
        Self { root, code: Code::NitroSim { pcrs, debug }, streams: None }
    }

    /// The same for enclaves only whose PCR `index` is `value`, besides the registers named before.
    ///
    /// # Errors
    /// `index` is above 31, or the kind has no registers.
    pub fn with_pcr(mut self, index: u8, value: Pcr) -> Result<Self, ReferenceValueError> {
        if usize::from(index) >= PCRS_MAX {
            return Err(ReferenceValueError::PcrIndex(index.to_string()));
        }
        match &mut self.code {
            Code::NitroSim { pcrs, .. } => pcrs.insert(index, value),
            Code::Software { .. } => {
                return Err(ReferenceValueError::Foreign { kind: Kind::Software, name: "pcrs" });
            }
        };
        Ok(self)
    }

    /// The same for these streams only; `*` stands for any characters, none included.
    #[must_use]
    pub fn with_streams(self, streams: Vec<String>) -> Self {
        Self { streams: Some(streams), ..self }
    }

    /// The kind of evidence it accepts.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.code {
            Code::Software { .. } => Kind::Software,
            Code::NitroSim { .. } => Kind::NitroSim,
        }
    }

    /// The fingerprint of the root it accepts.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.root
    }

    /// Whether it accepts enclaves in debug mode.
    #[must_use]
    pub fn accepts_debug(&self) -> bool {
        matches!(self.code, Code::NitroSim { debug: true, .. })
    }

    /// Whether it holds for this stream. [`appraise`](crate::appraise) does not ask: give it the values that apply.
    #[must_use]
    pub fn applies_to(&self, stream: &str) -> bool {
        match &self.streams {
            None => true,
            Some(patterns) => patterns.iter().any(|pattern| matches(pattern.as_bytes(), stream.as_bytes())),
        }
    }

    /// Whether it names the program with this digest.
    pub(crate) fn names_program(&self, measurement: &[u8; 32]) -> bool {
        match &self.code {
            Code::Software { measurements } => measurements.contains(measurement),
            Code::NitroSim { .. } => false,
        }
    }

    /// Whether it names the enclave with these registers: every one it names is there, not zero, and equal.
    pub(crate) fn names_enclave(&self, found: &BTreeMap<u8, Pcr>) -> bool {
        match &self.code {
            Code::Software { .. } => false,
            Code::NitroSim { pcrs, debug } => pcrs.iter().all(|(index, expected)| {
                found.get(index) == Some(expected) && (*debug || *expected != [0; 48])
            }),
        }
    }
}

/// Whether `name` is `pattern`, where `*` in the pattern stands for any characters.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|&byte| byte == b'*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    // The leftmost place of each middle part leaves the most for those after it.
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let found = (0..=rest.len()).find_map(|skip| rest.get(skip..)?.strip_prefix(part));
        match found {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

/// Why a table is not a reference value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceValueError {
    /// A kind that reference values do not have. (`ledger` has none: only the ledger's key of the policy vouches there.)
    #[error("reference values of kind `{0}` are not known")]
    Kind(String),
    /// A value that is not lower-case hex of the right length.
    #[error("`{name}` is not {digits} lower-case hex digits")]
    Hex {
        /// The value's name.
        name: &'static str,
        /// How many digits it has.
        digits: usize,
    },
    /// A value that the kind needs and the table lacks.
    #[error("kind `{kind}` needs `{name}`")]
    Missing {
        /// The table's kind.
        kind: Kind,
        /// The value's name.
        name: &'static str,
    },
    /// A value that the kind does not have.
    #[error("kind `{kind}` has no `{name}`")]
    Foreign {
        /// The table's kind.
        kind: Kind,
        /// The value's name.
        name: &'static str,
    },
    /// A register index that is not a decimal number from 0 to 31.
    #[error("PCR index `{0}` is not a number from 0 to 31")]
    PcrIndex(String),
    /// One of registers 0, 1 and 2 is not named.
    #[error("`pcrs` does not name PCR `{0}`; 0, 1 and 2 together are the code")]
    PcrMissing(u8),
}

/// The table as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: String,
    root: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measurements: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pcrs: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    debug: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    streams: Option<Vec<String>>,
}

impl TryFrom<Table> for ReferenceValue {
    type Error = ReferenceValueError;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        let root = digits("root", &table.root)?;
        let foreign = |kind, name, present| match present {
            true => Err(ReferenceValueError::Foreign { kind, name }),
            false => Ok(()),
        };
        let value = match Kind::from_name(&table.kind) {
            Some(kind @ Kind::Software) => {
                foreign(kind, "pcrs", table.pcrs.is_some())?;
                foreign(kind, "debug", table.debug.is_some())?;
                let measurements = table.measurements;
                let measurements =
                    measurements.ok_or(ReferenceValueError::Missing { kind, name: "measurements" })?;
                let measurements = measurements.iter().map(|text| digits("measurements", text));
                Self::software(root, measurements.collect::<Result<_, _>>()?)
            }
            Some(kind @ Kind::NitroSim) => {
                foreign(kind, "measurements", table.measurements.is_some())?;
                let pcrs = table.pcrs.ok_or(ReferenceValueError::Missing { kind, name: "pcrs" })?;
                let pcrs = pcrs.iter().map(|(index, text)| Ok((pcr_index(index)?, digits("pcrs", text)?)));
                let pcrs: BTreeMap<u8, Pcr> = pcrs.collect::<Result<_, _>>()?;
                if let Some(missing) = (0..=2).find(|index| !pcrs.contains_key(index)) {
                    return Err(ReferenceValueError::PcrMissing(missing));
                }
                Self {
                    root,
                    code: Code::NitroSim { pcrs, debug: table.debug.unwrap_or(false) },
                    streams: None,
                }
            }
            Some(Kind::Ledger) | None => return Err(ReferenceValueError::Kind(shown(&table.kind))),
        };
        Ok(Self { streams: table.streams, ..value })
    }
}

impl From<ReferenceValue> for Table {
    fn from(value: ReferenceValue) -> Self {
        let kind = value.kind().as_str().to_owned();
        let (measurements, pcrs, debug) = match value.code {
            Code::Software { measurements } => {
                (Some(measurements.iter().map(hex::encode).collect()), None, None)
            }
            Code::NitroSim { pcrs, debug } => {
                let pcrs = pcrs.iter().map(|(index, pcr)| (index.to_string(), hex::encode(pcr))).collect();
                (None, Some(pcrs), debug.then_some(true))
            }
        };
        Self { kind, root: hex::encode(value.root), measurements, pcrs, debug, streams: value.streams }
    }
}

fn digits<const N: usize>(name: &'static str, text: &str) -> Result<[u8; N], ReferenceValueError> {
    let wrong = ReferenceValueError::Hex { name, digits: 2 * N };
    let mut bytes = [0; N];
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) || hex::decode_to_slice(text, &mut bytes).is_err() {
        return Err(wrong);
    }
    Ok(bytes)
}

fn pcr_index(text: &str) -> Result<u8, ReferenceValueError> {
    let index: Option<u8> = text.parse().ok();
    index
        .filter(|index| usize::from(*index) < PCRS_MAX && index.to_string() == text)
        .ok_or_else(|| ReferenceValueError::PcrIndex(shown(text)))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        let cases = [
            ("payments", "payments", true),
            ("payments", "payments2", false),
            ("payments", "payment", false),
            ("*", "", true),
            ("*", "anything", true),
            ("web-*", "web-", true),
            ("web-*", "web-eu", true),
            ("web-*", "we", false),
            ("*-eu", "web-eu", true),
            ("*-eu", "web-us", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*bc", "abcbc", true),
            ("a**b", "ab", true),
            ("ab*ab", "ab", false),
            ("ab*ab", "abab", true),
            ("*aab*b", "aaabb", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "`{pattern}` on `{name}`");
        }
    }
}
