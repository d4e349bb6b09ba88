//! Tokens: who may write to an object tonight, and in which direction (PROTOCOL rules 1–7).
//!
//! In: the annotation on an object, the night's UID, the epoch of whoever looks. Out: [`Standing`]. Invariant: a token is
//! `<night uid>.<epoch>.<way>`. Not here: the patches that carry them.

use std::fmt;

use serde_json::Value;

use crate::engine::facts::TokenFact;

use super::marks;
use super::operations::annotated;
use crate::model::epoch::Epoch;

/// What may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Closings and starts of steps.
    Forward,
    /// Starts of undos and of the smoke test.
    Back,
    /// Openings.
    Reopen,
    /// Nothing any more.
    Expired,
}

impl Way {
    /// The word in the token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Back => "back",
            Self::Reopen => "reopen",
            Self::Expired => "expired",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Forward, Self::Back, Self::Reopen, Self::Expired].into_iter().find(|way| way.as_str() == word)
    }
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The UID of the night.
    pub night: String,
    /// Whose it is.
    pub epoch: Epoch,
    /// What may be written.
    pub way: Way,
}

impl Token {
    /// The token of an epoch for a night.
    #[must_use]
    pub fn of(night: &str, epoch: Epoch, way: Way) -> Self {
        Self { night: night.to_owned(), epoch, way }
    }

    /// The token in an annotation's value; none when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (night, epoch, way) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && !night.is_empty() && epoch.starts_with(|c: char| ('1'..='9').contains(&c));
        whole.then_some(())?;
        Some(Self { night: night.to_owned(), epoch: Epoch(epoch.parse().ok()?), way: Way::parse(way)? })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.night, self.epoch, self.way.as_str())
    }
}

/// What an object's token means to somebody who acts for this night.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None, or a text that is none.
    Missing,
    /// Their own.
    Own(Way),
    /// This night's, of an epoch that they depose.
    Older(Token),
    /// This night's, of an epoch that deposed them.
    Newer(Token),
    /// Another night's.
    Foreign(Token),
}

impl Standing {
    /// As `object` shows it to `epoch`.
    #[must_use]
    pub fn of(object: &Value, night: &str, epoch: Epoch) -> Self {
        match annotated(object, marks::TOKEN).and_then(Token::parse) {
            None => Self::Missing,
            Some(token) if token.night != night => Self::Foreign(token),
            Some(token) if token.epoch > epoch => Self::Newer(token),
            Some(token) if token.epoch < epoch => Self::Older(token),
            Some(token) => Self::Own(token.way),
        }
    }

    /// The fact for the engine.
    #[must_use]
    pub fn fact(&self) -> TokenFact {
        match self {
            Self::Missing | Self::Foreign(_) => TokenFact::Missing,
            Self::Newer(_) => TokenFact::Deposed,
            Self::Own(Way::Forward) => TokenFact::Forward,
            Self::Own(Way::Back) => TokenFact::Back,
            Self::Own(Way::Reopen) => TokenFact::Reopen,
            // Nobody of whatever epoch starts what is expired.
            Self::Own(Way::Expired) | Self::Older(Token { way: Way::Expired, .. }) => TokenFact::Expired,
            Self::Older(_) => TokenFact::Older,
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;

    fn standing(token: &str) -> Standing {
        standing_to(Epoch::OPERATOR, token)
    }

    fn standing_to(epoch: Epoch, token: &str) -> Standing {
        Standing::of(&json!({"metadata": {"annotations": {"notturno.dev/token": token}}}), "u-1", epoch)
    }

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        for way in [Way::Forward, Way::Back, Way::Reopen, Way::Expired] {
            let token = Token::of("0f0e-1", Epoch::SENTINELS, way);
            assert_eq!(Token::parse(&token.to_string()), Some(token));
        }
    }

    #[test]
    fn what_is_not_a_token_counts_as_none() {
        for text in [
            "",
            "u-1",
            "u-1.1",
            "u-1.1.sideways",
            ".1.forward",
            "u-1.0.forward",
            "u-1.+1.forward",
            "u-1.01.forward",
            "u-1.1.forward.x",
        ] {
            assert_eq!(standing(text), Standing::Missing, "{text}");
        }
        assert_eq!(Standing::of(&json!({"metadata": {}}), "u-1", Epoch::OPERATOR), Standing::Missing);
    }

    #[test]
    fn another_night_claims_and_a_newer_epoch_deposes() {
        assert_eq!(standing("u-1.1.forward"), Standing::Own(Way::Forward));
        assert_eq!(standing("u-1.2.reopen").fact(), TokenFact::Deposed);
        assert_eq!(standing("u-2.1.forward"), Standing::Foreign(Token::of("u-2", Epoch::OPERATOR, Way::Forward)));
        assert_eq!(standing("u-2.1.forward").fact(), TokenFact::Missing);
    }

    #[test]
    fn what_an_older_epoch_may_still_use_has_to_be_burned_and_what_nobody_may_is_done_with() {
        let older = |token| standing_to(Epoch::SENTINELS, token).fact();
        assert_eq!(standing_to(Epoch::SENTINELS, "u-1.2.reopen"), Standing::Own(Way::Reopen));
        assert_eq!([older("u-1.1.forward"), older("u-1.1.reopen"), older("u-1.1.back")], [TokenFact::Older; 3]);
        assert_eq!(older("u-1.1.expired"), TokenFact::Expired);
    }
}
