//! What each detector finds in a text.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::{Detector, card};

/// Changes whenever a detector's forms do, so that the rules' digest does.
pub(super) const VERSION: u32 = 1;

/// Length of an AWS secret access key.
pub(super) const AWS_SECRET_BYTES: usize = 40;

/// A way to find something in a text.
#[derive(Debug)]
pub(super) enum Finder {
    Card,
    Regex(Regex),
    /// By the name in front of it, or by the whole text's look.
    AwsSecret(Regex),
}

impl Finder {
    pub(super) fn of(detector: Detector) -> Result<Self, regex::Error> {
        Ok(match form(detector) {
            None => Self::Card,
            Some(form) if detector == Detector::AwsSecretKey => Self::AwsSecret(pattern(form)?),
            Some(form) => Self::Regex(pattern(form)?),
        })
    }

    /// Calls with every place where something is found.
    pub(super) fn each(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        match self {
            Self::Card => {
                let mut from = 0;
                while let Some(range) = card::find_at(text, from) {
                    from = range.end;
                    found(range);
                }
            }
            Self::AwsSecret(_) if looks_like_aws_secret(text) => found(0..text.len()),
            Self::Regex(regex) | Self::AwsSecret(regex) => {
                regex
                    .find_iter(text)
                    .filter(|found| !found.is_empty())
                    .for_each(|place| found(place.range()));
            }
        }
    }
}

/// A regular expression over bytes, bounded in what it may cost.
pub(super) fn pattern(source: &str) -> Result<Regex, regex::Error> {
    // Ten times what the longest of the forms here takes; keeps a configuration from asking for gigabytes.
    RegexBuilder::new(source).size_limit(10 << 20).build()
}

/// The form that a detector looks for; `None` for cards, which no expression describes.
fn form(detector: Detector) -> Option<&'static str> {
    Some(match detector {
        Detector::Card => return None,
        Detector::Email => {
            r"(?-u)[A-Za-z0-9._%+\-\x80-\xff]+@(?:[A-Za-z0-9\-\x80-\xff]+\.)+[A-Za-z\x80-\xff]{2,}"
        }
        Detector::Jwt => r"(?-u)\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,3}",
        Detector::BearerToken => r"(?-u)\b(?:Bearer|bearer|BEARER)[ \t]+[A-Za-z0-9._~+/-]{20,}=*",
        Detector::AwsAccessKey => r"(?-u)\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
        Detector::AwsSecretKey => {
            r#"(?-u)(?:[Ss]ecret|SECRET)[_-]?(?:[Aa]ccess|ACCESS)?[_-]?(?:[Kk]ey|KEY)["']?\s*(?:=>|[=:])\s*["']?[A-Za-z0-9/+]{40,}"#
        }
        Detector::PrivateKey => {
            r"(?s-u)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)"
        }
        Detector::ApiKey => {
            r"(?x-u)\b(?:
                gh[pousr]_[A-Za-z0-9]{36,}
              | github_pat_[A-Za-z0-9_]{22,}
              | glpat-[A-Za-z0-9_-]{20,}
              | xox[abeoprs]-[A-Za-z0-9-]{10,}
              | xapp-[A-Za-z0-9-]{10,}
              | sk-[A-Za-z0-9_-]{20,}
              | [rs]k_(?:live|test)_[A-Za-z0-9]{16,}
              | AIza[A-Za-z0-9_-]{35}
              | npm_[A-Za-z0-9]{36}
              | pypi-[A-Za-z0-9_-]{50,}
              | hf_[A-Za-z0-9]{30,}
              | hvs\.[A-Za-z0-9_-]{24,}
              | dop_v1_[a-f0-9]{64}
              | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
            )"
        }
    })
}

/// Parts that a text with something of a form has, for a quick look. Of the AWS secret key by its look there is none.
pub(super) fn literals(detector: Detector) -> &'static [&'static str] {
    match detector {
        // Looked for in other ways.
        Detector::Card | Detector::Email => &[],
        Detector::Jwt => &["eyJ"],
        Detector::BearerToken => &["Bearer", "bearer", "BEARER"],
        Detector::AwsAccessKey => &["AKIA", "ASIA", "ABIA", "ACCA"],
        Detector::AwsSecretKey => &["ecret", "ECRET"],
        Detector::PrivateKey => &["-----BEGIN"],
        Detector::ApiKey => &[
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "glpat-",
            "xox",
            "xapp-",
            "sk-",
            "k_live_",
            "k_test_",
            "AIza",
            "npm_",
            "pypi-",
            "hf_",
            "hvs.",
            "dop_v1_",
            "SG.",
        ],
    }
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
