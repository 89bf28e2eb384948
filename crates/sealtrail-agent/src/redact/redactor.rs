//! Rules at work on one record after the other.

use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::hmac;
use sealtrail_core::line::write;

use super::path::{Paths, Root, Scope};
use super::prefilter::Hints;
use super::words::{Ahead, Place, detectors_in, place_at};
use super::{Action, RedactionRules};

/// What stands for what was masked.
const MASK: &[u8] = b"[redacted]";

/// What stands before a keyed hash, and how many bytes of it are kept.
const HASH_PREFIX: &[u8] = b"hmac-sha256:";
const HASH_BYTES: usize = 16;

/// What redaction makes of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding<'r> {
    /// Nothing.
    Keep,
    /// It is left out.
    Drop,
    /// It becomes this.
    Replaced(&'r [u8]),
}

/// The rules and what they know about the record at hand.
#[derive(Debug)]
pub(crate) struct Redactor {
    rules: Arc<RedactionRules>,
    /// Where the message lies.
    message: Range<usize>,
    hints: Hints,
    /// Where words are in the message.
    words: Vec<Place>,
    paths: Paths,
    touched: u64,
    found: Vec<(Range<usize>, Action)>,
    replaced: Vec<u8>,
}

impl Redactor {
    pub(crate) fn new(rules: Arc<RedactionRules>) -> Self {
        Self {
            rules,
            message: 0..0,
            hints: Hints::default(),
            words: Vec::new(),
            paths: Paths::default(),
            touched: 0,
            found: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Begins a message, a part of the request where it stands in it as it came. `None`: no rule can touch it, and there is no need to ask further.
    pub(crate) fn begin(&mut self, message: &[u8], ahead: &mut Ahead<'_>) -> Option<&mut Self> {
        self.touched = 0;
        self.paths.clear();
        let address = message.as_ptr().addr();
        self.message = address..address + message.len();
        self.hints = self.rules.prefilter.look(message, ahead, &mut self.words);
        let needed = self.hints.any() || self.rules.everywhere != 0 || !self.rules.paths.is_empty();
        needed.then_some(self)
    }

    /// How many values of the message were changed or removed so far.
    pub(crate) fn touched(&self) -> u64 {
        self.touched
    }

    /// Counts one value.
    pub(crate) fn touch(&mut self) {
        self.touched += 1;
    }

    /// The scope at a root of the record, and what is done with the value there as a whole.
    pub(crate) fn root(&mut self, root: Root) -> (Scope, Option<Action>) {
        self.paths.root(&self.rules.paths, root, self.rules.everywhere)
    }

    /// What is done, as a whole, with the value of a key inside a scope.
    pub(crate) fn select(&mut self, scope: Scope, key: &[u8]) -> Option<Action> {
        let (inner, action) = self.paths.enter(&self.rules.paths, scope, key);
        self.paths.leave(inner);
        action
    }

    /// The scope of the value of a key inside a scope.
    pub(crate) fn enter(&mut self, scope: Scope, key: &[u8]) -> Scope {
        self.paths.enter(&self.rules.paths, scope, key).0
    }

    /// Leaves a scope that was entered.
    pub(crate) fn leave(&mut self, scope: Scope) {
        self.paths.leave(scope);
    }

    /// Whether a text may be dropped for what it contains.
    pub(crate) fn drops_strings(&self) -> bool {
        self.rules.drops_strings
    }

    /// Whether the text of a key inside a scope is dropped for what it contains.
    pub(crate) fn drops(&mut self, text: &[u8], scope: Scope, key: &[u8]) -> bool {
        let inner = self.enter(scope, key);
        self.search(text, inner);
        self.leave(inner);
        self.found.iter().any(|(_, action)| *action == Action::Drop)
    }

    /// Searches a text, and counts it where something is found.
    pub(crate) fn inspect(&mut self, text: &[u8], scope: Scope) -> Finding<'_> {
        self.search(text, scope);
        if self.found.is_empty() {
            return Finding::Keep;
        }
        self.touched += 1;
        if self.found.iter().any(|(_, action)| *action == Action::Drop) {
            return Finding::Drop;
        }
        self.replace(text);
        Finding::Replaced(&self.replaced)
    }

    /// Appends, as a JSON string, what stands for a masked value. Always `true`: something was appended.
    pub(crate) fn mask(&self, out: &mut Vec<u8>) -> bool {
        write::text(out, MASK);
        true
    }

    /// Appends, as a JSON string, what stands for a hashed value. Always `true`: something was appended.
    pub(crate) fn hash(&self, value: &[u8], out: &mut Vec<u8>) -> bool {
        let mut text = Vec::with_capacity(HASH_PREFIX.len() + 2 * HASH_BYTES);
        self.hash_text(value, &mut text);
        write::text(out, &text);
        true
    }

    fn hash_text(&self, value: &[u8], text: &mut Vec<u8>) {
        let tag = hmac::sign(&self.rules.key, value);
        text.extend_from_slice(HASH_PREFIX);
        write::hex(text, tag.as_ref().get(..HASH_BYTES).unwrap_or_default());
    }

    /// Collects what detectors and patterns find.
    fn search(&mut self, text: &[u8], scope: Scope) {
        self.found.clear();
        let rules = &self.rules;
        if self.hints.any() {
            let place = place_at(self.message.clone(), text);
            let words = place.map(|place| detectors_in(&self.words, &place));
            let hints = rules.prefilter.look_closer(text, self.hints, words);
            let asked = rules.detectors.iter().filter(|(detector, _)| hints.ask(*detector));
            for (_, finder) in asked {
                finder.each(text, |range| self.found.push((range, rules.detector_action)));
            }
        }
        let mut patterns = scope.patterns;
        while patterns != 0 {
            let rule = patterns.trailing_zeros() as usize;
            patterns &= patterns - 1;
            if let Some(Some(search)) = rules.searches.get(rule) {
                search.finder.each(text, |range| self.found.push((range, search.action)));
            }
        }
    }

    /// The text with everything found replaced. What overlaps is replaced as one, by the stronger action.
    fn replace(&mut self, text: &[u8]) {
        let mut replaced = std::mem::take(&mut self.replaced);
        replaced.clear();
        self.found.sort_unstable_by_key(|(range, action)| (range.start, *action));
        let mut written = 0;
        let mut found = self.found.iter().cloned().peekable();
        while let Some((mut range, mut action)) = found.next() {
            while let Some((next, stronger)) = found.next_if(|(next, _)| next.start < range.end) {
                range.end = range.end.max(next.end);
                action = action.min(stronger);
            }
            replaced.extend_from_slice(text.get(written..range.start).unwrap_or_default());
            match action {
                Action::Hash => self.hash_text(text.get(range.clone()).unwrap_or_default(), &mut replaced),
                Action::Drop | Action::Mask => replaced.extend_from_slice(MASK),
            }
            written = range.end;
        }
        replaced.extend_from_slice(text.get(written..).unwrap_or_default());
        self.replaced = replaced;
    }
}
