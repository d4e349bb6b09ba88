//! Opening hours of civil days: the one place that speaks to `opening-hours` and to chrono's naive types.
//!
//! In: a text in the OpenStreetMap `opening_hours` syntax and the public holidays. Out: for a civil day, the minutes in
//! which it is open, and for how long what was open at midnight stays open on the next day.
//!
//! Invariants:
//! - a *shift* that crosses midnight (`20:00-08:00`) belongs to the day it begins on and ends when it is written to end,
//!   whatever rule holds on the next day. The library alone cuts such a shift at midnight when the next day has a rule
//!   of its own (`PH off`, `Sa 10:00-12:00`), and begins it at midnight when the day before was closed by a rule. Both
//!   move a deadline, so each day is asked from the library without its spill, and the spill is added here;
//! - what the syntax calls `unknown` counts as open: somebody may be standing there;
//! - what this program could only guess at (sunrise without a place, open ends) is refused, not guessed;
//! - outside the years 1900 to 9999 everything is closed; outside the country's list (2000 to 2076) no day is a holiday.
//!
//! What is not here: time zones and instants (`instants.rs`), field paths (the parent).

use std::sync::{Arc, LazyLock};

use chrono::NaiveDate;
use jiff::civil::Date;
use opening_hours::localization::Country;
use opening_hours::{Context, ContextHolidays, OpeningHours};
use opening_hours_syntax::rules::day::{HolidayKind, WeekDayRange};
use opening_hours_syntax::rules::time::{Time, TimeSelector, TimeSpan};
use opening_hours_syntax::rules::{OpeningHoursExpression, RuleOperator, RuleSequence};
use opening_hours_syntax::{Error as SyntaxError, ExtendedTime, RuleKind};
use regex::{Captures, Regex};

/// Minutes of a civil day.
pub(super) const DAY_MINUTES: u16 = 24 * 60;
/// The longest text accepted, in bytes.
const TEXT_MAX: usize = 1_024;
const EXAMPLE: &str = "\"Mo-Fr 07:30-16:30; Sa 07:30-12:30; PH off\"";

/// Days on which the country, or the town, is closed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HolidayList {
    days: ContextHolidays,
}

impl HolidayList {
    /// The nation-wide public holidays of a country by its ISO 3166 code, from the list embedded in `opening-hours`
    /// (days that are holidays in one region only are not among them). The error is a sentence.
    pub(super) fn of_country(code: &str) -> Result<Self, String> {
        let advice = "write the two capital letters of ISO 3166, such as IT, or list the days under holidays.local";
        let country: Country = code.parse().map_err(|_| format!("unknown country \"{}\": {advice}", cut(code)))?;
        let days = country.holidays();
        if days.get_public().count() == 0 {
            return Err(format!("no public holidays are known for country {code}: list the days under holidays.local"));
        }
        Ok(Self { days })
    }

    /// Adds days to the public holidays.
    pub(super) fn with(self, added: impl Iterator<Item = Date>) -> Self {
        let mut public = self.days.get_public().clone();
        for day in added.filter_map(naive) {
            public.insert(day);
        }
        let school = self.days.get_school().clone();
        Self { days: ContextHolidays::new(Arc::new(public), Arc::new(school)) }
    }

    pub(super) fn contains(&self, day: Date) -> bool {
        naive(day).is_some_and(|day| self.days.get_public().contains(day))
    }

    fn has_none(&self, kind: HolidayKind) -> bool {
        self.days.get_for_kind(kind).count() == 0
    }
}

/// Parsed hours with their holidays.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hours {
    /// Every rule cut at midnight.
    by_day: OpeningHours,
    /// One entry per rule, in order; empty when no rule crosses midnight.
    shifts: Vec<Shift>,
}

/// What one rule says about the night after one of its days.
#[derive(Clone, Debug, PartialEq)]
struct Shift {
    /// Open all day on the days the rule is about, closed on all others.
    days: OpeningHours,
    adds: bool,
    closes: bool,
    /// Minutes after the midnight that ends the day; 0 when the rule does not cross it.
    until_minute: u16,
}

