//! The CBOR of the format.

use serde_json::json;

use super::Set;
use super::judge::MALFORMED;

pub(super) fn cases() -> Set {
    let mut set = Set::new("cbor", "README.md, Notation");
    for (name, item, about) in [
        ("uint-0", "00", "0"),
        ("uint-23", "17", "the largest in one byte"),
        ("uint-24", "1818", "the smallest in two"),
        ("uint-256", "190100", "the smallest in three"),
        ("uint-65536", "1a00010000", "the smallest in five"),
        ("uint-2-32", "1b0000000100000000", "the smallest in nine"),
        ("uint-largest", "1bffffffffffffffff", "2^64 − 1"),
        ("nint", "20", "−1"),
        ("nint-smallest", "3bffffffffffffffff", "−2^64"),
        ("bytes-empty", "40", "no bytes"),
        ("text", "62c3bc", "UTF-8"),
        ("array", "830102f6", "an array"),
        ("map", "a2016161186160", "keys in bytewise order of their encodings: 1, then 97"),
        ("map-mixed-keys", "a30000200141ff02", "0, −1, h'ff': unsigned before negative before byte strings"),
        ("false", "f4", "false"),
        ("true", "f5", "true"),
        ("null", "f6", "null"),
        ("tag-18", "d284404040f6", "tag 18"),
        ("depth-8", "8181818181818100", "seven arrays around an integer: 8 deep"),
    ] {
        set.accept(name, about, json!({ "item": item }));
    }
    for (name, item, about) in [
        ("empty", "", "no item"),
        ("truncated-head", "19ff", "an argument of two bytes of which one is missing"),
        ("truncated-string", "4401", "a string shorter than its head says"),
        ("truncated-array", "8201", "an array shorter than its head says"),
        ("trailing", "0000", "a second item"),
        ("long-head-1", "1817", "23 in two bytes"),
        ("long-head-2", "1900ff", "255 in three bytes"),
        ("long-head-4", "1a0000ffff", "65,535 in five bytes"),
        ("long-head-8", "1b00000000ffffffff", "2^32 − 1 in nine bytes"),
        ("long-length", "580100", "a string's length not in the shortest form"),
        ("indefinite-bytes", "5f41004100ff", "a byte string in chunks"),
        ("indefinite-text", "7f6161ff", "a text string in chunks"),
        ("indefinite-array", "9f00ff", "an array of indefinite length"),
        ("indefinite-map", "bf0000ff", "a map of indefinite length"),
        ("break-alone", "ff", "a break that ends nothing"),
        ("reserved-28", "1c", "additional information 28"),
        ("float-16", "f93c00", "1.0"),
        ("float-32", "fa3f800000", "1.0"),
        ("float-64", "fb3ff0000000000000", "1.0"),
        ("undefined", "f7", "undefined"),
        ("simple-0", "e0", "another simple value"),
        ("simple-32", "f820", "a simple value in two bytes"),
        ("tag-0", "c060", "a date"),
        ("tag-2", "c24100", "a big number"),
        ("tag-17", "d100", "another tag of COSE"),
        ("tag-18-long", "d81200", "18 in two bytes"),
        ("tag-55799", "d9d9f700", "the tag of CBOR itself"),
        ("text-not-utf8", "61ff", "text that is not UTF-8"),
        ("text-surrogate", "63eda080", "a surrogate in UTF-8"),
        ("map-repeated-key", "a201000100", "a key twice"),
        ("map-order", "a202000100", "2 before 1"),
        ("map-length-first", "a241ff00186100", "a byte string before a number: the order of RFC 7049"),
        ("map-odd", "a100", "a key without a value"),
        ("depth-9", "818181818181818100", "eight arrays around an integer: 9 deep"),
        ("depth-9-key", "81818181818181a10000", "a map's key is an item within it"),
        ("depth-9-tag", "d2d2d2d2d2d2d2d200", "what a tag stands before is an item within it"),
        ("count-enormous", "9bffffffffffffffff", "an array of 2^64 − 1 items"),
    ] {
        set.reject(name, MALFORMED, about, json!({ "item": item }));
    }
    set
}
