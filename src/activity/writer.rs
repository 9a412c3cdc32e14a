//! The thread that writes the log.
//!
//! It gathers queued lines into one write, reopens the file when it was moved, rotates it, and logs
//! how many lines were lost. While the disk refuses writes, it keeps its lines and retries every
//! quarter of a second; meanwhile the queue fills, and the gateway continues. A failure of the disk
//! never panics: it is counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError};
use parking_lot::Mutex;
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::fmt::MakeWriter;

use super::Activity;
use super::file::{LogFile, Pending};
use super::kind::{ActivityKind, Level};
use super::log::{Shared, subscriber};

/// Bytes gathered for one write; larger writes would not be cheaper.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// Time between two checks of the path, and between two notices of lost lines.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// After a write, lines gather for this time before the next: waking up for each line of a busy
/// instance would cost more than formatting it.
const GATHER: Duration = Duration::from_millis(1);

/// Time between two attempts while the disk refuses writes.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Orders to the writer. They have a queue of their own, so that a full queue of lines cannot delay
/// them.
pub(super) enum WriterOrder {
    /// Open the path again.
    Reopen,
    /// Rotate at this size and keep this number of files.
    Rotate(u64, usize),
    /// Try to write everything that is queued, then answer whether it is written.
    Flush(Sender<bool>),
    /// The same, then stop.
    Stop(Sender<bool>),
}

/// The receiving end of the queue.
pub(super) struct Writer {
    lines: Receiver<Vec<u8>>,
    control: Receiver<WriterOrder>,
    file: LogFile,
    pending: Pending,
    is_stuck: bool,
    has_written: bool,
    checked_at: Instant,
    shared: Arc<Shared>,
    /// Dropped lines that the log has reported.
    reported: u64,
    notice: Notice,
}

impl Writer {
    pub(super) fn new(
        lines: Receiver<Vec<u8>>,
        control: Receiver<WriterOrder>,
        file: LogFile,
        shared: Arc<Shared>,
        name: &str,
    ) -> Self {
        Self {
            lines,
            control,
            file,
            pending: Pending::default(),
            is_stuck: false,
            has_written: false,
            checked_at: Instant::now(),
            shared,
            reported: 0,
            notice: Notice::new(name),
        }
    }

    /// Runs until it gets `Stop`, or until the [`super::log::Log`] is dropped.
    pub(super) fn run(mut self) {
        loop {
            self.wait();
            match self.control.try_recv() {
                Ok(WriterOrder::Reopen) => self.reopen(),
                Ok(WriterOrder::Rotate(bytes, count)) => self.file.set_rotation(bytes, count),
                Ok(WriterOrder::Flush(answer)) => {
                    let _ = answer.send(self.write_queued());
                }
                Ok(WriterOrder::Stop(answer)) => {
                    let _ = answer.send(self.finish());
                    return;
                }
                Err(TryRecvError::Empty) => self.write_some(),
                Err(TryRecvError::Disconnected) => {
                    self.finish();
                    return;
                }
            }
        }
    }

    fn wait(&mut self) {
        let mut ready = Select::new();
        ready.recv(&self.control);
        let has_written = std::mem::take(&mut self.has_written);
        let longest = if self.is_stuck {
            RETRY_EVERY
        } else if has_written {
            GATHER
        } else {
            ready.recv(&self.lines);
            CHECK_EVERY
        };
        let _ = ready.ready_timeout(longest);
    }

    fn write_some(&mut self) {
        if self.checked_at.elapsed() >= CHECK_EVERY {
            self.check_path();
            self.log_drops();
        }
        while !self.is_stuck && self.pending.len() < BATCH_BYTES_MAX && self.take() {}
        // A full batch means that more is waiting.
        self.has_written = (1..BATCH_BYTES_MAX).contains(&self.pending.len());
        self.write_out();
    }

    /// Writes what was queued when it was called. Whether all of it was written.
    fn write_queued(&mut self) -> bool {
        let queued = self.lines.len();
        self.check_path();
        self.write_out();
        for _ in 0..queued {
            if self.is_stuck || !self.take() {
                break;
            }
            if self.pending.len() >= BATCH_BYTES_MAX {
                self.write_out();
            }
        }
        self.write_out();
        self.log_drops();
        !self.is_stuck
    }

    fn finish(&mut self) -> bool {
        let is_written = self.write_queued();
        let unwritten = self.pending.lines() + self.lines.try_iter().count() as u64;
        self.shared.drop_lines(unwritten);
        is_written && unwritten == 0
    }

    /// Moves one line from the queue to the pending ones; rotates first if the file is full.
    fn take(&mut self) -> bool {
        let Ok(line) = self.lines.try_recv() else { return false };
        self.shared.queued_bytes.fetch_sub(line.len(), Relaxed);
        if self.file.is_full(self.pending.len(), line.len()) {
            self.write_out();
            if !self.is_stuck {
                let outcome = self.file.rotate(&mut self.pending);
                self.count_failure(&outcome);
            }
        }
        self.pending.push(&line);
        true
    }

    fn check_path(&mut self) {
        self.checked_at = Instant::now();
        if self.file.is_moved() {
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        let outcome = self.file.reopen(&mut self.pending);
        self.count_failure(&outcome);
    }

    fn write_out(&mut self) {
        let outcome = self.file.append(&mut self.pending);
        self.is_stuck = outcome.is_err();
        self.count_failure(&outcome);
    }

    fn count_failure(&self, outcome: &io::Result<()>) {
        self.shared.write_errors.fetch_add(u64::from(outcome.is_err()), Relaxed);
    }

    /// Logs how many lines were lost since the last such report.
    fn log_drops(&mut self) {
        let dropped = self.shared.dropped.load(Relaxed);
        if self.is_stuck || dropped == self.reported {
            return;
        }
        self.pending.push(&self.notice.line(dropped - self.reported));
        self.reported = dropped;
        self.write_out();
    }
}

/// Formats the line about lost lines without the queue, which may be full.
struct Notice {
    dispatch: Dispatch,
    lines: Captured,
}

impl Notice {
    fn new(name: &str) -> Self {
        let lines = Captured::default();
        let level = Arc::new(AtomicU8::new(Level::Trace as u8));
        Self { dispatch: subscriber(name, lines.clone(), level), lines }
    }

    fn line(&self, dropped: u64) -> Vec<u8> {
        dispatcher::with_default(&self.dispatch, || {
            Activity {
                level: Level::Warn,
                event: ActivityKind::Server,
                msg: "log lines were dropped",
                events: Some(dropped),
                reason: Some("the disk did not take them in time"),
                ..Activity::default()
            }
            .emit();
        });
        std::mem::take(&mut *self.lines.0.lock())
    }
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl<'a> MakeWriter<'a> for Captured {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl io::Write for &Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