impl Hours {
    /// Reads the text; `holidays` is None when their own problems are reported already. The errors are sentences, all
    /// at once where the text can be read at all.
    pub(super) fn parse(text: &str, holidays: Option<&HolidayList>) -> Result<Self, Vec<String>> {
        if text.trim().is_empty() {
            return Err(vec![format!("opening hours are missing: write them as {EXAMPLE}, or 24/7")]);
        }
        if text.len() > TEXT_MAX {
            return Err(vec![format!("opening hours are longer than {TEXT_MAX} characters: write fewer rules")]);
        }
        if let Some(found) = repetition_by_the_day(text) {
            return Err(vec![format!("\"{found}\" repeats moments instead of opening: write the hours without \"/\"")]);
        }
        let whole: OpeningHours = text.parse().map_err(|error| vec![syntax_problem(text, &error)])?;
        let expression = whole.get_expression();
        let problems: Vec<String> =
            expression.rules.iter().flat_map(|rule| rule_problems(rule, holidays)).fold(Vec::new(), |mut kept, problem| {
                if !kept.contains(&problem) {
                    kept.push(problem);
                }
                kept
            });
        if !problems.is_empty() {
            return Err(problems);
        }
        let context = Context::default().with_holidays(holidays.cloned().unwrap_or_default().days);
        if !expression.rules.iter().any(|rule| rule.time_selector.spans.iter().any(crosses_midnight)) {
            return Ok(Self { by_day: whole.with_context(context), shifts: Vec::new() });
        }
        cut_at_midnight(&expression, &context).map_err(|problem| vec![problem])
    }

    /// The minutes of the civil day in which it is open, increasing and disjoint, each `(from, until)` with
    /// `until <= DAY_MINUTES`; without what the evening before brought along.
    pub(super) fn open_on(&self, day: Date) -> Vec<(u16, u16)> {
        let Some(day) = naive(day) else { return Vec::new() };
        self.by_day
            .schedule_at(day)
            .into_iter()
            .filter(|range| counts_as_open(range.kind))
            .map(|range| (range.range.start.mins_from_midnight(), range.range.end.mins_from_midnight()))
            .collect()
    }

    /// How many minutes of the next day the shift takes that is under way when this day ends; 0 when there is none.
    pub(super) fn carried_over(&self, day: Date) -> u16 {
        if self.shifts.is_empty() || self.open_on(day).last().is_none_or(|(_, until)| *until < DAY_MINUTES) {
            return 0;
        }
        let Some(day) = naive(day) else { return 0 };
        let mut until_minute = 0;
        for shift in self.shifts.iter().filter(|shift| !shift.closes && !shift.days.schedule_at(day).is_empty()) {
            // As in the syntax: a rule replaces the ones before it on its days, unless it says that it adds.
            until_minute = if shift.adds { shift.until_minute.max(until_minute) } else { shift.until_minute };
        }
        until_minute
    }
}

/// The same hours as rules that end at midnight, plus what each of them carries over.
fn cut_at_midnight(expression: &OpeningHoursExpression, context: &Context) -> Result<Hours, String> {
    let mut by_day = expression.clone();
    let mut shifts = Vec::new();
    for rule in &mut by_day.rules {
        shifts.push(Shift {
            days: rebuilt(vec![days_of(rule)], context)?,
            adds: rule.operator != RuleOperator::Normal,
            closes: !counts_as_open(rule.kind),
            until_minute: rule.time_selector.spans.iter().map(minutes_after_midnight).max().unwrap_or(0),
        });
        for span in rule.time_selector.spans.iter_mut().filter(|span| crosses_midnight(span)) {
            span.range.end = Time::Fixed(ExtendedTime::MIDNIGHT_24);
        }
    }
    Ok(Hours { by_day: rebuilt(by_day.rules, context)?, shifts })
}

/// The rule's days, open from midnight to midnight.
fn days_of(rule: &RuleSequence) -> RuleSequence {
    RuleSequence {
        day_selector: rule.day_selector.clone(),
        time_selector: TimeSelector::default(),
        kind: RuleKind::Open,
        operator: RuleOperator::Normal,
        comment: Arc::from(""),
    }
}

/// The library builds hours from text only: write the rules and read them back, and believe it only if nothing changed.
fn rebuilt(rules: Vec<RuleSequence>, context: &Context) -> Result<OpeningHours, String> {
    let expression = OpeningHoursExpression { rules };
    let text = expression.to_string();
    match text.parse::<OpeningHours>() {
        Ok(hours) if *hours.get_expression() == expression => Ok(hours.with_context(context.clone())),
        Ok(_) | Err(_) => Err(format!(
            "these hours cross midnight in a way that cannot be followed (read as \"{}\"): write the evening and the \
             morning as two rules",
            cut(&text)
        )),
    }
}

fn counts_as_open(kind: RuleKind) -> bool {
    match kind {
        RuleKind::Open | RuleKind::Unknown => true,
        RuleKind::Closed => false,
    }
}

fn fixed(time: Time) -> Option<ExtendedTime> {
    match time {
        Time::Fixed(time) => Some(time),
        Time::Variable(_) => None,
    }
}

fn crosses_midnight(span: &TimeSpan) -> bool {
    match (fixed(span.range.start), fixed(span.range.end)) {
        (Some(start), Some(end)) => end <= start || end > ExtendedTime::MIDNIGHT_24,
        (None, _) | (_, None) => false,
    }
}

