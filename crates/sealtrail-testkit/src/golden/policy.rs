//! Trust policies.

use serde_json::{Value, json};

use super::json::hex;
use super::log::raw_vkey;
use super::world::{control_id, data_id};
use super::{Set, World};
use crate::small_order::NEUTRAL;

pub(super) fn policies(world: &World) -> Set {
    let mut set = Set::new("trust-policy", "06-verification.md 6.1; 05-evidence.md 5.5");
    let input = |policy: &str| -> Value { json!({ "policy": hex(policy) }) };
    let good = world.policy();
    let (ledger, accept) = good.split_once("[[accept]]").unwrap();
    set.accept("software", "one reference value", input(&good));
    set.accept("nobody", "no reference value", input(ledger));
    let refusing =
        format!("{ledger}[refuse]\nclasses = [\"dirty-end\", \"unwitnessed\"]\n\n[[accept]]{accept}");
    set.accept("refuse", "warnings that count as errors", input(&refusing));
    let pcrs =
        format!(r#"pcrs = {{ "0" = "{0}", "1" = "{0}", "2" = "{0}", "31" = "{0}" }}"#, "ab".repeat(48));
    let nitro = |more: &str| {
        format!("{ledger}[[accept]]\nkind = \"nitro-sim\"\nroot = \"{}\"\n{more}\n", "0".repeat(64))
    };
    set.accept("nitro-sim", "registers", input(&nitro(&pcrs)));
    set.accept(
        "nitro-sim-debug",
        "registers and debug mode",
        input(&nitro(&format!("{pcrs}\ndebug = true\nstreams = [\"web-*\"]"))),
    );
    set.accept(
        "comments",
        "comments and another order of tables",
        input(&format!("# a policy\n{good}# end\n")),
    );

    let replace = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let vkey = world.vkey(control_id());
    for (name, about, policy) in [
        ("empty", "nothing", String::new()),
        ("not-toml", "not TOML", "{}".to_owned()),
        ("version-2", "another version", replace("version = 1", "version = 2")),
        ("no-version", "no version", replace("version = 1\n", "")),
        ("unknown-key", "a key that it does not have", replace("version = 1", "version = 1\nwitnesses = []")),
        (
            "unknown-ledger-key",
            "a key that the ledger does not have",
            replace("[ledger]", "[ledger]\nurl = \"a\""),
        ),
        ("no-ledger", "no ledger", accept.to_owned()),
        ("name", "a name that is none", replace("ledger.example/golden\"\ncontrol", "Ledger\"\ncontrol")),
        (
            "control-upper-case",
            "an id in upper case",
            replace(&control_id().to_string(), &control_id().to_string().to_uppercase()),
        ),
        (
            "control-other",
            "another control trail than the key's name says",
            replace(&format!("control = \"{}\"", control_id()), &format!("control = \"{}\"", data_id())),
        ),
        ("key-other-name", "the key of another trail", replace(&vkey, &world.vkey(data_id()))),
        ("key-id", "a key id that is not that of name and key", {
            let (name, rest) = vkey.split_once('+').unwrap();
            let key = rest.split_once('+').unwrap().1;
            replace(&vkey, &format!("{name}+00000000+{key}"))
        }),
        ("key-small-order", "a key under which anybody can sign", {
            let name = vkey.split_once('+').unwrap().0;
            replace(&vkey, &raw_vkey(name, &NEUTRAL))
        }),
        ("no-genesis", "no genesis", {
            let at = good.find("genesis").unwrap();
            let end = at + good[at..].find('\n').unwrap() + 1;
            format!("{}{}", &good[..at], &good[end..])
        }),
        ("genesis-short", "a genesis of 62 digits", {
            let at = good.find("genesis = \"").unwrap() + 11;
            format!("{}{}", &good[..at], &good[at + 2..])
        }),
        ("refuse-error", "a class that is an error already", refusing.replace("dirty-end", "fork")),
        ("refuse-unknown", "a class that does not exist", refusing.replace("dirty-end", "ugly")),
        ("accept-kind", "an unknown kind", replace("\"software\"", "\"sgx\"")),
        ("accept-ledger", "kind ledger", replace("\"software\"", "\"ledger\"")),
        ("accept-unknown-key", "a key that a reference value does not have", format!("{good}pcr = 1\n")),
        ("accept-measurement", "a measurement of 62 digits", {
            let at = good.find("measurements = [\"").unwrap() + 17;
            format!("{}{}", &good[..at], &good[at + 2..])
        }),
        ("accept-no-measurements", "software without measurements", {
            let at = good.find("measurements").unwrap();
            good[..at].to_owned()
        }),
        ("accept-pcrs-in-software", "registers of software", format!("{good}{pcrs}\n")),
        ("nitro-no-pcr-2", "two registers", nitro(&pcrs.replacen("\"2\"", "\"3\"", 1))),
        ("nitro-pcr-32", "register 32", nitro(&pcrs.replacen("\"31\"", "\"32\"", 1))),
        ("nitro-pcr-01", "an index with a leading zero", nitro(&pcrs.replacen("\"31\"", "\"03\"", 1))),
        ("nitro-upper-case", "hex in upper case", nitro(&pcrs.to_uppercase().replace("PCRS", "pcrs"))),
    ] {
        set.reject(name, "policy-invalid", about, input(&policy));
    }
    let not_utf8: Vec<u8> = [good.as_bytes(), b"# \xff\n"].concat();
    set.reject("not-utf8", "policy-invalid", "not UTF-8", json!({ "policy": hex(not_utf8) }));
    set
}
