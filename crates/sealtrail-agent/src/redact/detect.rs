//! What each detector finds in a text.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::{memchr, memmem};
use regex::bytes::{Regex, RegexBuilder};

use super::forms::expressions;
use super::prefilter::has_secret_row;
use super::{Detector, card};

/// Changes whenever a detector's forms do, so that the rules' digest does.
pub(super) const VERSION: u32 = 2;

/// Length of an AWS secret access key.
pub(super) const AWS_SECRET_BYTES: usize = 40;

/// A way to find something in a text.
#[derive(Debug)]
pub(super) enum Finder {
    /// An operator's pattern.
    Pattern(Regex),
    /// A detector, and its forms.
    Detector(Detector, Vec<Regex>),
}

impl Finder {
    pub(super) fn of(detector: Detector) -> Result<Self, regex::Error> {
        let forms = expressions(detector).iter().map(|source| pattern(source));
        Ok(Self::Detector(detector, forms.collect::<Result<_, _>>()?))
    }

    /// Calls with every place where something is found.
    pub(super) fn each(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        match self {
            Self::Pattern(regex) => {
                regex
                    .find_iter(text)
                    .filter(|found| !found.is_empty())
                    .for_each(|place| found(place.range()));
            }
            Self::Detector(Detector::Card, _) => {
                let mut from = 0;
                while let Some(range) = card::find_at(text, from) {
                    from = range.end;
                    found(range);
                }
            }
            Self::Detector(Detector::AwsSecretKey, _) if looks_like_aws_secret(text) => {
                found(0..text.len());
            }
            Self::Detector(detector, forms) => {
                let forms =
                    forms.iter().enumerate().filter(|(form, _)| is_worth_a_search(*detector, *form, text));
                for (form, regex) in forms {
                    secrets(regex, text, |secret| {
                        if holds(*detector, form, text, &secret) {
                            found(secret);
                        }
                    });
                }
            }
        }
    }
}

/// A regular expression over bytes, bounded in what it may cost.
pub(super) fn pattern(source: &str) -> Result<Regex, regex::Error> {
    // Ten times what the longest of the forms here takes; keeps a configuration from asking for gigabytes.
    RegexBuilder::new(source).size_limit(10 << 20).build()
}

/// Calls with what a form finds: its group, where it has one.
fn secrets(form: &Regex, text: &[u8], mut found: impl FnMut(Range<usize>)) {
    if form.captures_len() == 1 {
        form.find_iter(text).for_each(|place| found(place.range()));
        return;
    }
    for captures in form.captures_iter(text) {
        if let Some(place) = captures.get(1) {
            found(place.range());
        }
    }
}

/// Spares a text the forms that a look is cheaper than.
fn is_worth_a_search(detector: Detector, form: usize, text: &[u8]) -> bool {
    match (detector, form) {
        (Detector::Email, 0) => memchr(b'@', text).is_some(),
        (Detector::Email, _) => has_escaped_at(text),
        // Access key ids stand in every event of some trails, their secrets in none.
        (Detector::AwsSecretKey, 1) => has_secret_row(text),
        // The name of a header in any capitals is slow to look for, the words behind it are not.
        (Detector::BearerToken, 1) => has(text, b"earer") || has(text, b"EARER"),
        (Detector::BasicCredentials, 1) => has(text, b"asic") || has(text, b"ASIC"),
        _ => true,
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}

/// Whether there is an `@` as JSON or a URL escapes it.
fn has_escaped_at(text: &[u8]) -> bool {
    memmem::find_iter(text, b"40").any(|at| {
        let before = text.get(..at).unwrap_or_default();
        [b"%".as_slice(), b"%25", b"u00"].iter().any(|mark| before.ends_with(mark))
    })
}

/// Whether what a form found is what it looks like, for what an expression cannot say or says slowly.
fn holds(detector: Detector, form: usize, text: &[u8], secret: &Range<usize>) -> bool {
    match (detector, form) {
        (Detector::AwsAccessKey, _) => {
            !text.get(secret.end).is_some_and(|next| next.is_ascii_uppercase() || next.is_ascii_digit())
        }
        // Words that end in `sk` before a hyphen.
        (Detector::ApiKey, 1) => {
            let before = secret.start.checked_sub(1).and_then(|before| text.get(before));
            !before.is_some_and(u8::is_ascii_alphabetic)
        }
        // No header's name stands in front of it, and the word `Basic` has many meanings.
        (Detector::BasicCredentials, 0) => is_name_and_password(text.get(secret.clone()).unwrap_or_default()),
        _ => true,
    }
}

/// Whether it is base64 of a text with a colon (RFC 7617).
fn is_name_and_password(encoded: &[u8]) -> bool {
    let end = encoded.iter().position(|byte| matches!(byte, b'=' | b'%')).unwrap_or(encoded.len());
    let decoded = STANDARD_NO_PAD.decode(encoded.get(..end).unwrap_or_default()).unwrap_or_default();
    decoded.contains(&b':')
        && std::str::from_utf8(&decoded).is_ok_and(|text| !text.contains(char::is_control))
}

/// Forty characters of base64 of every class, as AWS makes them: no hash in hex, no name, no path.
pub(super) fn looks_like_aws_secret(text: &[u8]) -> bool {
    let has = |test: fn(&u8) -> bool| text.iter().any(test);
    text.len() == AWS_SECRET_BYTES
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+'))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
}
