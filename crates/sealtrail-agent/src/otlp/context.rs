//! Resource and InstrumentationScope messages as context lines (`docs/spec/01-lines.md` section 1.2).

use super::Reason;
use super::schema::{entity_ref, resource, scope};
use super::value::Mapper;
use super::wire::Wire;
use crate::redact::{Root, Scope};
use sealtrail_core::line::write;

/// Most bytes of keys of entity references that wait to be written: what a line could hold.
const KEYS_MAX: usize = sealtrail_core::body::LINE_BYTES_MAX / 3;

impl<'a> Mapper<'_, 'a> {
    /// Appends the context line of a resource, without its newline.
    pub(super) fn resource(&mut self, message: &'a [u8], schema_url: &[u8]) -> Result<(), Reason> {
        let attributes = self.root(Root::ResourceAttributes);
        let mut dropped_attributes = 0;
        let mut entities = false;
        let mut wire = Wire::new(message);
        while let Some(key) = wire.key()? {
            match key {
                resource::ATTRIBUTES => self.collect(wire.bytes()?, 1, attributes)?,
                resource::DROPPED_ATTRIBUTES => dropped_attributes = wire.varint()? as u32,
                resource::ENTITY_REFS => {
                    wire.bytes()?;
                    entities = true;
                }
                _ => wire.unknown(key, resource::FIELDS)?,
            }
        }
        self.out.extend_from_slice(b"{\"resource\":{");
        self.attributes(attributes, dropped_attributes)?;
        if entities {
            self.entity_refs(message)?;
        }
        self.redacted();
        self.member(b"\"schemaUrl\":", schema_url)?;
        self.close()
    }

    /// Appends the context line of a scope, without its newline.
    pub(super) fn scope(&mut self, message: &'a [u8], schema_url: &[u8]) -> Result<(), Reason> {
        let attributes = self.root(Root::ScopeAttributes);
        let mut dropped_attributes = 0;
        let (mut name, mut version) = ([].as_slice(), [].as_slice());
        let mut wire = Wire::new(message);
        while let Some(key) = wire.key()? {
            match key {
                scope::NAME => name = wire.bytes()?,
                scope::VERSION => version = wire.bytes()?,
                scope::ATTRIBUTES => self.collect(wire.bytes()?, 1, attributes)?,
                scope::DROPPED_ATTRIBUTES => dropped_attributes = wire.varint()? as u32,
                _ => wire.unknown(key, scope::FIELDS)?,
            }
        }
        self.out.extend_from_slice(b"{\"scope\":{");
        self.attributes(attributes, dropped_attributes)?;
        self.member(b"\"name\":", name)?;
        self.redacted();
        self.member(b"\"schemaUrl\":", schema_url)?;
        self.member(b"\"version\":", version)?;
        self.close()
    }

    /// `attributes`, as collected, and `droppedAttributesCount`.
    fn attributes(&mut self, scope: Scope, dropped: u32) -> Result<(), Reason> {
        if !self.pairs.is_empty() {
            self.out.extend_from_slice(b"\"attributes\":");
            self.collected(0, 1, scope)?;
            self.out.push(b',');
        }
        self.leave(scope);
        self.number(b"\"droppedAttributesCount\":", dropped);
        Ok(())
    }

    fn redacted(&mut self) {
        let redacted = self.redactor.as_ref().map_or(0, |redactor| redactor.touched());
        self.number(b"\"redacted\":", redacted);
    }

    /// A member that is text and no client's data, where there is any.
    fn member(&mut self, key: &[u8], text: &[u8]) -> Result<(), Reason> {
        if text.is_empty() {
            return Ok(());
        }
        if self.out.len() + text.len() > self.end {
            return Err(Reason::TooLarge);
        }
        self.out.extend_from_slice(key);
        write::text(self.out, text);
        self.out.push(b',');
        Ok(())
    }

    fn close(&mut self) -> Result<(), Reason> {
        self.out.pop_if(|last| *last == b',');
        self.out.extend_from_slice(b"}}");
        if self.out.len() > self.end { Err(Reason::TooLarge) } else { Ok(()) }
    }

    /// `entityRefs`, of a resource that has some.
    fn entity_refs(&mut self, resource: &[u8]) -> Result<(), Reason> {
        self.out.extend_from_slice(b"\"entityRefs\":");
        let mut before = b'[';
        let mut wire = Wire::new(resource);
        while let Some(key) = wire.key()? {
            if key == resource::ENTITY_REFS {
                self.out.push(before);
                self.entity_ref(wire.bytes()?)?;
                before = b',';
            } else {
                wire.unknown(key, 0)?;
            }
        }
        self.out.extend_from_slice(b"],");
        Ok(())
    }

    fn entity_ref(&mut self, message: &[u8]) -> Result<(), Reason> {
        let (mut schema_url, mut kind) = ([].as_slice(), [].as_slice());
        let (mut id_keys, mut description_keys) = (Vec::new(), Vec::new());
        let mut wire = Wire::new(message);
        while let Some(key) = wire.key()? {
            match key {
                entity_ref::SCHEMA_URL => schema_url = wire.bytes()?,
                entity_ref::TYPE => kind = wire.bytes()?,
                entity_ref::ID_KEYS => id_keys.push(wire.bytes()?),
                entity_ref::DESCRIPTION_KEYS => description_keys.push(wire.bytes()?),
                _ => wire.unknown(key, entity_ref::FIELDS)?,
            }
            if id_keys.len() + description_keys.len() > KEYS_MAX {
                return Err(Reason::TooLarge);
            }
        }
        self.out.push(b'{');
        let empty = self.out.len();
        self.keys(b"\"descriptionKeys\":", &description_keys)?;
        self.keys(b"\"idKeys\":", &id_keys)?;
        self.member(b"\"schemaUrl\":", schema_url)?;
        self.member(b"\"type\":", kind)?;
        if self.out.len() > empty {
            self.out.pop();
        }
        self.out.push(b'}');
        if self.out.len() > self.end { Err(Reason::TooLarge) } else { Ok(()) }
    }

    fn keys(&mut self, name: &[u8], keys: &[&[u8]]) -> Result<(), Reason> {
        if keys.is_empty() {
            return Ok(());
        }
        self.out.extend_from_slice(name);
        let mut before = b'[';
        for key in keys {
            if self.out.len() + key.len() > self.end {
                return Err(Reason::TooLarge);
            }
            self.out.push(before);
            write::text(self.out, key);
            before = b',';
        }
        self.out.extend_from_slice(b"],");
        Ok(())
    }
}
