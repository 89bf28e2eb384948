//! `sealtrail dev` where it cannot start: it says what to do, and leaves nothing behind.

use std::net::TcpListener;

use crate::process::{Scratch, sealtrail, text};

/// Starts `dev` with these flags, where it must not start, and gives what it says.
fn refused(flags: &[&str], code: i32) -> String {
    let scratch = Scratch::new();
    let data = scratch.path("data");
    let mut args = vec!["dev", "--data", text(&data)];
    for (flag, address) in
        [("--otlp-grpc", "127.0.0.1:0"), ("--otlp-http", "127.0.0.1:0"), ("--listen", "127.0.0.1:0")]
    {
        if !flags.contains(&flag) {
            args.extend([flag, address]);
        }
    }
    args.extend(flags);
    let output = sealtrail(&args);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(!data.exists(), "{told}");
    told
}

#[test]
fn dev_leaves_nothing_behind_where_a_port_is_taken_and_says_which_flag_helps() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    for flag in ["--otlp-grpc", "--otlp-http", "--listen"] {
        let told = refused(&[flag, &taken], 2);
        assert!(told.contains(&format!("cannot listen on `{taken}`")), "{told}");
        assert!(told.contains("hint: ") && told.contains(&format!("{flag} 127.0.0.1:0")), "{told}");
    }
}

#[test]
fn dev_refuses_addresses_that_other_machines_reach_unless_they_are_allowed() {
    for flag in ["--otlp-grpc", "--otlp-http"] {
        let told = refused(&[flag, "0.0.0.0:0"], 2);
        assert!(told.contains("otlp.allow_remote") && told.contains("--otlp-allow-remote"), "{told}");
    }
    let told = refused(&["--listen", "0.0.0.0:0"], 2);
    assert!(told.contains("only loopback") && told.contains("hint: "), "{told}");
}

#[test]
fn dev_leaves_nothing_behind_where_the_stream_is_no_name() {
    refused(&["--stream", "no name"], 64);
}
