//! Signed notes: the C2SP cases, and every one of them through Cloudflare's `signed_note` too.

use sealtrail_core::note::{NoteError, UnverifiedNote, VerifierKey};
use signed_note::{Note, StandardVerifier, Verifier, VerifierList};

use super::{from_base64, json};

/// What is open to judgement in the suite, and how the format decides it (`docs/spec/04-log.md` 4.3): at most 100
/// signature lines; any ill-formed line, of whatever key, makes the note malformed; verifier keys are Ed25519 keys, not
/// cosignature keys.
const DECIDED: [(&str, &str); 3] = [
    ("101 signatures", "malformed"),
    ("sigsum checkpoint + alien short signature line", "malformed"),
    ("log RFC6962 signature + witness cosignature/v1", "verifier key"),
];

fn open(note: &[u8], vkeys: &[&str]) -> Result<Vec<String>, NoteError> {
    let keys = vkeys.iter().map(|key| VerifierKey::parse(key)).collect::<Result<Vec<_>, _>>()?;
    UnverifiedNote::decode(note)?.verify(&keys)
}

/// The verified names as `signed_note` has them, `None` where it refuses the note.
fn open_elsewhere(note: &[u8], vkeys: &[&str]) -> Option<Vec<String>> {
    let verifiers =
        vkeys.iter().map(|key| Some(Box::new(StandardVerifier::new(key).ok()?) as Box<dyn Verifier>));
    let known = VerifierList::new(verifiers.collect::<Option<_>>()?);
    let (verified, _) = Note::from_bytes(note).ok()?.verify(&known).ok()?;
    Some(verified.iter().map(|signature| signature.name().to_owned()).collect())
}

#[test]
fn signed_note_cases() {
    let Some(cases) = json("tlog/signed-note-cases.json") else { return };
    let cases = cases.as_array().unwrap();
    let (mut opened, mut refused, mut decided) = (0, 0, 0);
    for case in cases {
        let note = from_base64(&case["note_b64"]);
        let vkeys: Vec<&str> =
            case["vkeys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        let result = open(&note, &vkeys);
        let name = case["name"].as_str().unwrap();
        assert_eq!(result.clone().ok(), open_elsewhere(&note, &vkeys), "{name}: {result:?}");
        if let Some((_, why)) = DECIDED.iter().find(|(decided, _)| *decided == name) {
            assert!(result.unwrap_err().to_string().contains(why), "{name}");
            decided += 1;
        } else if case["expect"] == "ok" {
            let names: Vec<&str> =
                case["verified_keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
            assert_eq!(result.unwrap(), names, "{name}");
            opened += 1;
        } else {
            assert_eq!(case["expect"], "error", "{name}");
            assert!(result.is_err(), "{name}");
            refused += 1;
        }
    }
    println!("signed notes: {opened} open, {refused} refused, {decided} left open by the suite and refused");
    assert_eq!((opened, refused, decided), (6, 9, 3));
}

#[test]
fn verifier_keys_have_one_text() {
    let Some(cases) = json("tlog/signed-note-cases.json") else { return };
    for case in cases.as_array().unwrap() {
        for text in case["vkeys"].as_array().unwrap().iter().filter_map(|key| key.as_str()) {
            let Ok(key) = VerifierKey::parse(text) else { continue };
            assert_eq!(key.to_string(), text);
            // Another digit of the key id, of the key, or of the name: the three no longer belong together.
            for at in 0..text.len() {
                let mut other = text.to_owned().into_bytes();
                other[at] = if other[at] == b'2' { b'3' } else { b'2' };
                assert!(VerifierKey::parse(&String::from_utf8(other).unwrap()).is_err(), "{text} at {at}");
            }
        }
    }
}
