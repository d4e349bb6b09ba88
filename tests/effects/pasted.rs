//! A person's shell: the blocks of the page are pasted into it, and it notes what they ask.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command as Process;

/// A folder with a `kubectl` that notes its arguments and answers what it is told, and a `sleep` that only notes for how long.
pub struct Shell(PathBuf);

impl Shell {
    pub fn with(name: &str, ledger: &str, job_ends: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("by-hand-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("ledger"), ledger).unwrap();
        fs::write(folder.join("asked"), "").unwrap();
        fs::write(folder.join("uid"), "").unwrap();
        let notes = format!(
            "#!/bin/sh\nhere={}\nfor word in \"$@\"; do printf '%s\\000' \"$word\"; done >>\"$here/asked\"\nprintf '\\001\\000' >>\"$here/asked\"\n",
            folder.display()
        );
        let kubectl = format!(
            "{notes}case \"$*\" in\n*' get configmaps '*) cat \"$here/ledger\" ;;\n*' get jobs.v1.batch '*) printf %s '{job_ends}' ;;\n\
             *' get interventions'*) cat \"$here/uid\" ;;\nesac\n"
        );
        let sleep = notes.replace("for word in", "for word in sleep");
        for (name, text) in [("kubectl", &kubectl), ("sleep", &sleep)] {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    /// The same, where the Intervention is there and has this UID.
    pub fn and_night(self, uid: &str) -> Self {
        fs::write(self.0.join("uid"), uid).unwrap();
        self
    }

    /// Runs the commands; each call of kubectl as its words, and each `sleep`, and whether all went well.
    pub fn run(&self, commands: &str) -> (Vec<Vec<String>>, bool) {
        fs::write(self.0.join("asked"), "").unwrap();
        let path = format!("{}:/usr/bin:/bin", self.0.display());
        let output = Process::new("sh").args(["-eu", "-c", commands]).env("PATH", path).output().unwrap();
        let asked = String::from_utf8(fs::read(self.0.join("asked")).unwrap()).unwrap();
        let calls = asked.split("\u{1}\0").filter(|call| !call.is_empty());
        let words = |call: &str| call.split_terminator('\0').map(str::to_owned).collect();
        (calls.map(words).collect(), output.status.success())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The blocks of a page that are to be run.
pub fn blocks(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// `annotate …`, `patch …` and the like, without what only names the place.
pub fn writes(calls: &[Vec<String>]) -> Vec<String> {
    let verbs = ["annotate", "patch", "delete", "scale"];
    let place = |call: &Vec<String>| call.iter().position(|word| verbs.contains(&word.as_str()));
    calls.iter().filter_map(|call| Some(call[place(call)?..].join(" "))).collect()
}

/// What a patch of kubectl's asks the API server: the content type and the body.
pub fn request(call: &[String]) -> (String, String) {
    let form = call.iter().find_map(|word| word.strip_prefix("--type=")).unwrap();
    let body = call.iter().skip_while(|word| *word != "-p").nth(1).unwrap().clone();
    let media = if form == "json" { "application/json-patch+json" } else { "application/merge-patch+json" };
    (media.to_owned(), body)
}
