//! Entries: a statement as the ledger logged it (`docs/spec/04-log.md` 4.1).

use crate::cbor::{CborError, Decoder, Encoder, MapKeys};
use crate::hash::Hash;
use crate::statement::{INTEGER_MAX, STATEMENT_BYTES_MAX, TIME_MAX};

/// Longest entry: tlog-tiles bundles carry a 16-bit length.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// What the ledger adds to a statement: its word, not the agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerPart {
    /// When it came, ns since 1970 on the ledger's clock.
    pub received_at_ns: u64,
    /// Number of control entries under which it was judged.
    pub control_size: u64,
    /// Artefact with what the evidence was judged with.
    pub collateral: Option<Hash>,
}

impl LedgerPart {
    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        encoder.map(3).uint(1).uint(self.received_at_ns).uint(2).uint(self.control_size);
        encoder.uint(3).bytes_or_null(self.collateral.as_ref().map(<[u8; 32]>::as_slice));
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CborError> {
        let start = decoder.position();
        let mut keys = MapKeys::begin(decoder, 3)?;
        let mut expect = |decoder: &mut Decoder<'_>, key| match keys.next(decoder)? {
            Some(found) if found == key => Ok(()),
            _ => Err(CborError::Unexpected { at: start, expected: "the ledger part's keys 1, 2, 3" }),
        };
        expect(decoder, 1)?;
        let received_at_ns = decoder.uint(TIME_MAX)?;
        expect(decoder, 2)?;
        let control_size = decoder.uint(INTEGER_MAX)?;
        expect(decoder, 3)?;
        let collateral = if decoder.null() { None } else { Some(decoder.array_of_bytes()?) };
        Ok(Self { received_at_ns, control_size, collateral })
    }
}

/// An entry's parts. The statement is bytes: it is decoded and verified on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The statement's envelope.
    pub statement: &'a [u8],
    /// What the ledger added.
    pub ledger_part: LedgerPart,
}

impl<'a> Entry<'a> {
    /// Decodes an entry.
    ///
    /// # Errors
    /// [`CborError`] for every departure from the form.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, CborError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(CborError::OutOfBounds(0));
        }
        let mut decoder = Decoder::new(bytes);
        decoder.array_of(3)?;
        version(&mut decoder)?;
        let statement = decoder.bytes(STATEMENT_BYTES_MAX)?;
        let ledger_part = LedgerPart::decode(&mut decoder)?;
        decoder.finish()?;
        Ok(Self { statement, ledger_part })
    }

    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(3).uint(1).bytes(self.statement);
        self.ledger_part.encode(&mut encoder);
        encoder.into_bytes()
    }
}

/// The version number that begins every array of the format.
pub(crate) fn version(decoder: &mut Decoder<'_>) -> Result<(), CborError> {
    let at = decoder.position();
    match decoder.uint(1)? {
        1 => Ok(()),
        _ => Err(CborError::OutOfBounds(at)),
    }
}
