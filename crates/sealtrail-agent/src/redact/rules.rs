//! Redaction rules, read and compiled.

use aws_lc_rs::hmac;
use regex::bytes::Regex;
use sealtrail_core::hash::{Hash, sha256};
use serde::Serialize;

use super::detect::{self, Finder};
use super::path::{Effect, Path};
use super::prefilter::Prefilter;
use super::{Action, Detector, RedactionConfig, RuleConfig};

/// Most rules: those in force at a place are bits of one word.
const RULES_MAX: usize = 64;

/// Most paths of one rule; with [`RULES_MAX`] rules every key is compared to at most 4,096 of them.
const PATHS_MAX: usize = 64;

/// Why a configuration of redaction was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedactionError {
    /// More rules than the bound.
    #[error("`{0}` redaction rules, at most `{RULES_MAX}` are allowed")]
    TooManyRules(usize),
    /// More selectors in one rule than the bound.
    #[error("redaction rule `{rule}` has `{paths}` selectors, at most `{PATHS_MAX}` are allowed")]
    TooManyPaths {
        /// Counted from 1.
        rule: usize,
        /// How many it has.
        paths: usize,
    },
    /// A rule with nothing to find.
    #[error("redaction rule `{0}` has neither `select` nor `pattern` nor `detector`")]
    NothingToFind(usize),
    /// A rule with two things to find.
    #[error("redaction rule `{0}` has both `pattern` and `detector`")]
    TwoPatterns(usize),
    /// Not a path.
    #[error("redaction rule `{rule}`: `{selector}` is not a path into a record")]
    Selector {
        /// Counted from 1.
        rule: usize,
        /// As configured.
        selector: String,
    },
    /// Not a regular expression, or one that needs too much memory.
    #[error("redaction rule `{rule}`: `{pattern}` is not a usable regular expression")]
    Pattern {
        /// Counted from 1; 0 for the detectors.
        rule: usize,
        /// As configured.
        pattern: String,
    },
}

/// Redaction rules, ready to be applied.
#[derive(Debug)]
pub struct RedactionRules {
    enabled: bool,
    digest: Hash,
    pub(super) key: hmac::Key,
    pub(super) prefilter: Prefilter,
    pub(super) detectors: Vec<(Detector, Finder)>,
    pub(super) detector_action: Action,
    pub(super) paths: Vec<Path>,
    /// What each rule searches for, by its place in the configuration.
    pub(super) searches: Vec<Option<Search>>,
    /// Bits of the rules that search everywhere.
    pub(super) everywhere: u64,
    /// Whether something found in a text may drop it.
    pub(super) drops_strings: bool,
}

/// What a rule does with what it finds in texts.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) finder: Finder,
    pub(super) action: Action,
}

/// What the digest is taken over, in this order.
#[derive(Serialize)]
struct Digested<'a> {
    detectors_version: u32,
    detectors: &'a [Detector],
    detector_action: Action,
    rules: &'a [RuleConfig],
}

impl RedactionRules {
    /// Compiles a configuration. `key` is that of keyed hashes; whoever has it can test guesses at what was hashed.
    ///
    /// # Errors
    /// [`RedactionError`]: a rule without sense, a path or expression that cannot be read, a bound.
    pub fn compile(config: &RedactionConfig, key: &[u8; 32]) -> Result<Self, RedactionError> {
        if config.rules.len() > RULES_MAX {
            return Err(RedactionError::TooManyRules(config.rules.len()));
        }
        let mut wanted = config.detectors.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let detectors = wanted.iter().map(|detector| Ok((*detector, finder(*detector, 0)?)));
        let no_words = |_| RedactionError::Pattern { rule: 0, pattern: "words of detectors".to_owned() };
        let prefilter = Prefilter::new(&wanted).map_err(no_words)?;
        let mut rules = Self {
            enabled: config.enabled,
            digest: digest(config, &wanted),
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            prefilter,
            detectors: detectors.collect::<Result<_, _>>()?,
            detector_action: config.detector_action,
            paths: Vec::new(),
            searches: Vec::new(),
            everywhere: 0,
            drops_strings: config.detector_action == Action::Drop,
        };
        for (index, rule) in config.rules.iter().enumerate() {
            rules.add(rule, index)?;
        }
        Ok(rules)
    }

    /// Whether redaction is switched on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The digest of the rules as they stand in an epoch's open (`docs/spec/03-statements.md`, claim 37): SHA-256 of
    /// `sealtrail/redaction/v1` and the rules as JSON, detectors sorted; of the label alone where redaction is off.
    #[must_use]
    pub fn digest(&self) -> Hash {
        self.digest
    }

    fn add(&mut self, rule: &RuleConfig, index: usize) -> Result<(), RedactionError> {
        let number = index + 1;
        let search = match (&rule.pattern, rule.detector) {
            (Some(_), Some(_)) => return Err(RedactionError::TwoPatterns(number)),
            (None, None) if rule.select.is_empty() => return Err(RedactionError::NothingToFind(number)),
            (None, None) => None,
            (Some(pattern), None) => Some(Finder::Pattern(regex(pattern, number)?)),
            (None, Some(detector)) => Some(finder(detector, number)?),
        };
        if rule.select.len() > PATHS_MAX {
            return Err(RedactionError::TooManyPaths { rule: number, paths: rule.select.len() });
        }
        let effect = match search {
            Some(_) => Effect::Search(index as u32),
            None => Effect::Whole(rule.action),
        };
        for selector in &rule.select {
            let refused = || RedactionError::Selector { rule: number, selector: selector.clone() };
            self.paths.push(Path::parse(selector, effect).ok_or_else(refused)?);
        }
        if search.is_some() && rule.select.is_empty() {
            self.everywhere |= 1 << index;
        }
        self.drops_strings |= search.is_some() && rule.action == Action::Drop;
        self.searches.push(search.map(|finder| Search { finder, action: rule.action }));
        Ok(())
    }
}

fn finder(detector: Detector, rule: usize) -> Result<Finder, RedactionError> {
    Finder::of(detector).map_err(|_| RedactionError::Pattern { rule, pattern: format!("{detector:?}") })
}

fn regex(pattern: &str, rule: usize) -> Result<Regex, RedactionError> {
    detect::pattern(pattern).map_err(|_| RedactionError::Pattern { rule, pattern: pattern.to_owned() })
}

fn digest(config: &RedactionConfig, detectors: &[Detector]) -> Hash {
    let digested = Digested {
        detectors_version: detect::VERSION,
        detectors,
        detector_action: config.detector_action,
        rules: &config.rules,
    };
    // Nothing in it can fail to serialise: names, texts and a number.
    let json = if config.enabled { serde_json::to_vec(&digested).unwrap_or_default() } else { Vec::new() };
    sha256(&[b"sealtrail/redaction/v1", &json])
}
