//! The words that a text with a secret has, looked for in many records at once.

use std::ops::Range;

use regex::bytes::Regex;

use super::forms::literals;
use super::{Detector, detect};

/// How far ahead of a message its request is searched at once: one search costs about as much to begin as 100 bytes cost to
/// search.
const AHEAD_BYTES: usize = 64 << 10;

/// Places noted of what is searched at once; behind them every word may be anywhere.
const PLACES_MAX: usize = 1_024;

/// A set of detectors, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Detectors(u16);

impl Detectors {
    const ALL: Self = Self(u16::MAX);

    fn of(detector: Detector) -> Self {
        Self(1 << detector as u16)
    }

    pub(super) fn has(self, detector: Detector) -> bool {
        self.0 & Self::of(detector).0 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

/// Where a word stands, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    range: Range<usize>,
    detectors: Detectors,
}

/// Whose words overlap a part of what was searched.
pub(super) fn detectors_in(places: &[Place], part: &Range<usize>) -> Detectors {
    let overlapping =
        places.iter().filter(|place| place.range.start < part.end && part.start < place.range.end);
    overlapping.fold(Detectors::default(), |all, place| all.with(place.detectors))
}

/// The words of some detectors.
#[derive(Debug)]
pub(super) struct Words {
    any: Regex,
    each: Vec<(&'static [u8], Detectors)>,
}

impl Words {
    /// `None` where the detectors have none.
    ///
    /// # Errors
    /// The words are no expression: without them, secrets would pass unseen.
    pub(super) fn new(detectors: &[Detector]) -> Result<Option<Self>, regex::Error> {
        let of_detector = |detector: &Detector| {
            let set = Detectors::of(*detector);
            literals(*detector).iter().map(move |word| (word.as_bytes(), set))
        };
        let mut each: Vec<_> = detectors.iter().flat_map(of_detector).collect();
        each.sort_unstable_by_key(|(word, _)| *word);
        each.dedup_by(|(word, set), (before, of_before)| {
            let same = word == before;
            if same {
                *of_before = of_before.with(*set);
            }
            same
        });
        if each.is_empty() {
            return Ok(None);
        }
        let escaped = each.iter().map(|(word, _)| regex::escape(&String::from_utf8_lossy(word)));
        let any = escaped.collect::<Vec<_>>().join("|");
        // Only escaped words: compiles into a search for many words at once.
        Ok(Some(Self { any: detect::pattern(&any)?, each }))
    }

    /// Whose words are in a text.
    pub(super) fn look(&self, text: &[u8]) -> Detectors {
        let mut places = Vec::new();
        self.search(text, &mut places);
        detectors_in(&places, &(0..text.len()))
    }

    /// Notes where words begin, ascending, those inside others too.
    fn search(&self, bytes: &[u8], places: &mut Vec<Place>) {
        places.clear();
        let mut at = 0;
        while let Some(found) = self.any.find_at(bytes, at) {
            if places.len() == PLACES_MAX {
                places.push(Place { range: found.start()..bytes.len(), detectors: Detectors::ALL });
                return;
            }
            let here = bytes.get(found.start()..).unwrap_or_default();
            let words = self.each.iter().filter(|(word, _)| here.starts_with(word));
            let mut place = Place { range: found.range(), detectors: Detectors::default() };
            for (word, set) in words {
                place.range.end = place.range.end.max(found.start() + word.len());
                place.detectors = place.detectors.with(*set);
            }
            places.push(place);
            at = found.start() + 1;
        }
    }
}

/// How far a request has been searched, and what was found there.
#[derive(Debug, Default)]
pub(crate) struct Ahead<'a> {
    request: &'a [u8],
    searched: Range<usize>,
    /// From the beginning of what was searched.
    found: Vec<Place>,
}

impl<'a> Ahead<'a> {
    /// Nothing searched yet.
    pub(crate) fn new(request: &'a [u8]) -> Self {
        Self { request, ..Self::default() }
    }

