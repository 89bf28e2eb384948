//! Redaction as an operator writes it.

use serde::{Deserialize, Serialize};

/// What is redacted. Without anything said: every detector, masking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RedactionConfig {
    /// `false` switches all of it off.
    pub enabled: bool,
    /// Which forms are looked for in every text.
    pub detectors: Vec<Detector>,
    /// What is done with what they find.
    pub detector_action: Action,
    /// What else is redacted. At most 64.
    pub rules: Vec<RuleConfig>,
}

impl Default for RedactionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            detectors: Detector::ALL.to_vec(),
            detector_action: Action::Mask,
            rules: Vec::new(),
        }
    }
}

/// One rule. It needs a selector, or a pattern or detector; with both, the pattern is looked for in the selected values
/// and in all that they contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RuleConfig {
    /// What is done.
    pub action: Action,
    /// Paths of the values meant: `attributes.…`, `body`, `body.…`, `eventName`, `severityText`,
    /// `resource.attributes.…`, `scope.attributes.…`.
    ///
    /// A path names keys, joined by dots. A key that has dots itself may be written as it is (`attributes.user.email`
    /// is both the attribute `user.email` and `email` inside `user`) or, to mean only the one key, in quotes. `*` is
    /// any one key. A path goes through arrays as if they were not there. In quotes, `\"` and `\\` are `"` and `\`.
    #[serde(default)]
    pub select: Vec<String>,
    /// A regular expression (syntax of the `regex` crate) over texts.
    #[serde(default)]
    pub pattern: Option<String>,
    /// A detector in place of a pattern.
    #[serde(default)]
    pub detector: Option<Detector>,
}

/// What is done with what was found or selected. Where several apply to one value, the first of these does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The value is left out: an attribute with its key, an element of an array, the whole body. Of a pattern that
    /// matches part of a text, the whole text.
    Drop,
    /// What was matched, or the selected value, becomes `[redacted]`.
    Mask,
    /// What was matched, or the selected value, becomes `hmac-sha256:` and 32 hex digits: equal values stay
    /// recognisable within one key. A value that is not text is hashed in the form it would have in a line.
    Hash,
}

/// A form that secrets and personal data have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// Payment card numbers: 13 to 19 digits, plain or in groups, of a known network, with the right check digit.
    Card,
    /// E-mail addresses.
    Email,
    /// JSON web tokens (RFC 7515, RFC 7516).
    Jwt,
    /// Bearer tokens (RFC 6750), the word `Bearer` included.
    BearerToken,
    /// Names and passwords of HTTP's basic authentication (RFC 7617).
    BasicCredentials,
    /// AWS access key ids, long-lived and temporary.
    AwsAccessKey,
    /// AWS secret access keys: behind a name that says so or behind their key id, or a text that looks like one from end
    /// to end.
    AwsSecretKey,
    /// Private keys in PEM.
    PrivateKey,
    /// Keys and tokens of services that mark theirs: GitHub, GitLab, Slack, Stripe, OpenAI, Google, npm and others.
    ApiKey,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Card,
        Self::Email,
        Self::Jwt,
        Self::BearerToken,
        Self::BasicCredentials,
        Self::AwsAccessKey,
        Self::AwsSecretKey,
        Self::PrivateKey,
        Self::ApiKey,
    ];
}
