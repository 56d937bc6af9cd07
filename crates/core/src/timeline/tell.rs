//! Facts in, entries out.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::notice::{Notice, SCHEDULED, STOPPING, VOLUME, evicted};
use super::seen::{Disk, Ended, How, Pod, Run, Seen};
use super::{Entry, Kind, plain};

/// What `seen` tells, oldest first; of two at the same second (the cluster counts no finer) the one that comes first in a
/// container's life. `now` is for what the cluster gives no time of.
pub fn entries(seen: &Seen, now: DateTime<Utc>) -> Vec<Entry> {
    let Seen { disk, pod, notices } = seen;
    let mut told: Vec<Ranked> = notices.iter().filter_map(Notice::entry).map(Ranked::from).collect();
    // Of two with the same key the earlier is told.
    told.sort_by_key(|ranked| ranked.entry.at);
    told.extend(disk.as_ref().filter(|disk| disk.ready).map(|disk| volume(disk, pod.as_ref(), now).into()));
    if let Some(pod) = pod {
        let has_pulled = told.iter().any(|ranked| ranked.entry.kind == Kind::Pulled);
        told.extend(of_pod(pod, has_pulled, now));
    }
    let mut told = unique(told);
    told.sort_by_key(|ranked| (ranked.entry.at.timestamp(), ranked.rank));
    told.into_iter().map(|ranked| ranked.entry).collect()
}

/// An entry and where it stands among those of the same second: by its kind, and a run that is over before the one after it.
struct Ranked {
    entry: Entry,
    rank: (Kind, i8),
}

impl From<Entry> for Ranked {
    fn from(entry: Entry) -> Self {
        Self { rank: (entry.kind, 0), entry }
    }
}

/// A pod does not get a node before its disk is there.
fn volume(disk: &Disk, pod: Option<&Pod>, now: DateTime<Utc>) -> Entry {
    let at = pod.and_then(|pod| pod.scheduled_at).map_or(now, |scheduled| scheduled.min(now));
    Entry::once(Kind::Volume, at, &disk.uid, VOLUME)
}

fn of_pod(pod: &Pod, has_pulled: bool, now: DateTime<Utc>) -> Vec<Ranked> {
    let Pod { uid, scheduled_at, seeding_since, seeding_failed, ready_at, runs, evicted: why, leaving_since } = pod;
    let mut told: Vec<Ranked> = Vec::new();
    let mut once = |kind, at: Option<DateTime<Utc>>, message: &str| {
        told.extend(at.map(|at| Entry::once(kind, at, uid, message).into()));
    };
    once(Kind::Scheduled, *scheduled_at, SCHEDULED);
    // What runs has its image, whether an Event said so or not.
    let begun = seeding_since.iter().chain(runs.iter().filter_map(|run| run.started_at.as_ref())).min();
    once(Kind::Pulled, begun.copied().filter(|_| !has_pulled && ready_at.is_some()), "the image is on the node");
    once(Kind::Seeding, *seeding_since, "the disk is being prepared");
    once(Kind::Ready, *ready_at, "the container is ready");
    once(Kind::Stopping, *leaving_since, STOPPING);
    // The pod does not say when; an Event may.
    once(Kind::Evicted, why.as_ref().map(|_| now), &evicted(why.as_deref().unwrap_or_default()));
    if let Some((count, words)) = seeding_failed {
        let message = format!("the disk could not be prepared: {}", plain(words));
        let entry = Entry { count: (*count).max(1), ..Entry::once(Kind::SeedingFailed, now, uid, message) };
        told.push(entry.into());
    }
    let last = runs.len().saturating_sub(1);
    told.extend(runs.iter().enumerate().flat_map(|(number, run)| of_run(run, number < last)));
    told
}

/// `followed`: another run came after it.
fn of_run(run: &Run, followed: bool) -> Vec<Ranked> {
    let Run { id, restarts, started_at, ended } = run;
    let started = started_at.map(|at| {
        let message = match restarts {
            0 => "its main process was started".to_owned(),
            count => format!("its main process was started again (restart {count})"),
        };
        Entry::once(Kind::Started, at, id, message)
    });
    let ended = ended.as_ref().map(|Ended { at, how }| {
        let (kind, message) = match how {
            How::Exited { code: 0 } => (Kind::Exited, "its main process ended by itself (exit code 0)".to_owned()),
            How::Exited { code: code @ 129..160 } => {
                (Kind::Exited, format!("its main process was ended by signal {} (exit code {code})", code - 128))
            }
            How::Exited { code } => (Kind::Exited, format!("its main process ended with exit code {code}")),
            How::OutOfMemory => (Kind::OutOfMemory, "it needed more than its memory and was ended".to_owned()),
            How::NeverStarted { message } => {
                (Kind::CannotStart, format!("the container cannot be started: {}", plain(message)))
            }
        };
        Entry::once(kind, *at, id, message)
    });
    let rank =
        |entry: Entry, place| Ranked { rank: if followed { (Kind::Started, place) } else { (entry.kind, 0) }, entry };
    started.map(|entry| rank(entry, -2)).into_iter().chain(ended.map(|entry| rank(entry, -1))).collect()
}

/// The first of each key, with the highest count that was seen of it and the words that came with it.
fn unique(told: Vec<Ranked>) -> Vec<Ranked> {
    let mut kept: Vec<Ranked> = Vec::with_capacity(told.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for ranked in told {
        match places.get(&ranked.entry.key) {
            Some(&place) if kept[place].entry.count < ranked.entry.count => kept[place] = ranked,
            Some(_) => {}
            None => {
                places.insert(ranked.entry.key.clone(), kept.len());
                kept.push(ranked);
            }
        }
    }
    kept
}