    /// Notes the words of a message, with those at its edges: a part of the request, or anything else.
    pub(super) fn places(&mut self, words: &Words, message: &[u8], places: &mut Vec<Place>) {
        let Some(part) = place_in(self.request, message) else { return words.search(message, places) };
        if part.start < self.searched.start || part.end > self.searched.end {
            let end = part.end.max(part.start + AHEAD_BYTES).min(self.request.len());
            self.searched = part.start..end;
            words.search(self.request.get(self.searched.clone()).unwrap_or_default(), &mut self.found);
        }
        let (start, end) = (part.start - self.searched.start, part.end - self.searched.start);
        let inside = self.found.iter().filter(|place| place.range.start < end && start < place.range.end);
        places.clear();
        places.extend(inside.map(|place| Place {
            range: place.range.start.saturating_sub(start)..place.range.end - start,
            detectors: place.detectors,
        }));
    }
}

/// Where a part stands in what it was taken from; `None` where it was not.
pub(super) fn place_in(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    place_at(whole.as_ptr().addr()..whole.as_ptr().addr() + whole.len(), part)
}

/// The same for what lies at these addresses.
pub(super) fn place_at(whole: Range<usize>, part: &[u8]) -> Option<Range<usize>> {
    let address = part.as_ptr().addr();
    let inside = whole.start <= address && address + part.len() <= whole.end;
    inside.then(|| address - whole.start..address - whole.start + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word is found in the part that has it, however the request is divided, and in hardly any other.
    #[test]
    fn words_are_found_in_the_part_that_has_them() {
        let words = Words::new(&Detector::ALL).unwrap().unwrap();
        let mut request = vec![b'-'; 3 * AHEAD_BYTES];
        let mut places = Vec::new();
        // Beside each other, inside each other, across the end of what is searched at once and of parts.
        let texts: [&[u8]; 5] = [b"eyAKIA", b"github_pat_", b"secret", b"Bearer", b"%2540"];
        for (at, text) in
            [3, 90, 97, 995, 1_040, 2_996, AHEAD_BYTES - 3, AHEAD_BYTES + 40, 3 * AHEAD_BYTES - 11]
                .into_iter()
                .zip(texts.into_iter().cycle())
        {
            request[at..at + text.len()].copy_from_slice(text);
            places.push(at..at + text.len());
        }
        for length in [11, 100, 1_000, AHEAD_BYTES, AHEAD_BYTES + 7] {
            let mut ahead = Ahead::new(&request);
            let mut found = Vec::new();
            for message in request.chunks(length) {
                let begins = place_in(&request, message).unwrap();
                ahead.places(&words, message, &mut found);
                for part in message.chunks(37) {
                    let part_in = place_in(message, part).unwrap();
                    let has = detectors_in(&found, &part_in);
                    let truth = words.look(part);
                    assert_eq!(has.with(truth), has, "{length}: {begins:?} {part_in:?}");
                    let (start, end) = (begins.start + part_in.start, begins.start + part_in.end);
                    let near = places.iter().any(|place| place.start < end && start < place.end);
                    assert!(has == truth || near, "{length}: {begins:?} {part_in:?}");
                }
            }
            let mut none = Vec::new();
            ahead.places(&words, b"a secret from elsewhere", &mut none);
            assert!(detectors_in(&none, &(0..23)).has(Detector::AwsSecretKey));
            ahead.places(&words, b"nothing", &mut none);
            assert_eq!(none, []);
        }
    }

    #[test]
    fn whose_words_they_are() {
        let words = Words::new(&Detector::ALL).unwrap().unwrap();
        let of = |text: &str| {
            let set = words.look(text.as_bytes());
            Detector::ALL.into_iter().filter(|detector| set.has(*detector)).collect::<Vec<_>>()
        };
        assert_eq!(of("a plain text with a card 4111 1111 1111 1111"), []);
        assert_eq!(of("eyJhbGciOi"), [Detector::Jwt]);
        assert_eq!(of("eyAKIA0"), [Detector::Jwt, Detector::AwsAccessKey, Detector::AwsSecretKey]);
        assert_eq!(of("Basic secret"), [Detector::BasicCredentials, Detector::AwsSecretKey]);
        assert!(Words::new(&[Detector::Card]).unwrap().is_none());
    }

    /// So many words that their places are not all noted: none is missed.
    #[test]
    fn a_text_of_words_alone() {
        let words = Words::new(&Detector::ALL).unwrap().unwrap();
        let text = ["hf_".repeat(2 * PLACES_MAX), "AKIA".to_owned()].concat();
        let mut places = Vec::new();
        words.search(text.as_bytes(), &mut places);
        assert_eq!(places.len(), PLACES_MAX + 1);
        let end = text.len() - 4..text.len();
        assert!(detectors_in(&places, &end).has(Detector::AwsAccessKey));
        assert_eq!(detectors_in(&places, &(0..30)), Detectors::of(Detector::ApiKey));
    }
}
