//! The log of a container as one stream of lines, over broken connections, rotated files and restarts of its process.
//!
//! `tail` is not left to the node: it counts the pieces of 16 KiB that long lines are stored in, and would show a long
//! line without its head. A first pass over the times alone finds where the last lines begin ([`find_tail`]); from there
//! on the stream is opened in the same way in which a broken one is opened again.
//!
//! The kubelet begins to watch for a new file when it has read the old one to its end; a file that was turned over before
//! leaves the stream at the old one's end for good. So a silent stream is asked after ([`Silence`]).

use std::time::Duration;

use berth_core::container::Container;
use berth_core::id::ContainerId;
use berth_core::lifecycle::Desired;
use berth_core::logs::{LogLine, LogQuery, Progress, Tail};
use berth_core::names::{MAIN, POD};
use berth_core::pod_io::Unreachable;
use chrono::{DateTime, Utc};
use futures::stream::{BoxStream, StreamExt, TryStreamExt, unfold};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::LogParams;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::codec::FramedRead;
use tokio_util::compat::FuturesAsyncReadCompatExt;

use super::decoder::{LineDecoder, RawLine};
use super::main_container::{MainContainer, Run};
use super::{PodIo, Result, cluster, database};

/// Lines as they come; the end is the container's, or the log's without `follow`.
pub type Lines = BoxStream<'static, Result<LogLine>>;

/// Between two looks at a container that does not write now.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_AT_MOST: Duration = Duration::from_secs(2);
/// A cluster that fails for this long ends the stream.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two doubts about a stream that says nothing.
const SILENCE: Duration = Duration::from_secs(2);
const SILENCE_AT_MOST: Duration = Duration::from_secs(60);
/// Of the newest line: its time.
const TIME_ONLY: i64 = 64;
/// Stored pieces that are asked for beyond the lines wanted: one line of 2 MiB.
const PIECES: i64 = 128;

impl PodIo {
    /// # Errors
    /// [`Unreachable`], with nothing opened.
    pub async fn logs(&self, row: &Container, query: LogQuery) -> Result<Lines> {
        let mut follow = Follow::new(self.clone(), row.id, query);
        let main = self.main_container(row).await?;
        let run = main.as_ref().and_then(|main| main.current.clone());
        match run {
            Some(run) => follow.begin(row, run).await?,
            None if query.follow && !query.previous && row.desired == Desired::Running => {}
            None => return Err(nothing_written(row.desired)),
        }
        Ok(unfold(follow, async |mut follow| follow.next().await.map(|line| (line, follow))).boxed())
    }
}

fn nothing_written(desired: Desired) -> Unreachable {
    Unreachable::NotRunning(match desired {
        Desired::Running => "the container has not started yet, so there is no log".to_owned(),
        Desired::Stopped | Desired::Deleted => "the container is stopped, and its log went with it".to_owned(),
    })
}

type RawLines = BoxStream<'static, std::io::Result<RawLine>>;

/// A run of the container whose log is being read, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    id: String,
    /// It had ended before its log was opened, so the end of the log is its end.
    ended: bool,
    /// Nothing of it is left to read.
    done: bool,
}

/// When a stream that follows and says nothing is asked after: until it has been seen at the end of the newest file.
#[derive(Debug)]
struct Silence {
    /// The stream said something since the last time.
    heard: bool,
    every: Duration,
    next: Option<Instant>,
}

impl Silence {
    fn begin() -> Self {
        Self { heard: false, every: SILENCE, next: Some(Instant::now() + SILENCE) }
    }

    /// The stream was opened again out of doubt: it has more time than before, because reading up to the place takes some.
    fn again(&mut self) {
        self.heard = false;
        self.next = Some(Instant::now() + self.every);
    }

    /// Its time has come: whether there is doubt.
    fn doubted(&mut self) -> bool {
        let heard = std::mem::take(&mut self.heard);
        self.every = if heard { SILENCE } else { (self.every * 2).min(SILENCE_AT_MOST) };
        self.next = Some(Instant::now() + self.every);
        !heard
    }

    /// The kubelet watches now, and takes the stream along.
    fn settled(&mut self) {
        self.next = None;
    }
}

struct Follow {
    io: PodIo,
    id: ContainerId,
    query: LogQuery,
    progress: Progress,
    lines: Option<RawLines>,
    reading: Option<Reading>,
    /// A line without its end, until it is known whether more of it comes.
    unfinished: Option<LogLine>,
    look: Duration,
    failing_since: Option<Instant>,
    silence: Silence,
    /// The newest line for which a silent stream was opened again.
    newest: Option<DateTime<Utc>>,
}

impl Follow {
    fn new(io: PodIo, id: ContainerId, query: LogQuery) -> Self {
        Self {
            io,
            id,
            query,
            progress: Progress::default(),
            lines: None,
            reading: None,
            unfinished: None,
            look: LOOK,
            failing_since: None,
            silence: Silence::begin(),
            newest: None,
        }
    }

