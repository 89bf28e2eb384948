//! Ledgers with exactly one thing wrong, most of them as only a holder of the agent's or the ledger's key could make them.

use std::rc::Rc;

use sealtrail_attest::ReferenceValue;
use sealtrail_core::cbor::Encoder;
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::key::{Algorithm, Signer};
use sealtrail_core::name::{Identity, Name, TrailId, TreeSize};
use sealtrail_core::statement::{
    BatchClaims, Claims, Codec, Known, OpenClaims, Predecessor, Published, seal,
};
use sealtrail_keys::Ed25519Key;

use super::{Case, Expect, FileChange, Plain, plain};
use crate::build::{Epoch, SECOND_NS, records};
use crate::image::Logged;

/// All of them. `seed` varies the ledgers around the one thing that is wrong.
#[must_use]
pub fn bad(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, reason, spoil) in SPOILT {
        let mut ledger = plain(seed);
        let mut case = Case::of(name, &ledger.builder, Expect::Any);
        spoil(&mut ledger, &mut case);
        case.image = ledger.builder.image;
        case.expect = if *reason == "verified" { Expect::Verified } else { Expect::Rejected(reason) };
        cases.push(case);
    }
    cases
}

type Spoil = fn(&mut Plain, &mut Case);

const SPOILT: &[(&str, &str, Spoil)] = &[
    // What the person who holds the disk can do.
    ("one-record-altered", "stored-hash-mismatch", alter_record),
    ("body-removed", "body-missing", |l, _| entries(l)[2].body = None),
    ("body-before-heartbeat", "segment-malformed", |l, _| {
        heartbeat(l);
        entries(l).last_mut().unwrap().body = Some(vec![1]);
    }),
    ("body-before-open", "segment-malformed", |l, _| entries(l)[0].body = Some(vec![1])),
    ("bodies-swapped", "stored-hash-mismatch", |l, _| {
        let body = entries(l)[2].body.take();
        entries(l)[2].body = entries(l)[3].body.replace(body.unwrap());
    }),
    ("checkpoint-missing", "checkpoint-missing", |l, c| {
        c.changes.push(FileChange::Remove(trail_file(l.trail, "checkpoint")));
    }),
    ("checkpoint-not-a-note", "checkpoint-malformed", |l, c| {
        c.changes.push(FileChange::Replace(trail_file(l.trail, "checkpoint"), b"hello\n".to_vec()));
    }),
    ("checkpoint-of-another-trail", "checkpoint-origin", |l, c| {
        let note = l.builder.image.checkpoint(l.builder.image.control, &*l.builder.key);
        c.changes.push(FileChange::Replace(trail_file(l.trail, "checkpoint"), note));
    }),
    ("checkpoint-of-another-key", "checkpoint-unsigned", |l, c| {
        let note = l.builder.image.checkpoint(l.trail, &stranger());
        c.changes.push(FileChange::Replace(trail_file(l.trail, "checkpoint"), note));
    }),
    // Verifies, as a copy of a running ledger would; that something is not covered is a warning.
    ("checkpoints-rolled-back", "verified", |l, c| {
        for trail in [l.builder.image.control, l.trail] {
            let note = l.builder.image.checkpoint(trail, &*l.builder.key);
            c.changes.push(FileChange::Replace(trail_file(trail, "checkpoint"), note));
        }
        heartbeat(l);
        l.builder.publish();
    }),
    ("segment-missing", "trail-truncated", |l, c| {
        c.changes.push(FileChange::Remove(trail_file(l.trail, "segments/0000000000.seg")));
    }),
    ("evidence-removed", "evidence-missing", |l, _| {
        let evidence = open_claims(l).evidence;
        l.builder.image.artefacts.remove(&evidence);
    }),
    ("evidence-altered", "evidence-missing", |l, _| {
        let evidence = open_claims(l).evidence;
        l.builder.image.artefacts.get_mut(&evidence).unwrap()[20] ^= 1;
    }),
    // What the ledger's operator can do, who signs whatever he likes.
    ("batch-removed", "sequence-gap", |l, _| drop(entries(l).remove(3))),
    ("first-batch-removed", "sequence-gap", |l, _| drop(entries(l).remove(1))),
    ("two-batches-swapped", "published-mismatch", |l, _| entries(l).swap(3, 4)),
    ("tail-truncated-behind-receipt", "older-checkpoint", |l, c| {
        heartbeat(l);
        let last = entries(l).len() - 1;
        c.receipts.push(l.builder.image.receipt(l.trail, last, &*l.builder.key));
        entries(l).truncate(last);
    }),
    ("tail-truncated-behind-publication", "trail-truncated", |l, _| drop(entries(l).pop())),
    ("control-tail-truncated", "seen-unknown", |l, _| {
        heartbeat(l);
        let control = l.builder.image.control;
        l.builder.image.trails.get_mut(&control).unwrap().pop();
    }),
    ("open-removed", "unknown-epoch", |l, _| drop(entries(l).remove(0))),
    ("batch-logged-twice", "duplicate-entry", |l, _| {
        let again = entries(l)[2].clone();
        entries(l).push(again);
    }),
    ("open-logged-twice", "duplicate-entry", |l, _| {
        let again = entries(l)[0].clone();
        entries(l).push(again);
    }),
    ("history-rewritten", "published-mismatch", |l, _| {
        let mut logged = entries(l)[5].clone();
        let (statement, ledger_part) = logged.parts();
        let ledger_part = LedgerPart { received_at_ns: ledger_part.received_at_ns + 1, ..ledger_part };
        logged.entry = Entry { statement: &statement, ledger_part }.encode();
        entries(l)[5] = logged;
    }),
    ("another-history-than-the-receipt", "receipt-inconsistent", |l, c| {
        let before = l.epoch.clone();
        heartbeat(l);
        c.receipts.push(l.builder.image.receipt(l.trail, 6, &*l.builder.key));
        entries(l).pop();
        l.epoch = before;
        heartbeat(l);
    }),
    ("receipt-of-another-ledger", "receipt-invalid", |l, c| {
        c.receipts.push(l.builder.image.receipt(l.trail, 1, &stranger()));
    }),
    ("receipt-for-another-statement", "receipt-invalid", |l, c| {
        let statement = |n: usize| entries_of(l)[n].parts().0;
        let receipt = l.builder.image.receipt(l.trail, 1, &*l.builder.key);
        let mut file = sealtrail_core::receipt::ReceiptFile::decode(&receipt).unwrap();
        file.statement = statement(2);
        c.receipts.push(file.encode());
    }),
    ("receipt-truncated", "receipt-malformed", |l, c| {
        let mut receipt = l.builder.image.receipt(l.trail, 1, &*l.builder.key);
        receipt.pop();
        c.receipts.push(receipt);
    }),
    ("receipt-good", "verified", |l, c| {
        c.receipts.push(l.builder.image.receipt(l.trail, 4, &*l.builder.key))
    }),
    ("entry-with-another-version", "entry-malformed", |l, _| entries(l)[5].entry[1] = 2),
    ("entry-extended", "entry-malformed", |l, _| entries(l)[5].entry.push(0)),
    ("trail-never-created", "unknown-stream", |l, _| {
        let control = l.builder.image.control;
        l.builder.image.trails.get_mut(&control).unwrap().truncate(3);
    }),
    ("published-shrinks", "published-inconsistent", |l, _| {
        let root = l.builder.image.head(l.trail).1;
        publish(l, vec![Published { trail: l.trail, size: TreeSize(1), root }]);
    }),
    ("published-unknown-trail", "published-inconsistent", |l, _| {
        publish(l, vec![Published { trail: TrailId([9; 16]), size: TreeSize(1), root: [1; 32] }]);
    }),
    ("published-more-than-there-is", "trail-truncated", |l, _| {
        publish(l, vec![Published { trail: l.trail, size: TreeSize(1000), root: [1; 32] }]);
    }),
    ("trail-created-twice", "control-malformed", |l, _| {
        let id = l.trail.to_string();
        let attributes =
            [("retention.class", "standard"), ("trail.id", id.as_str()), ("trail.name", "again")];
        l.builder.control_record("sealtrail.trail.created", &attributes, "");
    }),
    ("trail-created-without-id", "control-malformed", |l, _| {
        l.builder.control_record("sealtrail.trail.created", &[("trail.name", "again")], "");
    }),
    ("stream-added-to-unknown-trail", "control-malformed", |l, _| l.builder.stream("x", TrailId([3; 16]))),
    ("another-genesis", "wrong-genesis", |_, c| {
        let start = c.policy.find("genesis = \"").unwrap() + 11;
        c.policy.replace_range(start..start + 8, "00000000");
    }),
    // What somebody can do with another key, or with the same statement elsewhere.
    ("re-signed-with-another-key", "foreign-key", |l, _| {
        let signer = sealtrail_keys::generate(Algorithm::Es256).unwrap();
        resign(l, 3, &*signer, |_| {});
    }),
    ("signature-flipped", "bad-signature", |l, _| {
        let (mut statement, _) = entries(l)[3].parts();
        *statement.last_mut().unwrap() ^= 1;
        entries(l)[3] = entries(l)[3].with_statement(&statement);
    }),
    ("signature-with-high-s", "bad-signature", high_s),
    ("replayed-in-another-trail", "wrong-trail", |l, _| {
        let other = l.builder.trail("other");
        let copies = entries(l).clone();
        l.builder.image.trails.insert(other, copies);
    }),
    ("from-another-ledger", "wrong-trail", |l, _| {
        respeak(l, |claims| {
            claims.place.ledger = sealtrail_core::name::LedgerName::new("elsewhere").unwrap()
        });
    }),
    ("under-another-stream", "wrong-stream", |l, _| {
        respeak(l, |claims| claims.place.stream = Name::new("billing").unwrap());
    }),
    ("under-another-instance", "wrong-stream", |l, _| {
        respeak(l, |claims| claims.place.instance = Name::new("pod-2").unwrap());
    }),
    ("stream-not-added", "unknown-stream", |l, _| {
        let mut epoch = l.builder.open(l.trail, "billing", "pod-1", Algorithm::Es256, None);
        l.builder.batch(&mut epoch, &[], |_| {});
    }),
    ("ledger-evidence-in-a-data-trail", "untrusted-root", |l, _| {
        let artefact =
            l.builder.image.artefacts.values().find(|a| a.starts_with(&[0x84, 1, 0x66])).unwrap().clone();
        reopen(l, |_| {}, Some(artefact));
    }),
    // What a bad agent with a good key can do.
    ("fork", "fork", |l, _| respeak(l, |claims| claims.sequence -= 1)),
    ("hole", "sequence-gap", |l, _| {
        let mut epoch = l.epoch.clone();
        l.builder.unlogged_batch(&mut epoch, &records(0, 3), |_| {});
        l.builder.batch(&mut epoch, &records(3, 3), |_| {});
    }),
    ("late-batch", "verified", |l, _| {
        let mut epoch = l.epoch.clone();
        let late = l.builder.unlogged_batch(&mut epoch, &records(0, 3), |_| {});
        l.builder.batch(&mut epoch, &records(3, 3), |_| {});
        entries(l).push(late);
    }),
    ("late-batch-that-does-not-fit", "chain-broken", |l, _| {
        let mut epoch = l.epoch.clone();
        let mut twin = l.epoch.clone();
        l.builder.unlogged_batch(&mut epoch, &records(0, 3), |_| {});
        l.builder.batch(&mut epoch, &records(3, 3), |_| {});
        l.builder.batch(&mut twin, &records(0, 3), |_| {});
    }),
    ("chain-broken", "chain-broken", |l, _| respeak(l, |claims| claims.prev = Identity([7; 32]))),
    ("batch-after-close", "after-close", |l, _| {
        let mut epoch = l.epoch.clone();
        l.builder.close(&mut epoch);
        l.builder.batch(&mut epoch, &records(0, 2), |_| {});
    }),
    ("totals-do-not-add-up", "totals-mismatch", |l, _| respeak(l, |claims| claims.totals.received += 1)),
    ("totals-skip-a-record", "totals-mismatch", |l, _| {
        respeak(l, |claims| {
            claims.totals.received += 1;
            claims.totals.sealed += 1;
        });
    }),
    ("totals-hide-a-stub", "totals-mismatch", |l, _| respeak(l, |claims| claims.totals.stubbed -= 1)),
    ("totals-go-back", "totals-mismatch", |l, _| {
        l.epoch.totals.dropped += 5;
        l.epoch.totals.received += 5;
        heartbeat(l);
        l.epoch.totals.dropped -= 5;
        l.epoch.totals.received -= 5;
        heartbeat(l);
    }),
    ("drops-signed", "verified", |l, _| {
        l.epoch.totals.dropped += 5;
        l.epoch.totals.received += 5;
        heartbeat(l);
    }),
    ("one-record-too-few", "count-mismatch", |l, _| {
        respeak(l, |claims| {
            claims.record_count -= 1;
            claims.totals.sealed -= 1;
            claims.totals.received -= 1;
        });
    }),
    ("another-record-root", "record-root-mismatch", |l, _| respeak(l, |claims| claims.record_root[0] ^= 1)),
    ("another-stored-hash", "stored-hash-mismatch", |l, _| respeak(l, |claims| claims.stored_hash[0] ^= 1)),
    ("another-stored-length", "stored-hash-mismatch", |l, _| respeak(l, |claims| claims.stored_length += 1)),
    ("codec-none-with-a-body", "stored-hash-mismatch", |l, _| {
        respeak(l, |claims| claims.codec = Codec::None)
    }),
    ("heartbeat-with-a-root", "stored-hash-mismatch", |l, _| {
        let mut epoch = l.epoch.clone();
        l.builder.batch(&mut epoch, &[], |claims| claims.record_root = [1; 32]);
    }),
    ("body-is-not-zstd", "body-malformed", |l, _| stored(l, b"not a frame at all".to_vec())),
    ("body-is-two-frames", "body-malformed", |l, _| {
        let frame = entries(l)[2].body.clone().unwrap();
        stored(l, [frame.clone(), frame].concat());
    }),
    ("line-with-a-space", "line-form", |l, _| line(l, r#"{"body": 1,"resource":1,"scope":2}"#)),
    ("line-unsorted", "line-form", |l, _| line(l, r#"{"scope":2,"resource":1}"#)),
    ("line-with-duplicate-member", "line-form", |l, _| line(l, r#"{"resource":1,"resource":1,"scope":2}"#)),
    ("line-with-unknown-member", "line-form", |l, _| line(l, r#"{"resource":1,"scope":2,"zeal":1}"#)),
    ("line-without-scope", "line-form", |l, _| line(l, r#"{"resource":1}"#)),
    ("line-pointing-at-itself", "line-form", |l, _| line(l, r#"{"resource":3,"scope":2}"#)),
    ("line-resource-and-scope-swapped", "line-form", |l, _| line(l, r#"{"resource":2,"scope":1}"#)),
    ("line-with-big-integer", "line-form", |l, _| {
        line(l, r#"{"body":9007199254740992,"resource":1,"scope":2}"#)
    }),
    ("line-with-integral-double", "line-form", |l, _| line(l, r#"{"body":1.0,"resource":1,"scope":2}"#)),
    ("line-with-exponent", "line-form", |l, _| line(l, r#"{"body":1e+21,"resource":1,"scope":2}"#)),
    ("line-with-small-wrapper", "line-form", |l, _| line(l, r#"{"body":{"$i":"7"},"resource":1,"scope":2}"#)),
    ("line-with-unknown-wrapper", "line-form", |l, _| {
        line(l, r#"{"body":{"$x":"7"},"resource":1,"scope":2}"#)
    }),
    ("line-with-needless-kv", "line-form", |l, _| {
        line(l, r#"{"body":{"$kv":[["a",1],["b",2]]},"resource":1,"scope":2}"#);
    }),
    ("line-with-needless-u", "line-form", |l, _| line(l, r#"{"body":{"$u":"YQ=="},"resource":1,"scope":2}"#)),
    ("line-with-loose-base64", "line-form", |l, _| {
        line(l, r#"{"body":{"$b":"YR=="},"resource":1,"scope":2}"#)
    }),
    ("line-with-escaped-slash", "line-form", |l, _| line(l, r#"{"body":"\/","resource":1,"scope":2}"#)),
    ("line-with-upper-case-escape", "line-form", |l, _| {
        line(l, r#"{"body":"\u001F","resource":1,"scope":2}"#)
    }),
    ("line-with-zero-time", "line-form", |l, _| line(l, r#"{"resource":1,"scope":2,"timeUnixNano":"0"}"#)),
    ("line-with-empty-attributes", "line-form", |l, _| {
        line(l, r#"{"attributes":{},"resource":1,"scope":2}"#)
    }),
    ("line-with-upper-case-id", "line-form", |l, _| line(l, r#"{"resource":1,"scope":2,"spanId":"AB"}"#)),
    ("line-too-deep", "line-form", |l, _| {
        let deep = format!(r#"{{"body":{}{},"resource":1,"scope":2}}"#, "[".repeat(65), "]".repeat(65));
        line(l, &deep);
    }),
    ("line-just-deep-enough", "verified", |l, _| {
        let deep = format!(r#"{{"body":{}{},"resource":1,"scope":2}}"#, "[".repeat(64), "]".repeat(64));
        line(l, &deep);
    }),
    ("line-with-every-wrapper", "verified", |l, _| {
        line(
            l,
            r#"{"body":[{"$b":"AA=="},{"$d":"-0"},{"$d":"NaN"},{"$d":"1e+21"},{"$i":"9007199254740992"},{"$kv":[["a",1],["a",2]]},{"$u":"/w=="},-0.5,1e-7],"resource":1,"scope":2}"#,
        );
    }),
    ("too-many-stubs", "line-form", |l, _| {
        let stub = r#"{"observedTimeUnixNano":"1","stub":{"hash":null,"length":1,"reason":"too-large"}}"#;
        let mut epoch = l.epoch.clone();
        l.builder.batch(&mut epoch, &vec![stub.to_owned(); 129], |_| {});
    }),
    ("seen-nothing-known", "seen-unknown", |l, _| respeak(l, |claims| claims.seen = Some([5; 32]))),
    ("seen-a-data-checkpoint", "seen-unknown", |l, _| {
        let note = l.builder.image.checkpoint(l.trail, &*l.builder.key);
        let hash = l.builder.artefact(note);
        respeak(l, |claims| claims.seen = Some(hash));
    }),
    ("seen-goes-back", "seen-backwards", |l, _| {
        let early = l.epoch.seen;
        l.epoch.seen = Some(l.builder.publish());
        heartbeat(l);
        l.epoch.seen = early;
        heartbeat(l);
    }),
    ("unknown-critical-claim", "unknown-claim", |l, _| extra_claim(l, 200)),
    ("unknown-uncritical-claim", "verified", |l, _| extra_claim(l, 300)),
    ("published-outside-control", "unknown-claim", |l, _| {
        respeak(l, |claims| {
            claims.published =
                vec![Published { trail: claims.place.trail, size: TreeSize(1), root: [0; 32] }];
        });
    }),
    ("algorithm-changed", "foreign-key", |l, _| {
        let (statement, _) = entries(l)[3].parts();
        let at = statement.windows(2).position(|w| w == [0x01, 0x26]).unwrap();
        let mut changed = statement.clone();
        changed[at + 1] = 0x32;
        entries(l)[3] = entries(l)[3].with_statement(&changed);
    }),
    ("typ-of-the-other-kind", "statement-malformed", |l, _| {
        let (statement, _) = entries(l)[0].parts();
        let at = statement.windows(5).position(|w| w == b"open+").unwrap();
        let mut changed = statement.clone();
        changed[at..at + 4].copy_from_slice(b"opex");
        entries(l)[0] = entries(l)[0].with_statement(&changed);
    }),
    // Evidence.
    ("evidence-for-another-key", "binding-mismatch", |l, _| {
        let first = open_claims(l).evidence;
        let artefact = l.builder.image.artefacts[&first].clone();
        reopen(l, |_| {}, Some(artefact));
    }),
    ("evidence-of-another-root", "untrusted-root", |l, _| {
        l.builder.root = Rc::from(sealtrail_keys::generate(Algorithm::Es256).unwrap());
        reopen(l, |_| {}, None);
    }),
    ("evidence-of-other-code", "unexpected-code", |l, _| {
        l.builder.measurement = [8; 32];
        reopen(l, |_| {}, None);
    }),
    ("evidence-for-other-streams", "untrusted-root", |l, c| {
        let value = l.builder.reference_value().with_streams(vec!["web-*".to_owned()]);
        c.policy = l.builder.policy_accepting(&[value]);
    }),
    ("policy-accepts-nobody", "untrusted-root", |l, c| c.policy = l.builder.policy_accepting(&[])),
    ("policy-accepts-other-code", "unexpected-code", |l, c| {
        let root = sealtrail_core::hash::sha256(&[l.builder.root.public_key().spki()]);
        c.policy = l.builder.policy_accepting(&[ReferenceValue::software(root, vec![[1; 32]])]);
    }),
    ("evidence-not-cbor", "evidence-malformed", |l, _| reopen(l, |_| {}, Some(b"evidence".to_vec()))),
    ("evidence-of-yesterday", "evidence-refused", |l, _| {
        let now = l.builder.now_ns;
        l.builder.now_ns = now - 3600 * SECOND_NS;
        let place = l.epoch.place.clone();
        let signer: Rc<dyn Signer> = Rc::from(sealtrail_keys::generate(Algorithm::Es256).unwrap());
        let named = Some(l.epoch.as_predecessor(Known::Ledger));
        l.builder.open_with(place, signer, named, |_| {});
        let logged = entries(l).last().unwrap().clone();
        let (statement, part) = logged.parts();
        let part = LedgerPart { received_at_ns: now, ..part };
        *entries(l).last_mut().unwrap() =
            Logged { entry: Entry { statement: &statement, ledger_part: part }.encode(), body: None };
        l.builder.now_ns = now;
    }),
    ("challenge-of-nobody", "unknown-challenge", |l, _| reopen(l, |c| c.challenge = Some([6; 64]), None)),
    ("challenge-used-twice", "challenge-reused", |l, _| {
        let challenge = open_claims(l).challenge;
        reopen(l, |claims| claims.challenge = challenge, None);
    }),
    ("no-challenge", "challenge-mismatch", |l, _| reopen(l, |claims| claims.challenge = None, None)),
    // Restarts.
    ("restart-without-predecessor", "verified", |l, _| {
        let mut next = l.builder.open(l.trail, "payments", "pod-1", Algorithm::Es256, None);
        l.builder.batch(&mut next, &records(0, 2), |_| {});
    }),
    ("two-successors", "predecessor-conflict", |l, _| {
        for _ in 0..2 {
            let named = Some(l.epoch.as_predecessor(Known::Ledger));
            l.builder.open(l.trail, "payments", "pod-1", Algorithm::Es256, named);
        }
    }),
    ("rolled-back-state", "stale-predecessor", |l, _| {
        let old = l.epoch.as_predecessor(Known::Ledger);
        heartbeat(l);
        l.builder.open(l.trail, "payments", "pod-1", Algorithm::Es256, Some(old));
    }),
    ("predecessor-nobody-knows", "predecessor-unknown", |l, _| {
        let named = Predecessor { epoch: Identity([4; 32]), ..l.epoch.as_predecessor(Known::Ledger) };
        l.builder.open(l.trail, "payments", "pod-1", Algorithm::Es256, Some(named));
    }),
    ("predecessor-of-another-instance", "predecessor-mismatch", |l, _| {
        let named = Some(l.epoch.as_predecessor(Known::Ledger));
        l.builder.open(l.trail, "payments", "pod-2", Algorithm::Es256, named);
    }),
    ("predecessor-with-another-end", "predecessor-mismatch", |l, _| {
        let named = Predecessor { identity: Identity([4; 32]), ..l.epoch.as_predecessor(Known::Ledger) };
        l.builder.open(l.trail, "payments", "pod-1", Algorithm::Es256, Some(named));
    }),
    ("predecessor-tail-never-came", "sequence-gap", |l, _| {
        let mut epoch = l.epoch.clone();
        l.builder.unlogged_batch(&mut epoch, &records(0, 2), |_| {});
        let named = Some(epoch.as_predecessor(Known::Itself));
        l.builder.open(l.trail, "payments", "pod-1", Algorithm::Es256, named);
    }),
    ("superseded-epoch-goes-on", "verified", |l, _| {
        let mut epoch = l.epoch.clone();
        let late = l.builder.unlogged_batch(&mut epoch, &records(0, 2), |_| {});
        let named = Some(epoch.as_predecessor(Known::Itself));
        l.builder.open(l.trail, "payments", "pod-1", Algorithm::Es256, named);
        entries(l).push(late);
    }),
    ("dirty-end", "verified", |l, _| {
        l.builder.now_ns += 600 * SECOND_NS;
        l.builder.publish();
    }),
    ("dirty-end-refused", "dirty-end", |l, c| {
        l.builder.now_ns += 600 * SECOND_NS;
        l.builder.publish();
        c.policy = c.policy.replace("\n[[accept]]", "\n[refuse]\nclasses = [\"dirty-end\"]\n\n[[accept]]");
    }),
    ("silence-refused", "silence", |l, c| {
        l.builder.now_ns += 600 * SECOND_NS;
        heartbeat(l);
        c.policy = c.policy.replace("\n[[accept]]", "\n[refuse]\nclasses = [\"silence\"]\n\n[[accept]]");
    }),
    ("clock-a-day-ahead-refused", "clock-skew", |l, c| {
        let mut epoch = l.epoch.clone();
        l.builder.batch(&mut epoch, &[], |claims| claims.wall_clock_ns.1 += 86_400 * SECOND_NS);
        c.policy = c.policy.replace("\n[[accept]]", "\n[refuse]\nclasses = [\"clock-skew\"]\n\n[[accept]]");
    }),
    ("clock-a-day-behind-refused", "clock-skew", |l, c| {
        let mut epoch = l.epoch.clone();
        l.builder.batch(&mut epoch, &[], |claims| claims.wall_clock_ns.1 -= 86_400 * SECOND_NS);
        c.policy = c.policy.replace("\n[[accept]]", "\n[refuse]\nclasses = [\"clock-skew\"]\n\n[[accept]]");
    }),
    ("clock-frozen-refused", "clock-skew", |l, c| {
        let mut epoch = l.epoch.clone();
        l.builder.batch(&mut epoch, &[], |claims| claims.monotonic_ns += 3600 * SECOND_NS);
        c.policy = c.policy.replace("\n[[accept]]", "\n[refuse]\nclasses = [\"clock-skew\"]\n\n[[accept]]");
    }),
    ("policy-with-unknown-key", "policy-invalid", |_, c| c.policy.push_str("\nsurprise = true\n")),
    ("policy-with-another-vkey-name", "policy-invalid", |_, c| {
        c.policy = c.policy.replacen("ledger.test/built", "ledger.test/other", 1);
    }),
];

fn entries(ledger: &mut Plain) -> &mut Vec<Logged> {
    ledger.builder.image.trails.get_mut(&ledger.trail).unwrap()
}

fn entries_of(ledger: &Plain) -> &Vec<Logged> {
    &ledger.builder.image.trails[&ledger.trail]
}

fn trail_file(trail: TrailId, file: &str) -> std::path::PathBuf {
    format!("ledger/trails/{trail}/{file}").into()
}

fn stranger() -> Ed25519Key {
    Ed25519Key::from_seed(&[0x55; 32]).unwrap()
}

fn heartbeat(ledger: &mut Plain) {
    let mut epoch = ledger.epoch.clone();
    ledger.builder.batch(&mut epoch, &[], |_| {});
    ledger.epoch = epoch;
}

fn publish(ledger: &mut Plain, published: Vec<Published>) {
    let mut control = ledger.builder.control.clone();
    ledger.builder.batch(&mut control, &[], |claims| claims.published = published);
    ledger.builder.control = control;
}

/// The next batch, with its claims changed before the agent signs them.
fn respeak(ledger: &mut Plain, change: impl FnOnce(&mut BatchClaims)) {
    let mut epoch = ledger.epoch.clone();
    ledger.builder.batch(&mut epoch, &records(60, 10), change);
    ledger.epoch = epoch;
}

/// The next batch with one record line as given.
fn line(ledger: &mut Plain, line: &str) {
    let mut epoch = ledger.epoch.clone();
    ledger.builder.batch(&mut epoch, &[line.to_owned()], |_| {});
    ledger.epoch = epoch;
}

/// The next batch with its stored bytes as given, and signed as such.
fn stored(ledger: &mut Plain, bytes: Vec<u8>) {
    let mut epoch = ledger.epoch.clone();
    ledger.builder.batch(&mut epoch, &records(0, 1), |claims| {
        claims.stored_hash = sealtrail_core::hash::sha256(&[&bytes]);
        claims.stored_length = bytes.len() as u32;
    });
    entries(ledger).last_mut().unwrap().body = Some(bytes);
    ledger.epoch = epoch;
}

fn open_claims(ledger: &Plain) -> OpenClaims {
    let (statement, _) = entries_of(ledger)[0].parts();
    let unverified = sealtrail_core::statement::UnverifiedStatement::decode(&statement).unwrap();
    match unverified.claims() {
        Claims::Open(claims) => (**claims).clone(),
        Claims::Batch(_) => panic!("entry 0 is the open"),
    }
}

/// A further epoch of the same instance, its claims changed, its evidence made for it or as given.
fn reopen(ledger: &mut Plain, change: impl FnOnce(&mut OpenClaims), evidence: Option<Vec<u8>>) {
    let named = Some(ledger.epoch.as_predecessor(Known::Ledger));
    let place = ledger.epoch.place.clone();
    let signer: Rc<dyn Signer> = Rc::from(sealtrail_keys::generate(Algorithm::Es256).unwrap());
    let mut epoch: Epoch = ledger.builder.open_with(place, Rc::clone(&signer), named, change);
    if let Some(artefact) = evidence {
        let logged = entries(ledger).pop().unwrap();
        let (statement, part) = logged.parts();
        let unverified = sealtrail_core::statement::UnverifiedStatement::decode(&statement).unwrap();
        let Claims::Open(claims) = unverified.claims() else { panic!("it is an open") };
        let mut claims = (**claims).clone();
        claims.evidence = ledger.builder.artefact(artefact);
        let signed = seal(&Claims::Open(Box::new(claims)), &*signer).unwrap();
        epoch.id = signed.identity;
        epoch.last = signed.identity;
        let entry = Entry { statement: &signed.bytes, ledger_part: part }.encode();
        entries(ledger).push(Logged { entry, body: None });
    }
    ledger.builder.batch(&mut epoch, &records(0, 2), |_| {});
}

/// Signs a logged batch anew with another key.
fn resign(ledger: &mut Plain, index: usize, signer: &dyn Signer, change: impl FnOnce(&mut BatchClaims)) {
    let (statement, _) = entries(ledger)[index].parts();
    let unverified = sealtrail_core::statement::UnverifiedStatement::decode(&statement).unwrap();
    let Claims::Batch(claims) = unverified.claims() else { panic!("not a batch") };
    let mut claims = (**claims).clone();
    change(&mut claims);
    let signed = seal(&Claims::Batch(Box::new(claims)), signer).unwrap();
    let logged = entries(ledger)[index].with_statement(&signed.bytes);
    entries(ledger)[index] = logged;
}

fn alter_record(ledger: &mut Plain, _: &mut Case) {
    let stored = entries(ledger)[2].body.clone().unwrap();
    let mut decompressor = sealtrail_core::body::Decompressor::new().unwrap();
    let plain = String::from_utf8(decompressor.decompress(&stored).unwrap().to_vec()).unwrap();
    let altered = plain.replacen("login", "logim", 1);
    assert_ne!(plain, altered);
    let frame = sealtrail_core::body::Compressor::new().unwrap().compress(altered.as_bytes()).unwrap();
    entries(ledger)[2].body = Some(frame);
}

/// The malleable twin of a signature: s becomes n − s.
fn high_s(ledger: &mut Plain, _: &mut Case) {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (mut statement, _) = entries(ledger)[3].parts();
    let length = statement.len();
    let s = &mut statement[length - 32..];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(ORDER[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        s[at] = difference.rem_euclid(256) as u8;
    }
    let logged = entries(ledger)[3].with_statement(&statement);
    entries(ledger)[3] = logged;
}

/// The next batch with one more claim.
fn extra_claim(ledger: &mut Plain, key: u64) {
    heartbeat(ledger);
    let (statement, _) = entries(ledger).last().unwrap().parts();
    let unverified = sealtrail_core::statement::UnverifiedStatement::decode(&statement).unwrap();
    let payload = unverified.claims().encode();
    let mut encoder = Encoder::new();
    encoder.map(22).raw(&payload[1..]).uint(key).text("more");
    let statement = sign_payload(&statement, &encoder.into_bytes(), &*ledger.epoch.signer);
    let logged = entries(ledger).last().unwrap().with_statement(&statement);
    *entries(ledger).last_mut().unwrap() = logged;
}

/// Signs any payload under the protected header of a statement.
fn sign_payload(statement: &[u8], payload: &[u8], signer: &dyn Signer) -> Vec<u8> {
    let mut decoder = sealtrail_core::cbor::Decoder::new(statement);
    decoder.tag(18).unwrap();
    decoder.array_of(4).unwrap();
    let protected = decoder.bytes(1000).unwrap();
    let mut signed = Encoder::new();
    signed.array(4).text("Signature1").bytes(protected).bytes(b"sealtrail/statement/v1").bytes(payload);
    let signature = signer.sign(&signed.into_bytes()).unwrap();
    let mut envelope = Encoder::new();
    envelope.tag(18).array(4).bytes(protected).map(0).bytes(payload).bytes(&signature);
    envelope.into_bytes()
}
