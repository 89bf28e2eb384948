//! Reference values as trust policies write them.

use sealtrail_attest::{Kind, ReferenceValue};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Policy {
    accept: Vec<ReferenceValue>,
}

fn parse(text: &str) -> Result<ReferenceValue, String> {
    let text = text.replace("H32", &"ab".repeat(32)).replace("H48", &"cd".repeat(48));
    let policy: Result<Policy, _> = toml::from_str(&format!("[[accept]]\n{text}"));
    policy.map(|mut policy| policy.accept.remove(0)).map_err(|error| error.to_string())
}

const SOFTWARE: &str = "kind = 'software'\nroot = 'H32'\nmeasurements = ['H32']\n";
const NITRO: &str =
    "kind = 'nitro-sim'\nroot = 'H32'\npcrs = { 0 = 'H48', 1 = 'H48', '2' = 'H48', 31 = 'H48' }\n";

#[test]
fn good_tables() {
    let software = parse(SOFTWARE).unwrap();
    assert_eq!(software, ReferenceValue::software([0xab; 32], vec![[0xab; 32]]));
    assert_eq!(software.kind(), Kind::Software);
    assert!(software.applies_to("anything"));
    assert!(!software.accepts_debug());

    let code = |debug| {
        let value = ReferenceValue::nitro_sim([0xab; 32], [[0xcd; 48]; 3], debug);
        value.with_pcr(31, [0xcd; 48]).unwrap()
    };
    let nitro = parse(NITRO).unwrap();
    assert_eq!(nitro, code(false));
    assert_eq!(nitro, parse(&format!("{NITRO}debug = false")).unwrap());
    let debug = parse(&format!("{NITRO}debug = true")).unwrap();
    assert_eq!(debug, code(true));
    assert!(nitro.with_pcr(32, [0; 48]).is_err());
    assert!(software.clone().with_pcr(3, [0; 48]).is_err());
    assert!(debug.accepts_debug());

    let scoped = parse(&format!("{SOFTWARE}streams = ['payments', 'web-*']")).unwrap();
    assert_eq!(scoped, software.with_streams(vec!["payments".to_owned(), "web-*".to_owned()]));
    for (stream, applies) in [("payments", true), ("web-eu", true), ("web", false), ("payments-2", false)] {
        assert_eq!(scoped.applies_to(stream), applies, "{stream}");
    }
    assert!(!parse(&format!("{SOFTWARE}streams = []")).unwrap().applies_to("payments"));
}

#[test]
fn written_as_read() {
    let tables = [
        SOFTWARE.to_owned(),
        format!("{SOFTWARE}streams = ['a*']"),
        NITRO.to_owned(),
        format!("{NITRO}debug = true"),
    ];
    for table in tables {
        let value = parse(&table).unwrap();
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<ReferenceValue>(&json).unwrap(), value, "{json}");
        assert_eq!(toml::from_str::<ReferenceValue>(&toml::to_string(&value).unwrap()).unwrap(), value);
        for absent in ["null", "false"] {
            assert!(!json.contains(absent), "{json}");
        }
    }
}

#[test]
fn bad_tables_say_why() {
    let cases = [
        ("root = 'H32'\nmeasurements = ['H32']".to_owned(), "missing field `kind`"),
        ("kind = 'software'\nmeasurements = ['H32']".to_owned(), "missing field `root`"),
        ("kind = 'software'\nroot = 'H32'".to_owned(), "kind `software` needs `measurements`"),
        ("kind = 'nitro-sim'\nroot = 'H32'".to_owned(), "kind `nitro-sim` needs `pcrs`"),
        ("kind = 'ledger'\nroot = 'H32'".to_owned(), "reference values of kind `ledger` are not known"),
        ("kind = 'nitro'\nroot = 'H32'".to_owned(), "reference values of kind `nitro` are not known"),
        ("kind = 'Software'\nroot = 'H32'".to_owned(), "reference values of kind `Software` are not known"),
        (format!("{SOFTWARE}pcrs = {{ 0 = 'H48' }}"), "kind `software` has no `pcrs`"),
        (format!("{SOFTWARE}debug = false"), "kind `software` has no `debug`"),
        (format!("{NITRO}measurements = []"), "kind `nitro-sim` has no `measurements`"),
        (format!("{SOFTWARE}measurement = 'H32'"), "unknown field `measurement`"),
        (SOFTWARE.replacen("H32", "H48", 1), "`root` is not 64 lower-case hex digits"),
        (SOFTWARE.replacen("H32", "", 1), "`root` is not 64 lower-case hex digits"),
        (SOFTWARE.replacen("H32", &"AB".repeat(32), 1), "`root` is not 64 lower-case hex digits"),
        (SOFTWARE.replacen("H32", &"zz".repeat(32), 1), "`root` is not 64 lower-case hex digits"),
        (SOFTWARE.replace("['H32']", "['H32', 'H48']"), "`measurements` is not 64 lower-case hex digits"),
        (NITRO.replace("31 = 'H48'", "31 = 'H32'"), "`pcrs` is not 96 lower-case hex digits"),
        (NITRO.replace("31 =", "32 ="), "PCR index `32` is not a number from 0 to 31"),
        (NITRO.replace("31 =", "'+3' ="), "PCR index `+3` is not a number from 0 to 31"),
        (NITRO.replace("31 =", "'03' ="), "PCR index `03` is not a number from 0 to 31"),
        (NITRO.replace("31 =", "'' ="), "PCR index `` is not a number from 0 to 31"),
        (NITRO.replace("0 = 'H48', ", ""), "`pcrs` does not name PCR `0`"),
        (NITRO.replace("1 = 'H48', ", ""), "`pcrs` does not name PCR `1`"),
        (NITRO.replace("'2' = 'H48', ", ""), "`pcrs` does not name PCR `2`"),
        (NITRO.replace("31 =", "0 ="), "duplicate key"),
    ];
    for (table, reason) in &cases {
        let error = parse(table).expect_err(reason);
        assert!(error.contains(reason), "expected `{reason}`, found `{error}`");
    }
    println!("bad reference values refused: {}", cases.len());
}
