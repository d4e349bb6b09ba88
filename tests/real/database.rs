//! The database that a night works on: a file of rows, and its checksum, on a volume that Pods mount.
//!
//! In: a directory under the cluster's share. Out: what is in it, seen from outside. Invariants: made anew for each test. Not here: who
//! works on it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::cluster::Cluster;
use super::ledger::sha256;
use super::tenant::fill;

/// A file of rows, and its checksum.
#[derive(Clone, Debug)]
pub struct Database {
    directory: PathBuf,
}

/// What rows say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All are there, of one version.
    Whole(u32),
    /// Some are missing, or of another version.
    Torn,
}

impl Rows {
    /// Of a file's text.
    pub fn of(text: &str) -> Self {
        let versions: BTreeSet<Option<&str>> = text.lines().map(|row| row.split(' ').nth(2)).collect();
        let version = versions.first().copied().flatten().and_then(|version| version.strip_prefix('v')?.parse().ok());
        let is_whole = versions.len() == 1 && text.lines().count() == Database::ROWS;
        version.filter(|_| is_whole).map_or(Self::Torn, Self::Whole)
    }
}

impl Database {
    const ROWS: usize = 400;

    /// A new one in a directory under the cluster's share.
    pub fn make(cluster: &Cluster, place: &str) -> Self {
        let directory = cluster.state().join("share").join(place);
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        let row = |n: usize| format!("{n:06} RX-{:010}-ABCDEFGHIJ v15 aperta \n", n * 7919);
        let rows: String = (1..=Self::ROWS).map(row).collect();
        assert_eq!(rows.len(), 44 * Self::ROWS, "the scripts rewrite rows of 44 bytes");
        for place in ["", "ieri"] {
            let place = directory.join(place);
            fs::create_dir_all(&place).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
            fs::write(place.join("motore.db"), &rows).unwrap();
            fs::write(place.join("motore.db.sha256"), format!("{}\n", sha256(rows.as_bytes()))).unwrap();
        }
        Self { directory }
    }

    /// The template with its directory filled in.
    pub fn fill(&self, template: &str) -> String {
        fill(template, &[("DATI", self.directory.to_str().unwrap())])
    }

    /// The next upgrade hangs half-way: `sordo` does not hear that it should stop, `lungo` neither and for minutes, `cortese` does and
    /// claims success.
    pub fn break_upgrade(&self, how: &str) {
        fs::write(self.directory.join("guasto"), how).unwrap();
    }

    /// The first undo fails, the second hangs and does not hear that it should stop.
    pub fn break_undo(&self) {
        fs::write(self.directory.join("guasto-ripristino"), "").unwrap();
    }

    /// SHA-256 of the rows and of the file with their checksum.
    pub fn fingerprint(&self) -> [String; 2] {
        ["motore.db", "motore.db.sha256"].map(|file| sha256(&fs::read(self.directory.join(file)).unwrap()))
    }

    /// How many rows there are of a version.
    pub fn rows_of(&self, version: &str) -> usize {
        let rows = fs::read_to_string(self.directory.join("motore.db")).unwrap();
        rows.lines().filter(|row| row.split(' ').nth(2) == Some(version)).count()
    }

    /// What the Jobs themselves noted, in order: `inizia WORK POD` at each start, `lavora WORK POD` while one hangs.
    pub fn noted(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.join("registro")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What its rows say, and whether its checksum is theirs.
    pub fn rows(&self) -> Rows {
        let rows = fs::read(self.directory.join("motore.db")).unwrap();
        let sum = fs::read_to_string(self.directory.join("motore.db.sha256")).unwrap();
        if sum.trim() == sha256(&rows) { Rows::of(&String::from_utf8_lossy(&rows)) } else { Rows::Torn }
    }

    /// That step works on, once it has begun, until it is let go.
    pub fn hold(&self, step: &str) {
        fs::write(self.directory.join(format!("ferma-{step}")), "").unwrap();
    }

    /// Whatever is held goes on.
    pub fn let_go(&self) {
        fs::write(self.directory.join("prosegui"), "").unwrap();
    }

    /// What a container elsewhere does to it, half-way.
    pub fn rewrite_half(&self, pod: &str) {
        let file = self.directory.join("motore.db");
        let mut rows = fs::read_to_string(&file).unwrap();
        let rest = rows.split_off(44 * Self::ROWS / 2);
        fs::write(file, rows.replace(" v15 ", " v16 ") + &rest).unwrap();
        let noted = fs::read_to_string(self.directory.join("registro")).unwrap_or_default();
        fs::write(self.directory.join("registro"), format!("{noted}inizia riscrive {pod}\nlavora riscrive {pod}\n")).unwrap();
    }
}

#[test]
fn rows_that_are_mixed_or_missing_are_torn() {
    let rows = |count: usize, version: &str| format!("000001 RX-1 {version} aperta \n").repeat(count);
    assert_eq!(Rows::of(&rows(400, "v15")), Rows::Whole(15));
    assert_eq!(Rows::of(&rows(399, "v15")), Rows::Torn);
    assert_eq!(Rows::of(&(rows(200, "v15") + &rows(200, "v16"))), Rows::Torn);
    assert_eq!(Rows::of(&rows(400, "vecchia")), Rows::Torn);
    assert_eq!(Rows::of(""), Rows::Torn);
}
