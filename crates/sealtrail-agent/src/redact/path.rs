//! Paths that select values, and how far they have matched on the way down to one.

use super::Action;

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    Attributes,
    Body,
    EventName,
    SeverityText,
    ResourceAttributes,
    ScopeAttributes,
}

/// What holds at one place of a record: which paths may still match below it, and which patterns it is searched for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// Its part of the paths that are followed, see [`Paths`].
    from: usize,
    to: usize,
    /// One bit for each pattern rule that paths have brought into force here.
    pub(super) patterns: u64,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// A key or, with the segments behind it, part of one that has dots.
    Plain(String),
    /// This key.
    Quoted(String),
    /// Any key.
    Any,
}

/// A path, and what it brings about where it ends.
#[derive(Debug)]
pub(super) struct Path {
    root: Root,
    segments: Vec<Segment>,
    effect: Effect,
}

/// What a path's end means for the value there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    /// The value as a whole.
    Whole(Action),
    /// The value and all in it are searched for this rule's pattern.
    Search(u32),
}

impl Path {
    /// Reads a selector; `None` where it is not one.
    pub(super) fn parse(selector: &str, effect: Effect) -> Option<Self> {
        let roots = [
            ("resource.attributes", Root::ResourceAttributes),
            ("scope.attributes", Root::ScopeAttributes),
            ("attributes", Root::Attributes),
            ("body", Root::Body),
            ("eventName", Root::EventName),
            ("severityText", Root::SeverityText),
        ];
        let (root, rest) =
            roots.iter().find_map(|(name, root)| selector.strip_prefix(name).map(|rest| (*root, rest)))?;
        let segments = match rest {
            "" => Vec::new(),
            rest => segments(rest.strip_prefix('.')?)?,
        };
        let fits = match root {
            Root::Body => true,
            Root::EventName | Root::SeverityText => segments.is_empty(),
            Root::Attributes | Root::ResourceAttributes | Root::ScopeAttributes => !segments.is_empty(),
        };
        fits.then_some(Self { root, segments, effect })
    }

    /// How many segments from `at` this key takes, each way it can: a key with dots may take several.
    fn matches(&self, at: usize, key: &[u8], mut taken: impl FnMut(usize)) {
        match self.segments.get(at) {
            Some(Segment::Any) => taken(1),
            Some(Segment::Quoted(name)) if name.as_bytes() == key => taken(1),
            Some(Segment::Plain(_)) => {
                let mut rest = key;
                let plain = self.segments.iter().skip(at).map_while(|segment| match segment {
                    Segment::Plain(name) => Some(name.as_bytes()),
                    _ => None,
                });
                for (index, name) in plain.enumerate() {
                    match rest.strip_prefix(name) {
                        Some([]) => return taken(index + 1),
                        Some([b'.', after @ ..]) => rest = after,
                        _ => return,
                    }
                }
            }
            _ => {}
        }
    }
}

/// The segments of a path behind its root.
fn segments(text: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut rest = text;
    loop {
        let after = if let Some(quoted) = rest.strip_prefix('"') {
            let (name, after) = quoted_name(quoted)?;
            segments.push(Segment::Quoted(name));
            after
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end)?;
            segments.push(match name {
                "" => return None,
                "*" => Segment::Any,
                name if name.contains(['"', '*']) => return None,
                name => Segment::Plain(name.to_owned()),
            });
            after
        };
        match after {
            "" => return Some(segments),
            after => rest = after.strip_prefix('.')?,
        }
    }
}

/// The name up to its closing quote, and what stands behind that.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((name, chars.as_str())),
            '\\' => name.push(chars.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => name.push(other),
        }
    }
}

/// The paths followed from a record's roots down to the value looked at: a stack of (path, segments matched). A
/// [`Scope`] is a part of it; leaving the scope takes it off again.
#[derive(Debug, Default)]
pub(super) struct Paths {
    followed: Vec<(u32, u32)>,
}

impl Paths {
    pub(super) fn clear(&mut self) {
        self.followed.clear();
    }

