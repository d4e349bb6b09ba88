//! The rules of the house, as tests: layers, sizes, headers, names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 60;
const COLUMNS_MAX: usize = 140;
const PURE: [&str; 4] = ["model", "plan", "engine", "sim"];

/// What each layer may use of the others.
const LAYERS: [(&str, &[&str]); 8] = [
    ("model", &["model"]),
    ("plan", &["model", "plan"]),
    ("engine", &["model", "engine"]),
    ("sim", &["model", "plan", "engine", "sim"]),
    ("api", &["model", "plan", "engine", "api"]),
    ("operator", &["model", "plan", "engine", "api", "operator", "clock"]),
    ("embedded", &["embedded", "clock", "model"]),
    ("sentinel", &["model", "engine", "operator", "sentinel", "clock"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What a build of the fuzzer leaves there is not ours.
                open.extend(Some(path).filter(|path| !path.ends_with("tests/fuzz/target")));
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| (path.strip_prefix(root()).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    let sources: Vec<_> = files("src", "rs").into_iter().chain(files("tests", "rs")).map(read).collect();
    assert!(sources.len() > 20, "the walk found only {} files", sources.len());
    sources
}

fn layer(path: &Path) -> Option<String> {
    let rest = path.strip_prefix("src").ok()?;
    let first = rest.components().next()?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

#[allow(clippy::needless_pass_by_value, reason = "it is given away to be judged")]
fn nothing(problems: Vec<String>) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn no_file_outgrows_what_a_person_reads_at_once() {
    let long = sources().into_iter().filter(|(_, text)| text.lines().count() > LINES_MAX);
    nothing(long.map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count())).collect());
}

#[test]
fn no_line_runs_off_the_page() {
    let mut problems = vec![];
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("src")) {
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX {
                problems.push(format!("{}:{}: {} columns", path.display(), number + 1, line.chars().count()));
            }
        }
    }
    nothing(problems);
}

#[test]
fn no_function_outgrows_a_screenful() {
    let mut problems = vec![];
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if !is_function(line) {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            let closing = format!("{}}}", " ".repeat(indent));
            let length = lines[number..].iter().position(|line| *line == closing || line.ends_with(';') && is_function(line));
            let length = length.map_or(0, |length| length + 1);
            if length > FUNCTION_LINES_MAX {
                problems.push(format!("{}:{}: {length} lines", path.display(), number + 1));
            }
        }
    }
    nothing(problems);
}

fn is_function(line: &str) -> bool {
    let mut words =
        line.trim_start().trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ").trim_start_matches("pub ");
    for word in ["const ", "async "] {
        words = words.trim_start_matches(word);
    }
    words.starts_with("fn ")
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//! "));
    nothing(silent.map(|(path, _)| format!("{}: no //! header", path.display())).collect());
}

#[test]
fn module_headers_of_the_program_say_what_is_not_there() {
    let exempt = ["src/lib.rs", "src/main.rs"];
    let missing = sources().into_iter().filter(|(path, text)| {
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        path.starts_with("src") && !exempt.contains(&path.to_str().unwrap()) && !header.to_lowercase().contains("not here")
    });
    nothing(missing.map(|(path, _)| format!("{}: the header does not say what is not here", path.display())).collect());
}

#[test]
fn layers_look_only_downwards() {
    let mut problems = vec![];
    for (path, text) in sources() {
        let Some((_, allowed)) = layer(&path).and_then(|layer| LAYERS.iter().find(|(name, _)| *name == layer)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for (place, _) in line.match_indices("crate::") {
                let used: String = line[place + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_doc = line.trim_start().starts_with("//");
                if !used.is_empty() && !is_doc && !allowed.contains(&used.as_str()) {
                    problems.push(format!("{}:{}: uses {used}", path.display(), number + 1));
                }
            }
        }
    }
    nothing(problems);
}

#[test]
fn the_pure_layers_know_neither_kubernetes_nor_time_nor_async() {
    let banned =
        ["kube::", "k8s_openapi", "tokio", "async fn", "async move", ".await", "Timestamp::now", "Instant::now", "SystemTime"];
    let mut problems = vec![];
    for (path, text) in sources().into_iter().filter(|(path, _)| layer(path).is_some_and(|l| PURE.contains(&l.as_str()))) {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let found = banned.iter().find(|word| line.contains(**word));
            problems.extend(found.map(|word| format!("{}:{}: {word}", path.display(), number + 1)));
        }
    }
    nothing(problems);
}

#[test]
fn nothing_in_a_night_is_chosen_by_chance() {
    let shells = ["operator", "sentinel", "embedded"];
    let mut problems = vec![];
    for (path, text) in sources().into_iter().filter(|(path, _)| layer(path).is_some_and(|l| shells.contains(&l.as_str()))) {
        let lines: Vec<&str> = text.lines().collect();
        let chosen = lines.iter().enumerate().filter(|(_, line)| line.contains("select! {"));
        let chance = chosen.filter(|(number, _)| lines.get(number + 1).is_none_or(|next| next.trim() != "biased;"));
        problems.extend(chance.map(|(number, _)| format!("{}:{}: a select that is not biased", path.display(), number + 1)));
    }
    nothing(problems);
}

#[test]
fn no_file_hides_behind_a_name_that_says_nothing() {
    let banned: BTreeSet<&str> = ["utils", "util", "helpers", "helper", "common", "manager", "misc"].into();
    let hidden = sources().into_iter().filter(|(path, _)| banned.contains(path.file_stem().unwrap().to_str().unwrap()));
    nothing(hidden.map(|(path, _)| path.display().to_string()).collect());
}

#[test]
fn the_top_level_holds_what_it_should_and_nothing_else() {
    let allowed: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "charts",
        "manifests",
        "runbooks",
        "tests",
        "README.md",
        "LICENSE",
        "publiccode.yml",
        "target",
    ]
    .into();
    let names = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    nothing(names.filter(|name| !name.starts_with('.') && !allowed.contains(name.as_str())).collect());
}

/// Text of a hunk's old side, by file.
fn hunks(patch: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = vec![];
    let mut file = String::new();
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("--- a/") {
            name.clone_into(&mut file);
        } else if line.starts_with("@@ ") {
            found.push((file.clone(), String::new()));
        } else if let (Some(kept), Some((_, hunk))) = (line.strip_prefix([' ', '-']), found.last_mut()) {
            // The head of the next file follows the last hunk of the one before.
            if !line.starts_with("---") {
                hunk.push_str(kept);
                hunk.push('\n');
            }
        }
    }
    found
}

#[test]
fn every_planted_bug_can_still_be_planted() {
    let patches = files("tests/planted", "patch");
    assert!(patches.len() >= 40, "{} planted bugs", patches.len());
    let mut problems = vec![];
    for path in patches {
        let hunks = hunks(&fs::read_to_string(&path).unwrap());
        assert!(!hunks.is_empty(), "{} changes nothing", path.display());
        for (file, old) in hunks {
            if !fs::read_to_string(root().join(&file)).is_ok_and(|text| text.contains(&old)) {
                problems.push(format!("{}: {file} has no longer what it changes", path.display()));
            }
        }
    }
    nothing(problems);
}
