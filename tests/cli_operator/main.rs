//! What `notturno operator` makes of an address for pings: what it refuses at once, what it runs with, and that it gives no secret away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod outside;
mod running;

use std::process::Command;

const LEASE: &str = "--lease-namespace=notturno-system";

/// Its exit code and its words with these arguments, outside of any cluster.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_notturno")).arg("operator").args(arguments).env_clear().output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_address_among_the_arguments_that_is_none_is_refused_and_not_repeated() {
    for (bad, words) in [
        ("segreto", "it is no URL"),
        ("", "it is no URL"),
        ("ftp://spia.example/segreto", "neither http:// nor https://"),
        ("https://io:segreto@spia.example/", "before its host"),
    ] {
        let (code, said) = refused(&[LEASE, "--heartbeat-url", bad]);
        assert_eq!(code, Some(1), "{bad}: {said}");
        assert!(said.contains("the address for pings cannot be used") && said.contains(words), "{bad}: {said}");
        assert!(!said.contains("segreto") && !said.contains("spia"), "{said}");
    }
}

#[test]
fn a_good_address_is_said_nowhere_whatever_else_is_wrong() {
    let good = "https://spia.example/segreto";
    for (arguments, words) in [
        (&[LEASE, "--log=debug", "--heartbeat-url", good][..], "no cluster"),
        (&["--heartbeat-url", good], "a heartbeat needs --lease-namespace"),
        (&[LEASE, "--heartbeat-every=60", "--heartbeat-url", good], "has no unit"),
    ] {
        let (code, said) = refused(arguments);
        assert!(code.is_some_and(|code| code != 0) && said.contains(words), "{said}");
        assert!(!said.contains("segreto") && !said.contains("spia"), "{said}");
    }
    let (_, said) = refused(&[]);
    assert!(said.contains("no cluster") && !said.contains("heartbeat"), "without an address nothing is asked of anybody: {said}");
}

#[test]
fn a_span_between_pings_out_of_bounds_is_refused_with_the_bounds() {
    for (bad, words) in
        [("9s", "10s at least and 3600s at most"), ("61m", "10s at least and 3600s at most"), ("often", "not a duration")]
    {
        let (code, said) = refused(&[LEASE, "--heartbeat-every", bad]);
        assert!(code == Some(2) && said.contains(words), "{code:?} {said}");
    }
}
