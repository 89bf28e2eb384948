//! Placeholder until the line checker lands.

/// Why a line was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line is malformed")]
pub struct LineError;

/// The header line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes after the header line's newline.
    pub length: u64,
    /// Seed.
    pub seed: [u8; 32],
    /// Request digests.
    pub requests: Vec<[u8; 32]>,
}

/// Checks a header line.
///
/// # Errors
/// [`LineError`].
pub fn header(line: &[u8]) -> Result<Header, LineError> {
    let v: serde_json::Value = serde_json::from_slice(line).map_err(|_| LineError)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(v["seed"].as_str().unwrap_or(""), &mut seed).map_err(|_| LineError)?;
    Ok(Header { length: v["length"].as_u64().ok_or(LineError)?, seed, requests: vec![] })
}
