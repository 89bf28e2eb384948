//! Golden files: every structure of the format as language-neutral JSON, accepted ones with what they say, refused ones
//! with the class of their one defect (`testdata/vectors/README.md`).
//!
//! [`files`] makes all of them from fixed seeds, so that they come out the same every time. What cannot (ECDSA signs
//! with fresh randomness, compressors change) is [`Kept`]. [`judge`] says what this code makes of a case.

mod annotate;
mod body;
mod cbor;
mod control;
mod evidence;
mod examples;
mod json;
mod judge;
mod kept;
mod ledger;
mod lines;
mod log;
mod policy;
mod proofs;
mod receipts;
mod seeds;
mod segments;
mod statements;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

pub use examples::examples;
pub use judge::judge;
pub use kept::Kept;
pub use seeds::seeds;
pub use world::World;

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The kind of structure: a directory below `accept` and `reject`.
    pub structure: &'static str,
    /// What the case shows, as a file name.
    pub name: String,
    /// The same in words.
    pub about: String,
    /// Where the text says so.
    pub spec: &'static str,
    /// What a checker is given.
    pub input: Value,
    /// The class of the defect; `None` where there is none.
    pub class: Option<&'static str>,
}

/// The cases of one structure as they are written down.
struct Set {
    structure: &'static str,
    spec: &'static str,
    cases: Vec<Case>,
}

impl Set {
    fn new(structure: &'static str, spec: &'static str) -> Self {
        Self { structure, spec, cases: Vec::new() }
    }

    fn accept(&mut self, name: &str, about: &str, input: Value) {
        self.push(name, about, input, None);
    }

    fn reject(&mut self, name: &str, class: &'static str, about: &str, input: Value) {
        self.push(name, about, input, Some(class));
    }

    fn push(&mut self, name: &str, about: &str, input: Value, class: Option<&'static str>) {
        let (structure, spec) = (self.structure, self.spec);
        let same = self.cases.iter().any(|case| case.name == name && case.class.is_some() == class.is_some());
        assert!(!same, "two cases `{structure}/{name}`");
        self.cases.push(Case {
            structure,
            name: name.to_owned(),
            about: about.to_owned(),
            spec,
            input,
            class,
        });
    }
}

/// All cases.
#[must_use]
pub fn cases(world: &World, kept: &Kept) -> Vec<Case> {
    let sets = [
        cbor::cases(),
        lines::headers(),
        lines::contexts(),
        lines::records(),
        lines::stubs(),
        body::leaves(world),
        body::disclosures(world),
        body::bodies(world, kept),
        statements::statements(world, kept),
        statements::bindings(world),
        log::entries(world),
        log::verifier_keys(world),
        log::checkpoints(world),
        log::tile_paths(),
        log::bundles(world),
        proofs::inclusion(),
        proofs::consistency(),
        receipts::receipts(world),
        segments::segments(world),
        evidence::evidence(world, kept),
        control::control(world),
        policy::policies(world),
        ledger::ledgers(world),
    ];
    sets.into_iter().flat_map(|set| set.cases).collect()
}

/// All golden files: path below `testdata/vectors` and text.
///
/// # Panics
/// Where this code judges a case otherwise than the case says.
#[must_use]
pub fn files(kept: &Kept) -> BTreeMap<String, String> {
    let world = World::new(kept);
    let (mut files, mut wrong) = (BTreeMap::new(), Vec::new());
    for case in cases(&world, kept) {
        let (folder, expect) = match (judge(case.structure, &case.input), case.class) {
            (Ok(fields), None) => ("accept", fields),
            (Err(found), Some(class)) if found == class => ("reject", json!({ "class": class })),
            (found, class) => {
                wrong.push(format!("`{}/{}` expects {class:?}, found {found:?}", case.structure, case.name));
                continue;
            }
        };
        let file = json!({ "about": case.about, "expect": expect, "input": case.input, "spec": case.spec });
        files.insert(format!("{folder}/{}/{}.json", case.structure, case.name), json::pretty(&file));
    }
    assert!(wrong.is_empty(), "cases judged otherwise than they say:\n{}", wrong.join("\n"));
    files
}

/// The golden files that stand below a directory: relative path and text.
///
/// # Errors
/// Disk trouble.
pub fn stored(directory: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for folder in ["accept", "reject", "kept"] {
        collect(directory, &directory.join(folder), &mut files)?;
    }
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.insert(name.to_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
