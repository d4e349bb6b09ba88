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

/// The most memory that a process has had resident so far, in KiB, its program's pages included: `VmHWM` of proc(5).
pub fn resident_kib_max(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process with memory");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
