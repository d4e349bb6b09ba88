//! `OfficeCalendar` → [`Calendar`].
//!
//! In: the raw object. Out: the validated one, or every problem. Invariants: as in [`super`]. What is not here: reading hours,
//! zones and dates ([`crate::model::calendar`] does, and its words are passed on).

use super::{Checked, Findings};
use crate::api::OfficeCalendar;
use crate::model::calendar::{Calendar, DeclaredFreeze, Holidays, LocalHoliday};
use crate::model::refusal::Refusal;

/// Validates a calendar.
///
/// # Errors
/// Every problem of the object.
pub fn calendar(raw: &OfficeCalendar) -> Result<Checked<Calendar>, Vec<Refusal>> {
    let mut found = Findings::of("OfficeCalendar", raw, None, &raw.spec);
    for (index, freeze) in raw.spec.freezes.iter().enumerate() {
        if freeze.overridable_by.is_some() {
            let message = "who may override a freeze is recorded but not yet acted on: until it is, nobody can";
            found.warn("NotActedOn", &format!("spec.freezes[{index}].overridableBy"), message);
        }
    }
    let name = raw.metadata.name.as_deref().unwrap_or_default();
    match Calendar::new(name, &raw.spec.time_zone, &raw.spec.hours, &holidays(raw), freezes(raw)) {
        Ok(calendar) => found.into_result(calendar),
        Err(problems) => {
            for problem in problems {
                found.refuse("BadCalendar", &format!("spec.{}", problem.path), problem.message);
            }
            Err(found.into_refusals())
        }
    }
}

fn holidays(raw: &OfficeCalendar) -> Holidays {
    let Some(holidays) = &raw.spec.holidays else { return Holidays::default() };
    let day = |day: &crate::api::calendar::LocalDay| LocalHoliday {
        date: day.date.clone(),
        name: day.name.clone().unwrap_or_default(),
    };
    Holidays { country: holidays.country.clone(), local: holidays.local.iter().map(day).collect() }
}

fn freezes(raw: &OfficeCalendar) -> Vec<DeclaredFreeze> {
    let declared = raw.spec.freezes.iter().map(|freeze| {
        let crate::api::calendar::Freeze { name, from, until, reason, overridable_by } = freeze.clone();
        let overridable_by = overridable_by.map(|people| people.groups).unwrap_or_default();
        DeclaredFreeze { name, from, until, reason, overridable_by }
    });
    declared.collect()
}
