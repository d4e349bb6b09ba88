//! Changes that keep an input's form: JSON stays JSON, lines stay lines. Half of all changes are libFuzzer's own, which keep nothing.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Value, json};

/// Chance, from libFuzzer's seed.
struct Chance(u64);

impl Chance {
    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        // The step of Knuth's generator for 64 bits; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % end.max(1)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Changes JSON at one or two places, and what is none as libFuzzer does.
pub fn of_json(data: &mut [u8], size: usize, size_max: usize, seed: u32, words: &[&str]) -> usize {
    let mut chance = Chance(u64::from(seed) | 1 << 40);
    if chance.below(4) == 0 {
        return fuzzer_mutate(data, size, size_max);
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&data[..size]) else { return fuzzer_mutate(data, size, size_max) };
    for _ in 0..=chance.below(3) {
        change(&mut value, words, &mut chance);
    }
    keep(data, size, size_max, value.to_string().as_bytes())
}

/// Changes lines and words of a text.
pub fn of_text(data: &mut [u8], size: usize, size_max: usize, seed: u32, words: &[&str]) -> usize {
    let mut chance = Chance(u64::from(seed) | 1 << 40);
    if chance.below(2) == 0 {
        return fuzzer_mutate(data, size, size_max);
    }
    let Ok(text) = std::str::from_utf8(&data[..size]) else { return fuzzer_mutate(data, size, size_max) };
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let (at, from) = (chance.below(lines.len()), chance.below(lines.len()));
    match chance.below(8) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[from].clone()),
        2 => lines.swap(at, from),
        3 => lines[at].insert_str(0, "  "),
        4 => lines[at] = lines[at].strip_prefix("  ").unwrap_or(&lines[at]).to_owned(),
        5 => {
            let word = (*chance.of(words)).to_owned();
            let line = &lines[at];
            let places: Vec<usize> = line.char_indices().map(|(place, _)| place).chain([line.len()]).collect();
            let place = *chance.of(&places);
            lines[at].insert_str(place, &word);
        }
        _ => {
            let mut parts: Vec<&str> = lines[at].split_inclusive([' ', ':', ',', '-', ';', '.']).collect();
            let place = chance.below(parts.len());
            if let Some(part) = parts.get_mut(place) {
                *part = chance.of(words);
            }
            lines[at] = parts.concat();
        }
    }
    let changed = lines.join("\n");
    keep(data, size, size_max, changed.as_bytes())
}

fn keep(data: &mut [u8], size: usize, size_max: usize, changed: &[u8]) -> usize {
    if changed.is_empty() || changed.len() > size_max || changed.len() > data.len() {
        return fuzzer_mutate(data, size, size_max);
    }
    data[..changed.len()].copy_from_slice(changed);
    changed.len()
}

/// Goes down by chance, and changes what it comes to.
fn change(value: &mut Value, words: &[&str], chance: &mut Chance) {
    let goes_on = chance.below(8) != 0;
    match value {
        Value::Object(fields) if goes_on && !fields.is_empty() => {
            let place = chance.below(fields.len());
            let key = fields.keys().nth(place).cloned().unwrap_or_default();
            match chance.below(12) {
                0 => drop(fields.remove(&key)),
                1 => {
                    let other = fields.remove(&key).unwrap_or_default();
                    fields.insert((*chance.of(words)).to_owned(), other);
                }
                2 => drop(fields.insert((*chance.of(words)).to_owned(), odd(words, chance))),
                _ => change(fields.entry(key).or_insert(Value::Null), words, chance),
            }
        }
        Value::Array(items) if goes_on && !items.is_empty() => {
            let (at, from) = (chance.below(items.len()), chance.below(items.len()));
            match chance.below(8) {
                0 => drop(items.remove(at)),
                1 => items.insert(at, items[from].clone()),
                2 => items.swap(at, from),
                _ => change(&mut items[at], words, chance),
            }
        }
        Value::String(text) if goes_on => {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).chain([text.len()]).collect();
            let place = *chance.of(&places);
            match chance.below(4) {
                0 => text.truncate(place),
                1 => text.insert_str(place, chance.of(words)),
                _ => *value = odd(words, chance),
            }
        }
        other => *other = odd(words, chance),
    }
}

/// Something that stands there seldom.
fn odd(words: &[&str], chance: &mut Chance) -> Value {
    let numbers = [0, 1, 2, 3, -1, 255, 256, 65_535, 2_147_483_647, 4_294_967_295, i64::MAX, i64::MIN];
    match chance.below(16) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!(chance.below(2) == 0),
        4 => json!(1e308),
        5 => json!(u64::MAX),
        6 | 7 => json!(chance.of(&numbers)),
        8 => json!("è\u{202e}\u{0}\u{10ffff}"),
        _ => json!(chance.of(words)),
    }
}
