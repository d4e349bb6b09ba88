//! What `notturno operator` refuses at once, in words that give no secret away.
#![allow(clippy::expect_used, reason = "a test may")]

use std::process::Command;

use notturno::api::manifests::HEARTBEAT_URL;

const LEASE: &str = "--lease-namespace=notturno-system";

/// Its exit code and its words, with these arguments, and this address in the environment, outside of any cluster.
fn refused(arguments: &[&str], url: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_notturno"));
    command.arg("operator").args(arguments).env_clear().envs(url.map(|url| (HEARTBEAT_URL, url)));
    let output = command.output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_address_for_pings_that_is_none_is_refused_and_not_repeated() {
    for (bad, words) in [
        ("segreto", "it is no URL"),
        ("", "it is no URL"),
        ("ftp://spia.example/segreto", "neither http:// nor https://"),
        ("https://io:segreto@spia.example/", "before its host"),
    ] {
        let by_flag = refused(&[LEASE, "--heartbeat-url", bad], None);
        let by_environment = refused(&[LEASE], Some(bad));
        for (code, said) in [by_flag, by_environment] {
            assert_eq!(code, Some(1), "{bad}: {said}");
            assert!(said.contains("--heartbeat-url") && said.contains(HEARTBEAT_URL) && said.contains(words), "{bad}: {said}");
            assert!(!said.contains("segreto") && !said.contains("spia"), "{said}");
        }
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
        let (code, said) = refused(arguments, None);
        assert!(code.is_some_and(|code| code != 0) && said.contains(words), "{said}");
        assert!(!said.contains("segreto") && !said.contains("spia"), "{said}");
    }
    let (_, said) = refused(&[], Some(good));
    assert!(said.contains("a heartbeat needs --lease-namespace") && !said.contains("segreto"), "{said}");
    let (_, said) = refused(&[], None);
    assert!(said.contains("no cluster"), "without an address nothing is asked of anybody: {said}");
}

#[test]
fn a_span_between_pings_out_of_bounds_is_refused_with_the_bounds() {
    for (bad, words) in
        [("9s", "10s at least and 3600s at most"), ("61m", "10s at least and 3600s at most"), ("often", "not a duration")]
    {
        let (code, said) = refused(&[LEASE, "--heartbeat-every", bad], None);
        assert!(code == Some(2) && said.contains(words), "{code:?} {said}");
    }
}
