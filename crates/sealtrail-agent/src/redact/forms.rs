//! The forms that detectors look for, as expressions over bytes, and the words that a text with one of them has.
//!
//! Secrets come as they are and inside other things: glued to a name (`tok_eyJ…`), in JSON that is a string inside JSON, in
//! XML, in the query of a URL, on a command line. So no form asks for a boundary in front where its own mark is rare enough.
//! Where an expression has a group, the group is the secret and what stands around it stays.

use super::Detector;

/// Characters of a token, as RFC 6750 has them, and percent escapes.
macro_rules! token {
    () => {
        r"[A-Za-z0-9._~+/%-]"
    };
}

/// Between a name and its value: quotes, however often escaped, with `=`, `:`, `>`, commas or spaces, or their escapes.
macro_rules! between {
    () => {
        r#"(?:\\+u003[adeADE]|%22|%3[ADEade]|&quot;|[\\"'\s=:>,]){1,16}"#
    };
}

/// Forty characters of base64 or more, slashes and plus signs escaped or not.
macro_rules! aws_secret {
    () => {
        r"((?:[A-Za-z0-9/+]|\\+/|\\+u002[BbFf]|%2[BbFf]){40,})"
    };
}

/// The expressions of a detector. None for cards, which no expression describes.
pub(super) fn expressions(detector: Detector) -> &'static [&'static str] {
    match detector {
        Detector::Card => &[],
        Detector::Email => &[
            r"(?-u)[A-Za-z0-9._%+\-\x80-\xff]+@(?:[A-Za-z0-9\-\x80-\xff]+\.)+[A-Za-z\x80-\xff]{2,}",
            // `@` as JSON and URLs escape it, even twice over.
            r"(?-u)[A-Za-z0-9._+\-\x80-\xff]+(?:\\+u0040|%(?:25)*40)(?:[A-Za-z0-9\-\x80-\xff]+\.)+[A-Za-z\x80-\xff]{2,}",
        ],
        Detector::Jwt => &[
            r"(?-u)eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,3}",
            // With white space behind the header's brace, see `holds`: words begin in the same way.
            r"(?-u)(?:eyA|ew[0ko])[giJKN][A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,3}",
        ],
        Detector::BearerToken => &[
            concat!(r"(?-u)(?:Bearer|bearer|BEARER)(?:[ \t]+|%20|\+)", token!(), r"{20,}=*"),
            // Of any length, behind the name of the header.
            r#"(?-u)(?i:authorization)[\\"'\s]*[:=,][\\"'\s\[>]*((?:Bearer|bearer|BEARER)[ \t]+[^\s"'\\,;<>\]]+)"#,
        ],
        Detector::BasicCredentials => &[
            r"(?-u)(?:Basic|basic|BASIC)(?:[ \t]+|%20|\+)([A-Za-z0-9+/]{8,}(?:=|%3[Dd]){0,2})",
            r#"(?-u)(?i:authorization)[\\"'\s]*[:=,][\\"'\s\[>]*(?:Basic|basic|BASIC)[ \t]+([A-Za-z0-9+/_-]{2,}={0,2})"#,
        ],
        Detector::AwsAccessKey => &[r"(?-u)(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"],
        Detector::AwsSecretKey => &[
            concat!(
                r"(?-u)(?:[Ss]ecret|SECRET)[ ._-]?(?:[Aa]ccess|ACCESS)?[ ._-]?(?:[Kk]ey|KEY)",
                between!(),
                aws_secret!()
            ),
            // Beside its key id, as in `AKIA…:…` and in a row of CSV.
            r#"(?-u)(?:AKIA|ASIA)[A-Z0-9]{16}[\\"'\s:;,|]{1,8}([A-Za-z0-9/+]{40,})"#,
        ],
        Detector::PrivateKey => &[
            r"(?s-u)-----BEGIN(?:[A-Z0-9 +]|%20)*PRIVATE(?:[ +]|%20)KEY(?:(?:[ +]|%20)BLOCK)?-----.*?(?:-----END(?:[A-Z0-9 +]|%20)*PRIVATE(?:[ +]|%20)KEY(?:(?:[ +]|%20)BLOCK)?-----|\z)",
        ],
        Detector::ApiKey => &[
            r"(?x-u)(?:
                gh[pousr]_[A-Za-z0-9]{36,}
              | github_pat_[A-Za-z0-9_]{22,}
              | gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_-]{20,}(?:\.[a-z0-9]{2,9})*
              | xox[abcdeoprs][-.][A-Za-z0-9%.-]{10,}
              | xapp-[A-Za-z0-9-]{10,}
              | hooks\.slack\.com/services/[A-Za-z0-9_/]{20,}
              | [rs]k_(?:live|test)_[A-Za-z0-9]{16,}
              | whsec_[A-Za-z0-9+/]{24,}=*
              | AIza[A-Za-z0-9_-]{35}
              | GOCSPX-[A-Za-z0-9_-]{28}
              | ya29\.[A-Za-z0-9_-]{20,}
              | npm_[A-Za-z0-9]{36}
              | pypi-[A-Za-z0-9_-]{50,}
              | hf_[A-Za-z0-9]{30,}
              | hv[sbr]\.[A-Za-z0-9_-]{24,}
              | do[opr]_v1_[a-f0-9]{64}
              | dckr_pat_[A-Za-z0-9_-]{20,}
              | SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}
            )",
            // Not behind a letter, see `holds`: `task-…`, `disk-…`.
            r"(?-u)sk-[A-Za-z0-9_-]{20,}",
        ],
    }
}

/// Words of which a text with something of a form has one, for a quick look. Of the AWS secret key by its look there is none.
///
/// All together stay below 64, the most that are searched for at once with vector instructions; beyond that the search takes
/// twice as long. Hence beginnings in place of each word.
pub(super) fn literals(detector: Detector) -> &'static [&'static str] {
    match detector {
        // Looked for in another way.
        Detector::Card => &[],
        // A plain `@` too is looked for in another way.
        Detector::Email => &["u0040", "%40", "%2540"],
        // `{"` and a letter; `{` and a space; `{`, the end of a line or a tab, then one more of these or `"`.
        Detector::Jwt => &["eyJ", "eyA", "ewog", "ewoi", "ewoJ", "ewoK", "ewoN", "ew0", "ewk"],
        Detector::BearerToken => &["earer", "EARER"],
        Detector::BasicCredentials => &["asic", "ASIC"],
        Detector::AwsAccessKey => &["AKIA", "ASIA", "ABIA", "ACCA"],
        Detector::AwsSecretKey => &["ecret", "ECRET", "AKIA", "ASIA"],
        Detector::PrivateKey => &["-----BEGIN"],
        Detector::ApiKey => &[
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "_pat_",
            "glpat-",
            "gldt-",
            "glrt-",
            "glcbt-",
            "glptt-",
            "glft-",
            "glsoat-",
            "glagent-",
            "xox",
            "xapp-",
            "hooks.slack.com",
            "k_live_",
            "k_test_",
            "whsec_",
            "AIza",
            "GOCSPX-",
            "ya29.",
            "npm_",
            "pypi-",
            "hf_",
            "hvs.",
            "hvb.",
            "hvr.",
            "_v1_",
            "SG.",
            "sk-",
        ],
    }
}
