//! The word that was probably meant.
//!
//! In: a word as written, and the words that exist. Out: the nearest of them, when it is near. Invariant: long texts are not compared,
//! so the cost is bounded whatever is written. Not here: the sentences around it.

/// The longest word that is looked at, in characters.
const WORD_MAX: usize = 64;

/// The closest of `words` to `word`, when it is close: one letter in any word, one more for every four letters of the other.
#[must_use]
pub fn closest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().nth(WORD_MAX).is_some() {
        return None;
    }
    let word = word.to_lowercase();
    let near = words.map(|candidate| (letters_apart(&word, &candidate.to_lowercase()), candidate));
    near.filter(|(far, candidate)| *far <= 1 + candidate.len() / 4).min().map(|(_, candidate)| candidate)
}

/// `; did you mean budget?`, or nothing.
#[must_use]
pub fn did_you_mean<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> String {
    closest(word, words).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default()
}

/// Levenshtein's distance, in characters. The cost is the product of the lengths.
#[must_use]
pub fn letters_apart(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut next = vec![index + 1];
        for ((diagonal, above), right) in row.iter().zip(row.iter().skip(1)).zip(&to) {
            let replaced = diagonal + usize::from(left != *right);
            let beside = next.last().copied().unwrap_or_default().min(*above) + 1;
            next.push(replaced.min(beside));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{closest, letters_apart};

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        assert_eq!(closest("bugdet", ["name", "budget"].into_iter()), Some("budget"));
        assert_eq!(closest("PERCHÉ", ["perché"].into_iter()), Some("perché"));
        assert_eq!(closest("zzzz", ["budget"].into_iter()), None);
        assert_eq!(closest(&"a".repeat(100_000), ["budget"].into_iter()), None);
        assert_eq!((letters_apart("", "abc"), letters_apart("kitten", "sitting")), (3, 3));
    }
}
