//! Secrets in the forms in which they reach an audit log, and what looks like one and is left.

use crate::redaction::{body, rules, text};

/// Put together, so that no scanner takes this file for a leak.
fn aws_secret() -> String {
    ["wJalrXUtnFEMI", "/K7MDENG/", "bPxRfiCYEXAMPLEKEY"].concat()
}

fn letters(length: usize) -> String {
    "aB3xY7Kq".chars().cycle().take(length).collect()
}

/// The text as all detectors leave it.
fn redacted(given: &str) -> String {
    let line = body(&rules(""), text(given));
    let end = line.find("\",\"redacted\":").map_or(line.len() - 1, |end| end + 1);
    serde_json::from_str(&line[..end]).unwrap()
}

#[track_caller]
fn masked(before: &str, secret: &str, after: &str) {
    assert_eq!(redacted(&format!("{before}{secret}{after}")), format!("{before}[redacted]{after}"));
}

#[test]
fn secrets_glued_to_names_are_found() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    masked("PAN", "4111111111111111", " charged");
    masked("card_", "4111111111111111", "_eur");
    masked("tok_", jwt, "");
    masked("token", jwt, ";");
    masked("id_", "AKIAIOSFODNN7EXAMPLE", "_x");
    masked("key", "AKIAIOSFODNN7EXAMPLE", "used");
    masked("my_", &format!("ghp_{}", letters(36)), "");
    masked("x_", &format!("sk-{}", letters(48)), "");
}

#[test]
fn cards_with_dots_and_no_break_spaces_are_found() {
    masked("", "4111.1111.1111.1111", "");
    masked("Karte ", "4111\u{a0}1111\u{a0}1111\u{a0}1111", ".");
    masked("", "3782\u{202f}822463\u{202f}10005", "");
    masked("?pan=", "4111+1111+1111+1111", "&x=1");
}

