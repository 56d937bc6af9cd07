//! The machine: what else it does decides what a figure is worth.

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::Context;

/// One line: when, how many cores, how busy.
pub(crate) fn describe() -> String {
    let word = |path| read_to_string(path).unwrap_or_default().trim().to_owned();
    let load: Vec<String> = word("/proc/loadavg").split(' ').take(3).map(str::to_owned).collect();
    let cores = available_parallelism().map_or(0, usize::from);
    let (now, kernel) = (chrono::Utc::now().format("%FT%TZ"), word("/proc/sys/kernel/osrelease"));
    format!("{now}, {cores} cores, load {} over 1, 5 and 15 minutes, Linux {kernel}", load.join(" "))
}

/// Memory of a process in KiB, as `VmRSS` in its status.
pub(crate) fn resident_kib(pid: u32) -> anyhow::Result<f64> {
    let status = read_to_string(format!("/proc/{pid}/status")).context("reading berthd's memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("berthd's status shows no VmRSS")?;
    Ok(number.parse()?)
}

/// Processor time of a process so far, in ticks of 10 ms.
pub(crate) fn ticks(pid: u32) -> anyhow::Result<u64> {
    times(pid, 2)
}

/// The same with all that it started: what runs still, and what it has seen end.
pub(crate) fn tree_ticks(pid: u32) -> anyhow::Result<u64> {
    tree(pid)?.into_iter().map(|pid| times(pid, 4)).sum()
}

/// Of what it started and has seen end.
pub(crate) fn waited_for_ticks(pid: u32) -> anyhow::Result<u64> {
    Ok(times(pid, 4)? - times(pid, 2)?)
}

/// A process and all that it started and that runs still.
pub(crate) fn tree(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        at += 1;
        // One that ended meanwhile has no children.
        for task in read_dir(format!("/proc/{pid}/task")).into_iter().flatten() {
            let children = read_to_string(task?.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    Ok(all)
}

/// User and system time are the 12th and 13th field after the name, and those of children that it waited for follow.
fn times(pid: u32, fields: usize) -> anyhow::Result<u64> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).context("reading a process's processor time")?;
    // The name in parentheses may hold spaces.
    let all = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ')).context("a process's stat has no name")?;
    all.skip(11).take(fields).map(|field| field.parse::<u64>().map_err(Into::into)).sum()
}

/// Memory of a process in KiB, with its part of what it shares with others.
pub(crate) fn proportional_kib(pid: u32) -> anyhow::Result<f64> {
    let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup")).context("reading a process's memory")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("smaps_rollup shows no Pss")?;
    Ok(number.parse()?)
}

/// As `ps` shows it.
pub(crate) fn name(pid: u32) -> String {
    read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// All that runs in a pod, by its uid.
pub(crate) fn pod_processes(uid: &str) -> anyhow::Result<Vec<u32>> {
    let here = |pid: &u32| {
        let groups = read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        groups.contains(uid) || groups.contains(&uid.replace('-', "_"))
    };
    let pids = read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(here).collect())
}

/// Processor time of a whole pod so far in microseconds.
pub(crate) fn pod_time(uid: &str) -> anyhow::Result<f64> {
    // Control groups of the first version, and of the second.
    let roots = ["/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup"];
    let group = roots.iter().find_map(|root| group(Path::new(root), uid, 4)).context("the pod has no control group")?;
    if let Ok(nanos) = read_to_string(group.join("cpuacct.usage")) {
        return Ok(nanos.trim().parse::<f64>()? / 1000.0);
    }
    let stat = read_to_string(group.join("cpu.stat")).context("reading a pod's processor time")?;
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
    Ok(micros.context("cpu.stat shows no usage_usec")?.parse()?)
}

/// The folder whose name holds a pod's uid, as the kubelet or systemd writes it.
fn group(folder: &Path, uid: &str, depth: usize) -> Option<PathBuf> {
    let folders = read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()?.path().into());
    let folders: Vec<PathBuf> = folders.filter(|path: &PathBuf| path.is_dir()).collect();
    let names = [uid.to_owned(), uid.replace('-', "_")];
    let is_it = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        names.iter().any(|uid| name.contains(uid.as_str()))
    };
    let found = folders.iter().find(is_it).cloned();
    found.or_else(|| if depth == 0 { None } else { folders.iter().find_map(|path| group(path, uid, depth - 1)) })
}
