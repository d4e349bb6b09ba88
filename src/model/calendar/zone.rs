//! Time zones by name, from the database bundled with jiff.
//!
//! In: a name. Out: the zone, or a sentence that says what to write. A name that is not known is refused: a night in
//! UTC by mistake is a night an hour or two off. What is not here: offsets, clock changes (`instants.rs`).

use jiff::tz::{TimeZone, db};

use crate::model::near::letters_apart;

/// The longest name that a suggestion is looked for, in bytes.
const NAME_MAX: usize = 64;
/// How many letters a suggestion may differ by.
const TYPOS_MAX: usize = 2;

/// The zone of an IANA name, spelled as the database spells it. The error is a sentence.
pub(super) fn named(name: &str) -> Result<TimeZone, String> {
    if name.trim().is_empty() {
        return Err("the time zone is missing: write an IANA name, such as Europe/Rome; there is no default".to_owned());
    }
    let shown: String = name.chars().take(NAME_MAX).collect();
    if name == "Etc/Unknown" {
        return Err("\"Etc/Unknown\" is no place: write the IANA name of the offices' zone, such as Europe/Rome".to_owned());
    }
    match TimeZone::get(name) {
        Ok(zone) if zone.iana_name() == Some(name) => Ok(zone),
        Ok(zone) => match zone.iana_name() {
            Some(spelled) => Err(format!("time zone \"{shown}\" is spelled {spelled}")),
            None => Err(unknown(&shown, None)),
        },
        Err(_) => Err(unknown(&shown, suggestion(name))),
    }
}

fn unknown(shown: &str, suggested: Option<String>) -> String {
    match suggested {
        Some(meant) => format!("unknown time zone \"{shown}\": did you mean {meant}?"),
        None => format!(
            "unknown time zone \"{shown}\": write an IANA name, such as Europe/Rome (no offsets, no POSIX rules); there \
             is no default"
        ),
    }
}

/// The known name that differs by a letter or two, or only by the part before the last slash.
fn suggestion(name: &str) -> Option<String> {
    if name.len() > NAME_MAX {
        return None;
    }
    let wanted = name.trim().to_ascii_lowercase().replace(' ', "_");
    let city = wanted.rsplit('/').next().unwrap_or(&wanted);
    let mut best: Option<(usize, String)> = None;
    for known in db().available() {
        let known = known.as_str();
        let lower = known.to_ascii_lowercase();
        let same_city = city.len() > 3 && lower.rsplit('/').next() == Some(city);
        let distance = if same_city { 1 } else { letters_apart(&wanted, &lower) };
        if distance <= TYPOS_MAX && best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, known.to_owned()));
        }
    }
    best.map(|(_, known)| known)
}