    /// Opens the log for the first time: from here on `tail` has been looked after.
    async fn begin(&mut self, row: &Container, run: Run) -> Result<()> {
        if let Some(lines) = self.query.tail {
            self.progress = find_tail(&self.io, row, self.query, lines).await?;
        }
        self.open(row, run, self.query.previous).await
    }

    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            if let Some(lines) = &mut self.lines {
                let next = match self.silence.next {
                    Some(doubt) if self.reading.as_ref().is_none_or(|reading| !reading.ended) => {
                        timeout_at(doubt, lines.next()).await
                    }
                    Some(_) | None => Ok(lines.next().await),
                };
                let Ok(next) = next else {
                    if self.silence.doubted() && self.goes_on() && self.left_behind().await {
                        tracing::debug!(container = %self.id, "a log stands still in an old file; it is taken up again");
                        self.lines = None;
                        self.look = LOOK;
                    }
                    continue;
                };
                self.silence.heard = true;
                match next {
                    Some(Ok(raw)) => match self.take(raw) {
                        Some(line) => return Some(Ok(line)),
                        None => continue,
                    },
                    Some(Err(error)) if !self.goes_on() => {
                        self.lines = None;
                        return Some(Err(Unreachable::Cluster(format!("the log broke off: {error}"))));
                    }
                    Some(Err(error)) => {
                        tracing::debug!(container = %self.id, %error, "a log broke off; it is taken up again");
                        self.lines = None;
                        self.silence = Silence::begin();
                    }
                    None => {
                        self.lines = None;
                        self.silence = Silence::begin();
                        if let Some(reading) = &mut self.reading {
                            reading.done = reading.ended;
                        }
                    }
                }
            }
            if !self.goes_on() {
                return self.unfinished.take().map(Ok);
            }
            self.pause().await;
            match self.look().await {
                Ok(Look::Opened | Look::Nothing) => self.failing_since = None,
                Ok(Look::Unfinished(line)) => return Some(Ok(line)),
                Ok(Look::Ended) => return self.unfinished.take().map(Ok),
                Err(error) => {
                    let since = *self.failing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > PATIENCE {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    fn goes_on(&self) -> bool {
        self.query.follow && !self.query.previous
    }

    async fn pause(&mut self) {
        sleep(self.look).await;
        self.look = (self.look * 2).min(LOOK_AT_MOST);
    }

    /// The line, when it is one to be shown.
    fn take(&mut self, raw: RawLine) -> Option<LogLine> {
        if self.query.since.is_some_and(|since| raw.line.at < since) {
            return None;
        }
        if !raw.complete && self.goes_on() {
            self.unfinished = Some(raw.line);
            return None;
        }
        let new = self.progress.admit(raw.line.at);
        if new {
            self.look = LOOK;
        }
        new.then_some(raw.line)
    }

    /// Whether the newest file has a line that the silent stream does not bring. A failure is no sign of it, and what the
    /// stream itself brings ends it soon enough.
    async fn left_behind(&mut self) -> bool {
        let Ok(Some(row)) = self.io.store.for_reconcile(self.id).await else { return false };
        let params = LogParams { tail_lines: Some(1), limit_bytes: Some(TIME_ONLY), ..params(None) };
        let Ok(mut found) = read(&self.io, &row, &params).await else { return false };
        let Some(Ok(RawLine { line: LogLine { at, .. }, .. })) = found.next().await else { return false };
        // The last piece of a long line is newer than the line.
        if !self.progress.lacks(at) || self.newest == Some(at) {
            self.silence.settled();
            return false;
        }
        if self.query.since.is_some_and(|since| at < since) {
            return false;
        }
        self.newest = Some(at);
        true
    }

    /// Looks at the container again and opens what is to be read next.
    async fn look(&mut self) -> Result<Look> {
        let Some(row) = self.io.store.for_reconcile(self.id).await.map_err(database)? else { return Ok(Look::Ended) };
        let main = self.io.main_container(&row).await?.unwrap_or_default();
        if let Some(line) = self.unfinished.take() {
            let still = |reading: &Reading| main.current == Some(Run { id: reading.id.clone(), running: true });
            if !self.reading.as_ref().is_some_and(still) && self.progress.admit(line.at) {
                return Ok(Look::Unfinished(line));
            }
        }
        match step(self.reading.as_ref(), &main, row.desired) {
            Step::Read { run, previous } => {
                // In the same pod one clock counts on: what was read under the name of the run before, because the restart was
                // faster than our look at it, does not come twice. Another pod may be on a node with another clock.
                let other = self.reading.as_ref().is_some_and(|reading| reading.id != run.id);
                if other && main.previous.is_none() {
                    self.progress = Progress::default();
                }
                self.open(&row, run, previous).await.map(|()| Look::Opened)
            }
            Step::Wait => Ok(Look::Nothing),
            Step::End => Ok(Look::Ended),
        }
    }

    async fn open(&mut self, row: &Container, run: Run, previous: bool) -> Result<()> {
        let since = self.progress.reopen().or(self.query.since);
        let params = LogParams { follow: self.goes_on() && !previous, previous, ..params(since) };
        self.lines = match read(&self.io, row, &params).await {
            Ok(lines) => Some(lines),
            // A restart was faster, and the node keeps one log back only.
            Err(Unreachable::NotRunning(_)) if previous && self.goes_on() => None,
            Err(error) => return Err(error),
        };
        self.silence.again();
        self.reading = Some(Reading { id: run.id, ended: !run.running, done: self.lines.is_none() });
        Ok(())
    }
}

enum Look {
    Opened,
    Nothing,
    Unfinished(LogLine),
    Ended,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Read { run: Run, previous: bool },
    Wait,
    End,
}

/// What to read when a log has come to an end or broke off. No run is left out that the node still has a log of.
fn step(reading: Option<&Reading>, main: &MainContainer, desired: Desired) -> Step {
    let wait = if desired == Desired::Running { Step::Wait } else { Step::End };
    let Some(current) = main.current.clone() else { return wait };
    let Some(reading) = reading else { return Step::Read { run: current, previous: false } };
    if reading.id == current.id {
        return if reading.done { wait } else { Step::Read { run: current, previous: false } };
    }
    match &main.previous {
        Some(id) if *id != reading.id || !reading.done => {
            Step::Read { run: Run { id: id.clone(), running: false }, previous: true }
        }
        Some(_) | None => Step::Read { run: current, previous: false },
    }
}

fn params(since: Option<DateTime<Utc>>) -> LogParams {
    // The node compares whole seconds.
    let since_time = since.and_then(|at| Timestamp::from_second(at.timestamp()).ok());
    LogParams { container: Some(MAIN.to_owned()), timestamps: true, since_time, ..LogParams::default() }
}

async fn read(io: &PodIo, row: &Container, params: &LogParams) -> Result<RawLines> {
    let pods = Api::<Pod>::namespaced(io.client.clone(), &row.names().namespace());
    match pods.log_stream(POD, params).await {
        Ok(bytes) => Ok(FramedRead::new(bytes.compat(), LineDecoder::default()).boxed()),
        // The pod has gone, its container waits for its first start, or there was no run before this one.
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => Err(match params.previous {
            true => Unreachable::NotRunning(
                "the container's process has not been restarted, so there is no previous log".to_owned(),
            ),
            false => nothing_written(row.desired),
        }),
        Err(error) => Err(cluster(error)),
    }
}

/// The place before the last `lines` lines. Asks for more and more stored pieces until there is one line too many, or
/// asking for more shows no more.
async fn find_tail(io: &PodIo, row: &Container, query: LogQuery, lines: u32) -> Result<Progress> {
    let most = (i64::from(lines) + 1) * (PIECES + 1);
    let (mut pieces, mut before) = (i64::from(lines) + PIECES, None);
    loop {
        let params = LogParams { previous: query.previous, tail_lines: Some(pieces), ..params(None) };
        let mut found = read(io, row, &params).await?;
        let (mut tail, mut first, mut count) = (Tail::new(lines), None, 0_u64);
        while let Some(raw) = found.try_next().await.map_err(|error| Unreachable::Cluster(error.to_string()))? {
            first.get_or_insert(raw.line.at);
            count += 1;
            tail.push(raw.line.at);
        }
        // The first line may lack its head: it must not be one of those shown.
        let enough = count > u64::from(lines);
        if enough || first == before || pieces >= most {
            return Ok(Progress::after(tail.before()));
        }
        before = first;
        pieces = (pieces * 8).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, running: bool) -> Run {
        Run { id: id.to_owned(), running }
    }

    #[test]
    fn what_is_read_next() {
        let main = |current: Option<Run>, previous: Option<&str>| MainContainer {
            current,
            previous: previous.map(str::to_owned),
            terminating: false,
        };
        let reading = |id: &str, done| Some(Reading { id: id.to_owned(), ended: done, done });
        let read = |run, previous| Step::Read { run, previous };
        use Desired::{Running, Stopped};
        for (reading, main, desired, next) in [
            (None, main(None, None), Running, Step::Wait),
            (None, main(None, None), Stopped, Step::End),
            (None, main(Some(run("a", true)), None), Running, read(run("a", true), false)),
            // Broken off, or the pod's status is late.
            (reading("a", false), main(Some(run("a", true)), None), Running, read(run("a", true), false)),
            (reading("a", false), main(Some(run("a", false)), None), Stopped, read(run("a", false), false)),
            (reading("a", true), main(Some(run("a", false)), None), Running, Step::Wait),
            (reading("a", true), main(Some(run("a", false)), None), Stopped, Step::End),
            (reading("a", false), main(None, None), Stopped, Step::End),
            // Restarted.
            (reading("a", true), main(Some(run("b", true)), Some("a")), Running, read(run("b", true), false)),
            (reading("a", false), main(Some(run("b", true)), Some("a")), Running, read(run("a", false), true)),
            // Restarted twice since.
            (reading("a", true), main(Some(run("c", true)), Some("b")), Running, read(run("b", false), true)),
            // A new pod.
            (reading("a", false), main(Some(run("d", true)), None), Running, read(run("d", true), false)),
        ] {
            assert_eq!(step(reading.as_ref(), &main, desired), next, "{reading:?} {main:?}");
        }
    }
}
