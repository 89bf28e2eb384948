//! Signed notes (C2SP signed-note): text, then signature lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::sha256;
use crate::key::{Algorithm, KeyError, PublicKey, Verifier as _};

/// Longest note: a checkpoint with 16 ML-DSA-44 cosignatures is 52 KiB.
pub const NOTE_BYTES_MAX: usize = 64 << 10;

/// Most signature lines: C2SP signed-note asks readers to take at least 16; the ledger's own and 99 witnesses.
pub const SIGNATURES_MAX: usize = 100;

/// The signature type of Ed25519 in key ids and verifier keys.
const ED25519_TYPE: u8 = 1;

/// Why a note or verifier key was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a note.
    #[error("note is malformed: {0}")]
    Malformed(&'static str),
    /// Not a verifier key.
    #[error("verifier key `{0}` is malformed: expected <name>+<key id>+<base64>")]
    VerifierKey(String),
    /// A signature by a known key that does not hold.
    #[error("signature of `{0}` does not verify")]
    BadSignature(String),
    /// No signature by any known key.
    #[error("no signature by a known key")]
    Unsigned,
}

/// An Ed25519 key that verifies notes under a name: `<name>+<key id>+<base64(0x01 ‖ public key)>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

impl VerifierKey {
    /// The verifier key of a public key under a name.
    ///
    /// # Errors
    /// [`NoteError::VerifierKey`] where the name is empty or has a space or plus sign, or the key is none
    /// (`docs/spec/03-statements.md` 3.2).
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, NoteError> {
        let wrong = || NoteError::VerifierKey(name.to_owned());
        PublicKey::from_raw(Algorithm::Ed25519, &key).map_err(|_| wrong())?;
        Self::of(name, key).ok_or_else(wrong)
    }

    /// The same for a key that nobody has looked at: one that is none verifies nothing. `None` where the name is none.
    pub(crate) fn of(name: &str, key: [u8; 32]) -> Option<Self> {
        if !valid_name(name) {
            return None;
        }
        let hash = sha256(&[name.as_bytes(), b"\n", &[ED25519_TYPE], &key]);
        let [a, b, c, d, ..] = hash;
        Some(Self { name: name.to_owned(), id: [a, b, c, d], key })
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// [`NoteError::VerifierKey`]: wrong form, another key type, or a key id that is not that of name and key.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let wrong = || NoteError::VerifierKey(text.chars().take(256).collect());
        let (name, rest) = text.split_once('+').ok_or_else(wrong)?;
        let (id, key) = rest.split_once('+').ok_or_else(wrong)?;
        let key = STANDARD.decode(key).map_err(|_| wrong())?;
        let key: [u8; 32] = match key.split_first() {
            Some((&ED25519_TYPE, key)) => key.try_into().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        let parsed = Self::new(name, key).map_err(|_| wrong())?;
        if hex::encode(parsed.id) == id { Ok(parsed) } else { Err(wrong()) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<(), KeyError> {
        PublicKey::from_raw(Algorithm::Ed25519, &self.key)?.verify(text.as_bytes(), signature)
    }

    /// The signature line of a raw Ed25519 signature, newline included.
    #[must_use]
    pub fn signature_line(&self, signature: &[u8]) -> String {
        format!("— {} {}\n", self.name, STANDARD.encode([&self.id, signature].concat()))
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = [[ED25519_TYPE].as_slice(), &self.key].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(key))
    }
}

/// A note in the right form whose signatures nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedNote<'a> {
    text: &'a str,
    signatures: Vec<(&'a str, [u8; 4], Vec<u8>)>,
}

impl<'a> UnverifiedNote<'a> {
    /// Takes a note apart.
    ///
    /// # Errors
    /// [`NoteError::Malformed`]: not UTF-8, control characters, no signature block, an ill-formed signature line, too
    /// long or too many.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("longer than 64 KiB"));
        }
        let all = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("not UTF-8"))?;
        if all.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed("control characters"));
        }
        let split = all.rfind("\n\n").ok_or(NoteError::Malformed("no signature block"))?;
        let (text, block) = all.split_at(split + 1);
        let block = block.strip_prefix('\n').unwrap_or_default();
        let lines = block.strip_suffix('\n').ok_or(NoteError::Malformed("no newline at the end"))?;
        let signatures = lines.split('\n').map(signature).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::Malformed("more than 100 signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// The text, which nobody has vouched for yet; ends in a newline.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The names of the keys that signed the text, at least one. Signatures by other keys are ignored.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] where a known key's signature does not hold, whatever the others say;
    /// [`NoteError::Unsigned`] where no known key signed.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<String>, NoteError> {
        let mut verified: Vec<&VerifierKey> = Vec::new();
        for (name, id, signature) in &self.signatures {
            let Some(key) = keys.iter().find(|k| k.name == *name && k.id == *id) else { continue };
            // Of several lines by one key the first counts.
            if verified.contains(&key) {
                continue;
            }
            key.verify(self.text, signature).map_err(|_| NoteError::BadSignature((*name).to_owned()))?;
            verified.push(key);
        }
        if verified.is_empty() {
            return Err(NoteError::Unsigned);
        }
        Ok(verified.into_iter().map(|key| key.name.clone()).collect())
    }
}

fn signature(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), NoteError> {
    let malformed = NoteError::Malformed("signature line");
    let (name, encoded) = line.strip_prefix("— ").and_then(|l| l.split_once(' ')).ok_or(malformed.clone())?;
    let bytes = STANDARD.decode(encoded).map_err(|_| malformed.clone())?;
    match bytes.split_first_chunk::<4>() {
        Some((id, signature)) if valid_name(name) && !signature.is_empty() => {
            Ok((name, *id, signature.to_vec()))
        }
        _ => Err(malformed),
    }
}

fn valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}
