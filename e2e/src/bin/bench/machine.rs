//! The machine: what else it does decides what a figure is worth.

use std::fs::read_to_string;
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
    let stat = read_to_string(format!("/proc/{pid}/stat")).context("reading berthd's processor time")?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ')).context("berthd's stat has no name")?;
    fields.skip(11).take(2).map(|field| field.parse::<u64>().map_err(Into::into)).sum()
}