#[test]
fn aws_secret_keys_are_found_in_json_xml_and_command_lines() {
    let secret = aws_secret();
    let escaped = secret.replace('/', r"\/");
    let percent = secret.replace('/', "%2F");
    for (before, secret, after) in [
        (r#"{"SecretAccessKey":""#, &secret, r#""}"#),
        (r#"{\"SecretAccessKey\":\""#, &secret, r#"\"}"#),
        (r#"{\\\"SecretAccessKey\\\": \\\""#, &secret, r#"\\\"}"#),
        (r#"{\"SecretAccessKey\":\""#, &escaped, r#"\"}"#),
        ("<SecretAccessKey>", &secret, "</SecretAccessKey>"),
        ("aws configure --aws-secret-access-key ", &secret, " --region x"),
        ("aws configure --aws-secret-access-key=", &secret, " --region x"),
        ("aws configure set aws_secret_access_key ", &secret, ""),
        (r#"["--aws-secret-access-key",""#, &secret, r#""]"#),
        ("export AWS_SECRET_ACCESS_KEY='", &secret, "'"),
        ("Secret access key: ", &secret, "\n"),
        ("SecretAccessKey=", &percent, "&Version=1"),
        ("SecretAccessKey%3D", &percent, "%26"),
        (r"secret_key\u003d", &secret, ""),
    ] {
        masked(before, secret, after);
    }
    let pair = redacted(&format!("AKIAIOSFODNN7EXAMPLE,{secret}\r\n"));
    assert_eq!(pair, "[redacted],[redacted]\r\n");
}

#[test]
fn mail_addresses_with_an_escaped_at_sign_are_found() {
    masked("user=", "jane%40example.com", "&x");
    masked("user=", "jane%2540example.com", "&x");
    masked(r#"{\"user\":\""#, r"jane\u0040example.com", r#"\"}"#);
    masked(r#"{\\\"user\\\":\\\""#, r"jane\\u0040example.com", r#"\\\"}"#);
    masked("<", "jane@example.com", "> and %40");
}

#[test]
fn authorization_headers_are_found() {
    masked("Authorization: ", "Bearer abcdefghij0123456789", "");
    masked("authorization: ", "Bearer short", "\r\nHost: x");
    masked(r#"{"Authorization":[""#, "Bearer short", r#""]}"#);
    masked(r#"{\"authorization\":\""#, "bearer short", r#"\"}"#);
    masked("x=", "Bearer%20abcdefghij0123456789", "&y");
    // alice:secret
    masked("Basic ", "YWxpY2U6c2VjcmV0", "");
    masked("Authorization: Basic ", "YWxpY2U6c2VjcmV0", "\r\n");
    masked("-H 'Authorization: Basic ", "YTpi", "'");
    masked(r#"{\"Authorization\":\"Basic "#, "YWxpY2U6c2VjcmV0Cg==", r#"\"}"#);
}

#[test]
fn private_keys_are_found_in_every_usual_form() {
    for kind in ["", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED "] {
        masked(
            "",
            &format!("-----BEGIN {kind}PRIVATE KEY-----\nMIIE\n-----END {kind}PRIVATE KEY-----"),
            "\n",
        );
        masked(
            "",
            &format!(r"-----BEGIN {kind}PRIVATE KEY-----\nMIIE\n-----END {kind}PRIVATE KEY-----"),
            r"\n",
        );
    }
    masked("k=", "-----BEGIN%20RSA%20PRIVATE%20KEY-----%0AMIIE%0A-----END%20RSA%20PRIVATE%20KEY-----", "%0A");
    masked("", "-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----", "");
}

#[test]
fn keys_of_known_services_are_found() {
    let l = letters;
    for key in [
        format!("ghp_{}", l(36)),
        format!("gho_{}", l(36)),
        format!("ghu_{}", l(36)),
        format!("ghs_{}", l(36)),
        format!("ghr_{}", l(76)),
        format!("github_pat_{}_{}", l(22), l(59)),
        format!("glpat-{}", l(20)),
        format!("glpat-{}.01.0w1a2b3c4", l(27)),
        format!("glrt-{}", l(20)),
        format!("xoxb-123456789012-{}", l(24)),
        format!("xoxp-123456789012-{}", l(24)),
        format!("xoxe.xoxp-1-{}", l(60)),
        format!("xapp-1-A012-345-{}", l(64)),
        format!("hooks.slack.com/services/T{}/B{}/{}", l(8), l(8), l(24)),
        format!("sk_live_{}", l(24)),
        format!("rk_test_{}", l(24)),
        format!("whsec_{}", l(32)),
        format!("AIza{}", l(35)),
        format!("GOCSPX-{}", l(28)),
        format!("ya29.{}", l(100)),
        format!("sk-proj-{}", l(48)),
        format!("npm_{}", l(36)),
        format!("hvs.{}", l(24)),
        format!("dckr_pat_{}", l(27)),
        format!("SG.{}.{}", l(22), l(43)),
    ] {
        masked("key ", &key, ", used");
        masked("key_", &key, "");
    }
}

#[test]
fn ids_hashes_times_and_words_are_left() {
    for plain in [
        "1760000000000000001 1760000000000000 1760000000000",
        "traceparent 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "id 4111111111111111a4bf92f3577b34da",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "ptr 0x4111111111111111",
        "S-1-5-21-3623811015-3361044348-30300820-1013",
        "task-0123456789abcdef0123456789 disk-0123456789abcdef0123456789",
        "Basic authentication and basic settings, Basic dXNlcm5hbWU",
        "bearer of bad news",
        "AKIA and ASIAPACIFICHEADQUARTERSX",
        "100%40 of it",
        "secret key: none",
        "GET /healthz?x=%40 10.0.12.34 192.168.100.200 - - 200",
        "v1.2.3.4111",
    ] {
        assert_eq!(redacted(plain), plain);
    }
}
