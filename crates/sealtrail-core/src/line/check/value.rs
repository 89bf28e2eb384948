//! Values, `docs/spec/01-lines.md` section 1.1.

use std::borrow::Cow;

use super::reader::Reader;
use super::{LineError, wrapper};
use crate::line::{DEPTH_MAX, utf16_order};

impl Reader<'_> {
    /// A value whose own level is `depth`, counted from 1.
    pub(super) fn value(&mut self, depth: u32) -> Result<(), LineError> {
        if depth > DEPTH_MAX {
            return Err(LineError::TooDeep(self.at()));
        }
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => self.object(depth).map(|_| ()),
            Some(b'[') => self.array(depth),
            Some(b'n') => self.expect(b"null", "`null`"),
            Some(b't') => self.expect(b"true", "`true`"),
            Some(b'f') => self.expect(b"false", "`false`"),
            _ => Err(self.expected("a value")),
        }
    }

    fn array(&mut self, depth: u32) -> Result<(), LineError> {
        self.expect(b"[", "`[`")?;
        if self.eat(b"]") {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if self.eat(b"]") {
                return Ok(());
            }
            self.expect(b",", "`,` or `]`")?;
        }
    }

    /// A key-value list that is not empty: the member `attributes` of records, resources and scopes. Its values have
    /// depth 1: the list around them does not count.
    pub(super) fn attributes(&mut self) -> Result<(), LineError> {
        let at = self.at();
        match self.object(0)? {
            Shape::List { empty: false } => Ok(()),
            Shape::List { empty: true } => Err(LineError::Empty(at)),
            Shape::Other => Err(LineError::Expected { at, expected: "a key-value list" }),
        }
    }

    /// An object: a key-value list with names in order, or a wrapper.
    fn object(&mut self, depth: u32) -> Result<Shape, LineError> {
        self.expect(b"{", "a key-value list")?;
        if self.eat(b"}") {
            return Ok(Shape::List { empty: true });
        }
        let mut last: Option<Cow<'_, [u8]>> = None;
        loop {
            let name = self.string()?;
            let utf8 = name.utf8();
            if let [b'$', second @ ..] = utf8.as_ref()
                && second.first() != Some(&b'$')
            {
                return if last.is_none() {
                    wrapper::wrapper(self, name, depth)
                } else {
                    Err(LineError::UnknownWrapper(name.at))
                };
            }
            if last.is_some_and(|last| utf16_order(&last, &utf8).is_ge()) {
                return Err(LineError::NameOrder(name.at));
            }
            self.expect(b":", "`:`")?;
            self.value(depth + 1)?;
            if self.eat(b"}") {
                return Ok(Shape::List { empty: false });
            }
            self.expect(b",", "`,` or `}`")?;
            last = Some(utf8);
        }
    }
}

/// What an object turned out to be.
pub(super) enum Shape {
    /// A key-value list, `$kv` included.
    List {
        /// Without any member.
        empty: bool,
    },
    /// Any other wrapper.
    Other,
}
