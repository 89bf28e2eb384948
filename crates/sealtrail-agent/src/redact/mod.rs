//! Redaction: what is taken out of records before a line exists (`docs/spec/01-lines.md` section 1.6).
//!
//! Detectors find card numbers, e-mail addresses and secrets by their form, in every text a client can fill: bodies and
//! attributes however deep, event names, severity texts, and the attributes of resources and scopes. Rules of the
//! configuration select values by their path, texts by a pattern, or both:
//!
//! ```toml
//! detectors = ["card", "private-key"]  # all of them where this is not said
//! detector-action = "mask"
//!
//! [[rules]]
//! action = "hash"
//! select = ["attributes.\"user.email\"", "resource.attributes.host.name"]
//!
//! [[rules]]
//! action = "drop"
//! select = ["body.*.password"]
//!
//! [[rules]]
//! action = "mask"
//! pattern = "emp-[0-9]{6}"
//! ```
//!
//! Not looked at: the keys of attributes and lists, values that are bytes (a path can select them), ids, schema URLs,
//! entity references, names and versions of scopes. Numbers are not searched for patterns either; a path selects them.
//! A record is malformed or too deep, and so a stub, whatever the rules are.
//!
//! The rules' [digest](RedactionRules::digest) stands in the epoch's open; the key of keyed hashes does not enter it.

mod card;
mod config;
mod detect;
mod forms;
mod path;
mod prefilter;
mod redactor;
mod rules;
mod words;

pub use config::{Action, Detector, RedactionConfig, RuleConfig};
pub use rules::{RedactionError, RedactionRules};

pub(crate) use path::{Root, Scope};
pub(crate) use redactor::{Finding, Redactor};
pub(crate) use words::Ahead;
