//! Models that are right because they are simple: CBOR as a tree, the Merkle tree as its definition.

use sealtrail_core::cbor::Encoder;
use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::merkle::node_hash;

/// MTH of RFC 6962 section 2.1, as it is written there.
pub(crate) fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY,
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

/// An item of the CBOR that the format permits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Uint(u64),
    /// −1 − n.
    Nint(u64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Item>),
    Map(Vec<(Item, Item)>),
    Tag18(Box<Item>),
    Bool(bool),
    Null,
}

impl Item {
    /// A map with its keys in order and without repeats.
    pub(crate) fn map(mut pairs: Vec<(Self, Self)>) -> Self {
        pairs.sort_by_key(|(key, _)| key.encode());
        pairs.dedup_by_key(|(key, _)| key.encode());
        Self::Map(pairs)
    }

    /// What item this is and what follows it; nothing about order of keys, shortest heads or depth is judged here.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (first, rest) = bytes.split_first()?;
        let wide = |n: usize| {
            let (number, rest) = rest.split_at_checked(n)?;
            Some((number.iter().fold(0_u64, |value, byte| value * 256 + u64::from(*byte)), rest))
        };
        let (argument, rest) = match first % 32 {
            small @ 0..=23 => (u64::from(small), rest),
            24 => wide(1)?,
            25 => wide(2)?,
            26 => wide(4)?,
            27 => wide(8)?,
            _ => return None,
        };
        let string = || rest.split_at_checked(usize::try_from(argument).ok()?);
        let items = |count: u64| {
            let (mut items, mut rest) = (Vec::new(), rest);
            for _ in 0..count {
                let (item, after) = Self::read(rest)?;
                items.push(item);
                rest = after;
            }
            Some((items, rest))
        };
        Some(match first / 32 {
            0 => (Self::Uint(argument), rest),
            1 => (Self::Nint(argument), rest),
            2 => string().map(|(bytes, rest)| (Self::Bytes(bytes.to_vec()), rest))?,
            3 => {
                let (bytes, rest) = string()?;
                (Self::Text(String::from_utf8(bytes.to_vec()).ok()?), rest)
            }
            4 => items(argument).map(|(items, rest)| (Self::Array(items), rest))?,
            5 => {
                let (items, rest) = items(argument.checked_mul(2)?)?;
                let pairs = items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
                (Self::Map(pairs), rest)
            }
            6 if argument == 18 => {
                let (item, rest) = Self::read(rest)?;
                (Self::Tag18(Box::new(item)), rest)
            }
            _ => match *first {
                0xf4 => (Self::Bool(false), rest),
                0xf5 => (Self::Bool(true), rest),
                0xf6 => (Self::Null, rest),
                _ => return None,
            },
        })
    }

    /// The item of which these bytes are the one encoding, `None` where they are not.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (item, rest) = Self::read(bytes)?;
        let one = rest.is_empty() && item.depth() <= 8 && item.ordered() && item.encode() == bytes;
        one.then_some(item)
    }

    pub(crate) fn depth(&self) -> usize {
        1 + match self {
            Self::Array(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(pairs) => pairs.iter().flat_map(|(k, v)| [k.depth(), v.depth()]).max().unwrap_or(0),
            Self::Tag18(item) => item.depth(),
            _ => 0,
        }
    }

    fn ordered(&self) -> bool {
        match self {
            Self::Array(items) => items.iter().all(Self::ordered),
            Self::Map(pairs) => {
                pairs.iter().all(|(k, v)| k.ordered() && v.ordered())
                    && pairs.windows(2).all(|two| two[0].0.encode() < two[1].0.encode())
            }
            Self::Tag18(item) => item.ordered(),
            _ => true,
        }
    }

    /// RFC 8949 section 3, without the encoder under test.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let head = |major: u8, argument: u64| {
            let be = argument.to_be_bytes();
            let (info, tail) = match argument {
                0..24 => (be[7], &be[8..]),
                24..256 => (24, &be[7..]),
                256..65_536 => (25, &be[6..]),
                65_536..4_294_967_296 => (26, &be[4..]),
                _ => (27, &be[..]),
            };
            [&[major * 32 + info], tail].concat()
        };
        match self {
            Self::Uint(n) => head(0, *n),
            Self::Nint(n) => head(1, *n),
            Self::Bytes(bytes) => [head(2, bytes.len() as u64), bytes.clone()].concat(),
            Self::Text(text) => [head(3, text.len() as u64), text.clone().into_bytes()].concat(),
            Self::Array(items) => {
                items.iter().fold(head(4, items.len() as u64), |all, item| [all, item.encode()].concat())
            }
            Self::Map(pairs) => pairs
                .iter()
                .fold(head(5, pairs.len() as u64), |all, (k, v)| [all, k.encode(), v.encode()].concat()),
            Self::Tag18(item) => [head(6, 18), item.encode()].concat(),
            Self::Bool(value) => vec![0xf4 + u8::from(*value)],
            Self::Null => vec![0xf6],
        }
    }

    /// The same with the encoder under test, which has no booleans and no integers below `i64`: those come raw.
    pub(crate) fn write(&self, encoder: &mut Encoder) {
        match self {
            Self::Uint(n) => drop(encoder.uint(*n)),
            Self::Nint(n) => match i64::try_from(*n) {
                Ok(n) => drop(encoder.int(-1 - n)),
                Err(_) => drop(encoder.raw(&self.encode())),
            },
            Self::Bytes(bytes) => drop(encoder.bytes(bytes)),
            Self::Text(text) => drop(encoder.text(text)),
            Self::Array(items) => {
                encoder.array(items.len());
                items.iter().for_each(|item| item.write(encoder));
            }
            Self::Map(pairs) => {
                encoder.map(pairs.len());
                pairs.iter().for_each(|(k, v)| {
                    k.write(encoder);
                    v.write(encoder);
                });
            }
            Self::Tag18(item) => item.write(encoder.tag(18)),
            Self::Bool(_) => drop(encoder.raw(&self.encode())),
            Self::Null => drop(encoder.null()),
        }
    }
}
