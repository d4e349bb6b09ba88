//! Every rule by its id: the reasons of refusals and warnings, in one table.
//!
//! In: an id. Out: its level and what it says. Invariants: an id never changes its meaning; a test compares the table with the reasons
//! in the code. Not here: the words of a finding, which speak of its place.

use super::finding::Level;
use super::finding::Level::{Error, Note, Warning};

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// One CamelCase word.
    pub id: &'static str,
    /// How much a finding of it matters.
    pub level: Level,
    /// What it finds, in a sentence.
    pub says: &'static str,
}

const fn rule(id: &'static str, level: Level, says: &'static str) -> Rule {
    Rule { id, level, says }
}

/// Rules about whole files: what they find keeps a file from being checked at all, exit code 2.
const OF_FILES: [&str; 4] = ["FileTooLarge", "FileUnreadable", "NotUtf8", "NotYaml"];

/// Every rule, by id.
pub const RULES: &[Rule] = &[
    rule("Anchor", Note, "Anchors and aliases are copies once they are applied."),
    rule("AsksWhatIsClosed", Warning, "A step that asks a service which this night has scaled to nothing."),
    rule("BadAddress", Error, "An address that cannot be asked."),
    rule("BadCalendar", Error, "A time zone, opening hours, a day or a freeze that cannot be understood."),
    rule("BadDuration", Error, "A text that is no duration, or one out of bounds."),
    rule("BadExpression", Error, "A CEL expression that cannot be read, or that uses what there is not."),
    rule("BadForm", Error, "A text that has not the form its field asks for."),
    rule("BadName", Error, "A name that Kubernetes does not take."),
    rule("BadPatch", Error, "A patch that changes what a closing may not change."),
    rule("BadPattern", Error, "A text that is no regular expression."),
    rule("BadReference", Error, "A text that is neither name nor namespace/name."),
    rule("BadTime", Error, "A text that is no moment with its offset."),
    rule("BadValue", Error, "A default that its own pattern does not match."),
    rule("BreaksRule", Error, "A rule of the kind's schema does not hold: an API server would refuse the object."),
    rule("CannotCover", Error, "A step whose undo cannot cover another's."),
    rule("ClosedTwice", Error, "A service that two steps close."),
    rule("ClosesNothing", Error, "A night that closes no service, and so has no deadline."),
    rule("ClosingNotAllowed", Error, "A service that this namespace may not close."),
    rule("Cycle", Error, "Steps that wait for each other."),
    rule("DependsOnItself", Error, "A service that depends on itself."),
    rule("DoesNotFit", Error, "A sum of time that does not come out."),
    rule("Duplicate", Error, "A name, an entry or an object that stands there twice."),
    rule("DuplicateKey", Error, "A field that is written twice: kubectl silently takes the last."),
    rule("Empty", Error, "An empty text where something has to stand."),
    rule("ExpiresForOthers", Warning, "An undo that stops for good for one service while another waits for it."),
    rule("ExplicitNull", Warning, "A field with nothing in it, which counts as absent."),
    rule("FileTooLarge", Error, "More than is looked at: bytes, depth, documents, values, or what aliases repeat."),
    rule("FileUnreadable", Error, "A file that is not there, may not be read, or is named twice."),
    rule("Frozen", Error, "A night that starts in a period in which no work may start."),
    rule("HardCapBelowBudget", Error, "A hard cap that ends a step before its budget does."),
    rule("HiddenCharacter", Error, "A character that cannot be seen: a control, a mark of direction, one without width."),
    rule("InNoWave", Warning, "A service that is closed and stands in no wave."),
    rule("InTwoWaves", Error, "A service that stands in two waves."),
    rule("KubectlReadsDifferently", Error, "A plain value or field name that kubectl takes for something else."),
    rule("MergeKey", Note, "A merge key, which is YAML 1.1 only."),
    rule("Missing", Error, "A field that has to be written."),
    rule("MissingParameter", Error, "A parameter without default to which the night gives no value."),
    rule("NoChange", Warning, "A patch that changes nothing."),
    rule("NoDocument", Warning, "A file without any document."),
    rule("NoHardCap", Warning, "An overrun policy without time to go on."),
    rule("NoNamespace", Warning, "An object that leaves its namespace to chance."),
    rule("NoOpening", Error, "A night after which nothing opens, and which so has no deadline."),
    rule("NoProbe", Warning, "A service of which nobody can say that it is open."),
    rule("NoReserve", Warning, "A night without time in hand."),
    rule("NoTime", Error, "A budget or an interval of nothing."),
    rule("NoWayToClose", Error, "A service that is to be closed and does not say how."),
    rule("NotActedOn", Warning, "Something that is recorded and does nothing yet."),
    rule("NotAllowed", Error, "A word or a field that is not possible in this place."),
    rule("NotAnObject", Error, "A document that is no object."),
    rule("NotConcerned", Warning, "A service in a wave that this night leaves alone."),
    rule("NotExactlyOne", Error, "None or several of some fields of which exactly one is written."),
    rule("NotPlanned", Note, "A night, or a runbook without one, that could not be planned with these files."),
    rule("NotProven", Error, "A plan that the second opinion does not confirm: a fault of the program, to be reported."),
    rule("NotUtf8", Error, "A file that is no UTF-8 text."),
    rule("NotWhatIsWritten", Warning, "A plain number or truth value that is read back otherwise than it is written."),
    rule("NotYaml", Error, "A file that is no YAML."),
    rule("OpenWhileClosed", Error, "A site that is open while its service is closed, and does not say what it bears."),
    rule("OpensBeforeUpstream", Warning, "A wave that opens a service before one that it needs."),
    rule("OtherGroup", Warning, "A kind of ours in another group, which is not read."),
    rule("OtherOffset", Warning, "A moment whose offset is not that of the place of the night."),
    rule("OtherReaders", Note, "A plain text that other YAML readers take for a number or a date."),
    rule("OutOfRange", Error, "A number outside its bounds."),
    rule("ParameterMismatch", Error, "A value that its parameter's pattern does not match."),
    rule("PlannedInPart", Warning, "A night that was planned without the documents that are refused."),
    rule("PointsToItself", Error, "A step that names itself."),
    rule("SecretTarget", Error, "A Secret as a target."),
    rule("SharedAccount", Warning, "A sentinel that has the rights of the work, and needs fewer."),
    rule("TooFew", Error, "A list with fewer entries than it needs."),
    rule("TooLong", Error, "A text longer than its field takes."),
    rule("TooMany", Error, "More entries than a list or a map takes."),
    rule("TouchesOpenService", Warning, "A step that changes data of a service people use meanwhile."),
    rule("UnknownCalendar", Error, "A calendar that is not there."),
    rule("UnknownField", Error, "A field that its object does not have."),
    rule("UnknownGroup", Error, "A document that is not read, because its group is not quite ours."),
    rule("UnknownKind", Error, "A kind that the group does not have."),
    rule("UnknownParameter", Error, "A parameter that the runbook does not have."),
    rule("UnknownRunbook", Error, "A runbook that is not there."),
    rule("UnknownService", Error, "A service that is not there, or a name that may mean several."),
    rule("UnknownStep", Error, "A step that the runbook does not have."),
    rule("UnknownVersion", Error, "A version of the API that this program does not know."),
    rule("Unreadable", Error, "An object that cannot be read as its kind."),
    rule("WrongType", Error, "A number where a text is expected, a list where an object is, and so on."),
];

fn find(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// The level of a rule; what is not in the table is an error.
#[must_use]
pub fn level_of(id: &str) -> Level {
    find(id).map_or(Error, |rule| rule.level)
}

/// What a rule finds.
#[must_use]
pub fn says(id: &str) -> &'static str {
    find(id).map_or("See the message.", |rule| rule.says)
}

/// Whether the rule is about a file that could not be checked.
#[must_use]
pub fn is_of_files(id: &str) -> bool {
    OF_FILES.contains(&id)
}

/// The table for people.
#[must_use]
pub fn markdown() -> String {
    let mut text = "| rule | level | finds |\n|---|---|---|\n".to_owned();
    for Rule { id, level, says } in RULES {
        text.push_str(&format!("| {id} | {} | {says} |\n", level.word()));
    }
    text
}