    /// The scope at a root, and what is done with the value there as a whole. `patterns` are in force everywhere.
    pub(super) fn root(&mut self, paths: &[Path], root: Root, patterns: u64) -> (Scope, Option<Action>) {
        let from = self.followed.len();
        let mut reached = Reached { patterns, action: None };
        for (index, path) in paths.iter().enumerate().filter(|(_, path)| path.root == root) {
            if path.segments.is_empty() {
                reached.end(path.effect);
            } else {
                self.followed.push((index as u32, 0));
            }
        }
        (Scope { from, to: self.followed.len(), patterns: reached.patterns }, reached.action)
    }

    /// The scope of a key's value inside `scope`.
    pub(super) fn enter(&mut self, paths: &[Path], scope: Scope, key: &[u8]) -> (Scope, Option<Action>) {
        let from = self.followed.len();
        let mut reached = Reached { patterns: scope.patterns, action: None };
        for index in scope.from..scope.to {
            let Some((number, at)) = self.followed.get(index).copied() else { break };
            let Some(path) = paths.get(number as usize) else { continue };
            path.matches(at as usize, key, |taken| {
                let at = at as usize + taken;
                if at == path.segments.len() {
                    reached.end(path.effect);
                } else {
                    self.followed.push((number, at as u32));
                }
            });
        }
        (Scope { from, to: self.followed.len(), patterns: reached.patterns }, reached.action)
    }

    pub(super) fn leave(&mut self, scope: Scope) {
        self.followed.truncate(scope.from);
    }
}

/// What the paths that end at a value bring about together.
struct Reached {
    patterns: u64,
    action: Option<Action>,
}

impl Reached {
    fn end(&mut self, effect: Effect) {
        match effect {
            // Actions are ordered, the one that leaves least first.
            Effect::Whole(action) => {
                self.action = Some(self.action.map_or(action, |other| other.min(action)))
            }
            Effect::Search(rule) => self.patterns |= 1 << rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let plain = |name: &str| Segment::Plain(name.to_owned());
        let quoted = |name: &str| Segment::Quoted(name.to_owned());
        let parse = |text: &str| Path::parse(text, Effect::Search(0)).map(|path| (path.root, path.segments));
        assert_eq!(parse("body"), Some((Root::Body, vec![])));
        assert_eq!(parse("body.*.a"), Some((Root::Body, vec![Segment::Any, plain("a")])));
        assert_eq!(
            parse("attributes.user.email"),
            Some((Root::Attributes, vec![plain("user"), plain("email")]))
        );
        assert_eq!(
            parse(r#"attributes."a.\"\\*".b"#),
            Some((Root::Attributes, vec![quoted(r#"a."\*"#), plain("b")]))
        );
        assert_eq!(parse("resource.attributes.*"), Some((Root::ResourceAttributes, vec![Segment::Any])));
        assert_eq!(parse("eventName"), Some((Root::EventName, vec![])));
        for refused in [
            "",
            "attributes",
            "resource",
            "resource.attributes",
            "eventName.a",
            "bodyx",
            "body.",
            "body..a",
            "body.a*",
            "body.\"a",
            "body.\"a\"b",
            "body.\"\\a\"",
            "attributes.",
            "traceId",
        ] {
            assert_eq!(parse(refused), None, "{refused}");
        }
    }

    #[test]
    fn ways_down() {
        let paths: Vec<Path> = ["attributes.a.b.c", "attributes.\"a.b\".*", "attributes.*.x"]
            .iter()
            .enumerate()
            .map(|(rule, text)| Path::parse(text, Effect::Search(rule as u32)).unwrap())
            .collect();
        let found = |keys: &[&str]| {
            let mut followed = Paths::default();
            let mut scope = followed.root(&paths, Root::Attributes, 0).0;
            for key in keys {
                scope = followed.enter(&paths, scope, key.as_bytes()).0;
            }
            scope.patterns
        };
        assert_eq!(found(&["a.b.c"]), 1);
        assert_eq!(found(&["a", "b", "c"]), 1);
        assert_eq!(found(&["a.b", "c"]), 3);
        assert_eq!(found(&["a", "b.c", "d"]), 1);
        assert_eq!(found(&["a.b", "x"]), 6);
        assert_eq!(found(&["a.bc"]), 0);
        assert_eq!(found(&["a", "b"]), 0);
        assert_eq!(found(&["q", "x", "deep"]), 4);
    }
}
