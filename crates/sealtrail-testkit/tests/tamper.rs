//! The `tamper` program, used wrongly.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn wrong_usage_is_told_and_ends_with_64() {
    for args in [&[][..], &["alter-record"], &["burn", "a", "b"], &["re-sign", "/nonexistent", "b"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_tamper")).args(args).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{args:?}: {told}");
        assert!(
            told.starts_with("error: ") && told.contains("usage: tamper KIND") && !told.contains("panic")
        );
    }
    let help = Command::new(env!("CARGO_BIN_EXE_tamper")).arg("--help").output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"usage: tamper KIND"));
}
