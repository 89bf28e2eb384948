//! Names and ids: streams, instances, ledgers, trails (README of `docs/spec`, *Notation*).

use std::fmt;

/// Longest name, in bytes. DNS labels (63) and pod names (up to 253, in practice under 100) fit.
pub const NAME_BYTES_MAX: usize = 128;

/// A name that breaks the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Wrong length or a character that is not allowed.
    #[error("name `{0}` is not 1 to 128 characters of a-z 0-9 . _ - beginning with a letter or digit")]
    Name(String),
    /// Wrong ledger name.
    #[error(
        "ledger name `{0}` is not 1 to 128 characters of a-z 0-9 . _ - / : beginning with a letter or digit and not with sealtrail/"
    )]
    Ledger(String),
    /// Wrong trail id.
    #[error("trail id `{0}` is not 32 lower-case hex digits")]
    Trail(String),
}

fn well_formed(text: &str, extra: &[u8]) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.as_bytes().first().is_some_and(alphanumeric)
        && text.bytes().all(|b| alphanumeric(&b) || b"._-".contains(&b) || extra.contains(&b))
}

/// The name of a stream, an instance or a retention class: 1 to 128 of `a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`NameError::Name`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        if well_formed(text, b"") { Ok(Self(text.to_owned())) } else { Err(NameError::Name(text.to_owned())) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a ledger, the first part of every trail's origin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerName(String);

impl LedgerName {
    /// Checks and wraps a ledger name.
    ///
    /// # Errors
    /// [`NameError::Ledger`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        if well_formed(text, b"/:") && !text.starts_with("sealtrail/") {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Ledger(text.to_owned()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The origin of one of its trails: `<ledger name>/<trail id in hex>`.
    #[must_use]
    pub fn origin(&self, trail: TrailId) -> String {
        format!("{}/{trail}", self.0)
    }
}

impl fmt::Display for LedgerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The random 16-byte id of a trail. Shown as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrailId(pub [u8; 16]);

impl TrailId {
    /// From 32 lower-case hex digits.
    ///
    /// # Errors
    /// [`NameError::Trail`].
    pub fn from_hex(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Trail(text.chars().take(64).collect());
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).map_err(|_| wrong())?;
        Ok(Self(id))
    }
}

impl fmt::Display for TrailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The identity of a statement: SHA-256 of its Sig_structure. An epoch's id is the identity of its open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub [u8; 32]);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The number of leaves of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeSize(pub u64);

impl fmt::Display for TreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a leaf in a tree, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafIndex(pub u64);

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_alphabet() {
        for good in ["a", "payments", "web-1.eu_2", &"x".repeat(128)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "é", "a/b", &"x".repeat(129)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
        assert!(LedgerName::new("log.example.org:8443/audit").is_ok());
        assert!(LedgerName::new("sealtrail/statement").is_err());
        assert!(TrailId::from_hex("00112233445566778899AABBCCDDEEFF").is_err());
        assert!(TrailId::from_hex("00").is_err());
    }
}
