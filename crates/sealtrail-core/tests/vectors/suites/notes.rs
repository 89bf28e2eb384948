//! Signed notes: the C2SP cases, and every one of them through Cloudflare's `signed_note` too.

use sealtrail_core::checkpoint::{CheckpointBody, LedgerKey, UnverifiedCheckpoint};
use sealtrail_core::key::Signer as _;
use sealtrail_core::name::TreeSize;
use sealtrail_core::note::{NOTE_BYTES_MAX, NoteError, UnverifiedNote, VerifierKey};
use signed_note::{Note, StandardVerifier, Verifier, VerifierList};

use super::{from_base64, json};
use crate::make;

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

/// A checkpoint of ours, and the ledger's key.
fn checkpoint() -> (Vec<u8>, LedgerKey) {
    let (signer, place) = (make::ed25519(9), make::place());
    let ledger = LedgerKey::new(place.ledger.clone(), signer.public_key().raw().try_into().unwrap());
    let body =
        CheckpointBody { origin: place.ledger.origin(place.trail), size: TreeSize(12_345), root: [6; 32] };
    (body.sign(&signer).unwrap(), ledger)
}

#[test]
fn our_checkpoints_open_elsewhere() {
    let (note, ledger) = checkpoint();
    let vkey = ledger.verifier_key(make::place().trail);
    assert_eq!(open_elsewhere(&note, &[&vkey.to_string()]), Some(vec![vkey.name().to_owned()]));
    let text = Note::from_bytes(&note).unwrap().text().to_vec();
    let theirs = tlog_tiles::Checkpoint::from_bytes(&text).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (vkey.name(), 12_345, [6; 32]));
    assert_eq!(theirs.extension(), "");
}

#[test]
fn no_changed_byte_of_a_checkpoint_verifies() {
    let (note, ledger) = checkpoint();
    let trail = make::place().trail;
    let verifies =
        |note: &[u8]| UnverifiedCheckpoint::decode(note).is_ok_and(|c| c.verify(&ledger, trail).is_ok());
    assert!(verifies(&note));
    let mut changed = note.clone();
    for at in 0..note.len() {
        for value in (0..=255).filter(|value| *value != note[at]) {
            changed[at] = value;
            assert!(!verifies(&changed), "byte {at} as {value}");
        }
        changed[at] = note[at];
        assert!(!verifies(&note[..at]));
    }
    println!("checkpoint of {} bytes: no changed byte verifies", note.len());
}

/// Found here: signatures were told apart by name alone, so a second key of one name went unchecked.
#[test]
fn two_keys_of_one_name_are_both_checked() {
    let text = "text\n";
    let keys: Vec<VerifierKey> = [1, 2]
        .map(|n| {
            VerifierKey::new("log.test", make::ed25519(n).public_key().raw().try_into().unwrap()).unwrap()
        })
        .to_vec();
    let line = |n: u8, text: &str| {
        keys[usize::from(n) - 1].signature_line(&make::ed25519(n).sign(text.as_bytes()).unwrap())
    };
    let good = format!("{text}\n{}{}", line(1, text), line(2, text));
    let note = UnverifiedNote::decode(good.as_bytes()).unwrap();
    assert_eq!(note.verify(&keys), Ok(vec!["log.test".to_owned(), "log.test".to_owned()]));
    let bad = format!("{text}\n{}{}", line(1, text), line(2, "another text\n"));
    let note = UnverifiedNote::decode(bad.as_bytes()).unwrap();
    assert_eq!(note.verify(&keys), Err(NoteError::BadSignature("log.test".to_owned())));
    assert_eq!(note.verify(&keys[..1]), Ok(vec!["log.test".to_owned()]));
}

/// Of several lines with one name and key id the first counts, good or bad.
#[test]
fn the_first_of_two_lines_counts() {
    let text = "text\n";
    let key = VerifierKey::new("log.test", make::ed25519(1).public_key().raw().try_into().unwrap()).unwrap();
    let good = key.signature_line(&make::ed25519(1).sign(text.as_bytes()).unwrap());
    let bad = key.signature_line(&[0; 64]);
    let verify = |lines: String| {
        let note = format!("{text}\n{lines}");
        UnverifiedNote::decode(note.as_bytes()).unwrap().verify(std::slice::from_ref(&key))
    };
    assert!(verify(format!("{good}{bad}")).is_ok());
    assert!(verify(format!("{bad}{good}")).is_err());
}

/// Bounds of a note (`docs/spec/04-log.md` 4.3), on both sides of each.
#[test]
fn a_note_has_bounds() {
    let key = VerifierKey::new("log.test", make::ed25519(1).public_key().raw().try_into().unwrap()).unwrap();
    let note = |text: &str, lines: usize| {
        let line = key.signature_line(&make::ed25519(1).sign(text.as_bytes()).unwrap());
        format!("{text}\n{}", line.repeat(lines)).into_bytes()
    };
    let judge =
        |note: &[u8]| UnverifiedNote::decode(note).and_then(|note| note.verify(std::slice::from_ref(&key)));
    assert!(judge(&note("text\n", 100)).is_ok());
    assert_eq!(judge(&note("text\n", 101)), Err(NoteError::Malformed("more than 100 signatures")));
    let rest = note("\n", 1).len() - 1;
    for (bytes, good) in [(NOTE_BYTES_MAX, true), (NOTE_BYTES_MAX + 1, false)] {
        let text = format!("{}\n", "t".repeat(bytes - rest - 1));
        let note = note(&text, 1);
        assert_eq!((note.len(), judge(&note).is_ok()), (bytes, good));
    }
}

/// A line has a name without spaces and plus signs, a key id and at least a byte of signature.
#[test]
fn a_signature_line_has_one_form() {
    let judge = |line: &str| UnverifiedNote::decode(format!("text\n\n{line}\n").as_bytes()).is_ok();
    assert!(judge("— a AAAAAAA="));
    for bad in [
        "— a AAAAAA==",
        "— a AAAAAA",
        "— a+b AAAAAAA=",
        "—  AAAAAAA=",
        "— a\u{a0}b AAAAAAA=",
        "— a",
        "- a AAAAAAA=",
        "",
    ] {
        assert!(!judge(bad), "{bad:?}");
    }
}