/// `20:00-08:00` and `20:00-32:00` alike: 480.
fn minutes_after_midnight(span: &TimeSpan) -> u16 {
    match (crosses_midnight(span), fixed(span.range.end)) {
        (true, Some(end)) if end > ExtendedTime::MIDNIGHT_24 => end.mins_from_midnight() - DAY_MINUTES,
        (true, Some(end)) => end.mins_from_midnight(),
        (true | false, Some(_) | None) => 0,
    }
}

fn rule_problems(rule: &RuleSequence, holidays: Option<&HolidayList>) -> Vec<String> {
    let mut problems = Vec::new();
    let none_of = |kind| holidays.is_some_and(|holidays| holidays.has_none(kind));
    for range in &rule.day_selector.weekday {
        match range {
            WeekDayRange::Holiday { kind: HolidayKind::Public, .. } if none_of(HolidayKind::Public) => problems
                .push("\"PH\" is used, but no public holiday is declared: add holidays.country or holidays.local".to_owned()),
            WeekDayRange::Holiday { kind: HolidayKind::School, .. } if none_of(HolidayKind::School) => problems.push(
                "\"SH\" is used, but no school holidays are known here: write the dates, such as \"Jun 10-Sep 12\"".to_owned(),
            ),
            WeekDayRange::Holiday { .. } | WeekDayRange::Fixed { .. } => {}
        }
    }
    for span in &rule.time_selector.spans {
        if fixed(span.range.start).is_none() || fixed(span.range.end).is_none() {
            problems.push(format!("\"{span}\" depends on the sun, and a calendar has no place: write times"));
        } else if span.open_end {
            problems.push(format!("\"{span}\" has no closing time: write one, such as \"17:00-20:00\""));
        } else if span.repeats.is_some() {
            problems.push(format!("\"{span}\" repeats moments instead of opening: write the hours without \"/\""));
        } else if !counts_as_open(rule.kind) && crosses_midnight(span) {
            problems.push(format!("\"{span}\" closes across midnight: write the evening and the morning as two rules"));
        }
    }
    problems
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the library's errors, which may grow; each says itself")]
fn syntax_problem(text: &str, error: &SyntaxError) -> String {
    let said = match error {
        SyntaxError::Syntax(parser) => {
            let words = in_plain_words(&parser.variant.message());
            match column(&parser.to_string()) {
                Some(column) => format!("{words} at character {column}"),
                None => words,
            }
        }
        other => other.to_string(),
    };
    let advice = match with_minutes(text) {
        Some(meant) => format!("hours are written with their minutes, \"{}\"", cut(&meant)),
        None => format!("write the hours in the OpenStreetMap opening_hours syntax, such as {EXAMPLE}"),
    };
    format!("cannot read \"{}\": {said}; {advice}", cut(text))
}

/// Comments, which may say anything, and the one repetition that the library's grammar takes and its parser does not expect.
static COMMENT_OR_REPETITION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#""[^"]*"|/ ?24:00"#).ok());

/// What is repeated every 24:00: the parser panics on it where assertions are on.
fn repetition_by_the_day(text: &str) -> Option<&str> {
    COMMENT_OR_REPETITION.as_ref()?.find_iter(text).map(|found| found.as_str()).find(|found| found.starts_with('/'))
}

/// `8-13`, `8.30-13`, `8 to 13`.
static BARE_HOURS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(\d{1,2})(?:[:.](\d{2}))?\s*(?:-|–|to|alle)\s*(\d{1,2})(?:[:.](\d{2}))?\b").ok());

/// The same hours as they have to be written, if that makes them readable.
fn with_minutes(text: &str) -> Option<String> {
    let written = BARE_HOURS.as_ref()?.replace_all(text, |found: &Captures<'_>| {
        let part = |index: usize| found.get(index).map_or("00", |part| part.as_str());
        format!("{:0>2}:{}-{:0>2}:{}", part(1), part(2), part(3), part(4))
    });
    let is_hours = repetition_by_the_day(&written).is_none() && written.parse::<OpeningHours>().is_ok();
    is_hours.then(|| written.into_owned())
}

/// The parser lists the names of its grammar's rules.
fn in_plain_words(words: &str) -> String {
    [("EOI", "the end"), ("timespan_plus", "a closing time"), ("timespan", "hours"), ("any_rule_separator", "\";\""), ("_", " ")]
        .iter()
        .fold(words.to_owned(), |said, (name, plain)| said.replace(name, plain))
}

/// The column out of the parser's ` --> 1:8`.
fn column(rendered: &str) -> Option<usize> {
    rendered.lines().next()?.rsplit(':').next()?.trim().parse().ok()
}

fn naive(day: Date) -> Option<NaiveDate> {
    let month = u32::try_from(day.month()).ok()?;
    NaiveDate::from_ymd_opt(i32::from(day.year()), month, u32::try_from(day.day()).ok()?)
}

/// A text as quoted in a message: at most 80 characters.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
