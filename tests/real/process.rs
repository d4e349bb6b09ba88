//! The process of a container on this machine, and what it needs.
//!
//! In: a Pod. Out: ids, bytes. Not here: what is done with a process.

use std::fs;

use serde_json::Value;

/// The id of the process of a Pod's first container; none while it does not run.
pub fn of(pod: &Value) -> Option<u32> {
    let status = &pod["status"]["containerStatuses"][0];
    let container = status["containerID"].as_str()?.strip_prefix("containerd://")?.to_owned();
    if status["state"]["running"].is_null() {
        return None;
    }
    // It is found by the container's name in the process's groups.
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let ours = |id: &u32| fs::read_to_string(format!("/proc/{id}/cgroup")).is_ok_and(|groups| groups.contains(&container));
    ids.into_iter().find(ours)
}

/// The most memory, in bytes, that its container has been charged with so far, as requests and limits count it, without what is charged
/// of files now: pages of the program are everybody's, and are given back when room is needed.
pub fn memory_max(process: u32) -> u64 {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let of_memory = groups.lines().find_map(|line| line.split_once(":memory:"));
    let (group, peak, files) = match of_memory {
        Some((_, group)) => (format!("/sys/fs/cgroup/memory{group}"), "memory.max_usage_in_bytes", "cache "),
        None => (
            format!("/sys/fs/cgroup{}", groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap()),
            "memory.peak",
            "file ",
        ),
    };
    let read =
        |name: &str| fs::read_to_string(format!("{group}/{name}")).unwrap_or_else(|error| panic!("{group}/{name}: {error}"));
    let stat = read("memory.stat");
    let files = stat.lines().find_map(|line| line.strip_prefix(files)).expect("what is charged of files");
    read(peak).trim().parse::<u64>().unwrap().saturating_sub(files.parse().unwrap())
}
