//! The log: `logs/cache.json`, one bunyan object a line.
//!
//! `tracing-bunyan-formatter` formats the lines. The gateway never waits for the disk: a line goes
//! into a bounded queue or, if that is full, is dropped and counted. A separate thread
//! (`writer.rs`) writes. A [`Log`] installs nothing global by itself, so tests may run many.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use tracing::dispatcher::{self, SetGlobalDefaultError};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Metadata, Subscriber};
use tracing_bunyan_formatter::BunyanFormattingLayer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use super::escape::escaped;
use super::file::LogFile;
use super::kind::Level;
use super::writer::{Writer, WriterOrder};
use super::{TARGET, counters};

/// Bytes of queued lines while the disk does not answer.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest wait of [`Log::flush`] and [`Log::shutdown`] for the disk.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Orders that may wait for the writer.
const CONTROLS_MAX: usize = 16;

/// Where and how much to log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The file; its directory is created.
    pub file: PathBuf,
    /// The least severe level that is written.
    pub level: Level,
    /// Size in bytes at which the file is rotated; 0 means never.
    pub rotate_bytes: u64,
    /// Rotated files that are kept; with 0 the file is truncated instead.
    pub rotate_count: usize,
    /// Lines that may wait for the disk.
    pub queue_lines_max: usize,
    /// The `name` field.
    pub name: String,
}

/// The running log.
pub struct Log {
    shared: Arc<Shared>,
    dispatch: Dispatch,
    control: Sender<WriterOrder>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Counters that both ends of the queue share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) dropped: AtomicU64,
    pub(super) write_errors: AtomicU64,
    pub(super) queued_bytes: AtomicUsize,
    level: Arc<AtomicU8>,
}

impl Log {
    /// Opens the file and starts the writer.
    ///
    /// # Errors
    /// The directory or the file cannot be created, or the thread cannot be started.
    pub fn start(config: LogConfig) -> Result<Self, io::Error> {
        let file = LogFile::open(config.file, config.rotate_bytes, config.rotate_count)?;
        let shared = Arc::new(Shared::default());
        shared.level.store(config.level as u8, Relaxed);
        let (lines, queued) = bounded(config.queue_lines_max.max(1));
        let (control, orders) = bounded(CONTROLS_MAX);
        let queue = Queue { lines, shared: Arc::clone(&shared) };
        let dispatch = subscriber(&config.name, queue, Arc::clone(&shared.level));
        let writer = Writer::new(queued, orders, file, Arc::clone(&shared), &config.name);
        let thread = thread::Builder::new().name("log".into()).spawn(|| writer.run())?;
        Ok(Self { shared, dispatch, control, thread: Mutex::new(Some(thread)) })
    }

    /// Makes it the log of the process.
    ///
    /// # Errors
    /// The process has one already.
    pub fn install(&self) -> Result<(), SetGlobalDefaultError> {
        dispatcher::set_global_default(self.dispatch.clone())
    }

    /// For `tracing::dispatcher::with_default`, where several logs run in one process.
    pub fn dispatch(&self) -> Dispatch {
        self.dispatch.clone()
    }

    /// Changes the least severe level that is written.
    pub fn set_level(&self, level: Level) {
        self.shared.level.store(level as u8, Relaxed);
    }

    /// Changes the size for rotation and the number of files that are kept.
    pub fn set_rotation(&self, rotate_bytes: u64, rotate_count: usize) {
        // If the queue of orders is full, the disk does not answer, and rotation does not matter.
        let _ = self.control.try_send(WriterOrder::Rotate(rotate_bytes, rotate_count));
    }

    /// Closes the file and opens its path again, after it was moved.
    pub fn reopen(&self) {
        // A full queue of orders already contains one that makes the writer check the path.
        let _ = self.control.try_send(WriterOrder::Reopen);
    }

    /// Lines lost so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    /// Writes, opens and rotations that failed so far.
    pub fn write_errors(&self) -> u64 {
        self.shared.write_errors.load(Relaxed)
    }

    /// Waits until the writer has tried every line emitted before. Whether all are written.
    pub fn flush(&self) -> bool {
        self.order(WriterOrder::Flush).unwrap_or(false)
    }

    /// Writes what is queued and stops the writer; later lines count as dropped. Whether everything
    /// was written. It waits ten seconds at most for the disk.
    pub fn shutdown(&self) -> bool {
        let Some(thread) = self.thread.lock().take() else { return true };
        let Some(is_written) = self.order(WriterOrder::Stop) else { return false };
        thread.join().is_ok() && is_written
    }

    fn order(&self, order: impl FnOnce(Sender<bool>) -> WriterOrder) -> Option<bool> {
        let (answer, answered): (_, Receiver<bool>) = bounded(1);
        self.control.send_timeout(order(answer), ANSWER_TIME_MAX).ok()?;
        answered.recv_timeout(ANSWER_TIME_MAX).ok()
    }
}

/// The formatter, with a filter by level before it.
pub(super) fn subscriber<W>(name: &str, to: W, level: Arc<AtomicU8>) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let format = BunyanFormattingLayer::new(name.to_owned(), to);
    Dispatch::new(Registry::default().with(Filter { level }).with(format))
}

/// Accepts only our events at or above a level that may change at any time. Spans and events of
/// other crates would add fields to the lines.
struct Filter {
    level: Arc<AtomicU8>,
}

impl<S: Subscriber> Layer<S> for Filter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() && metadata.target() == TARGET {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event()
            && metadata.target() == TARGET
            && Level::of(*metadata.level()) as u8 >= self.level.load(Relaxed)
    }
}

/// The sending end of the queue. The formatter writes each line with one call.
struct Queue {
    lines: Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl io::Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let escaped = escaped(line).into_owned();
        let bytes = escaped.len();
        let queued = self.shared.queued_bytes.fetch_add(bytes, Relaxed);
        if queued > QUEUE_BYTES_MAX || self.lines.try_send(escaped).is_err() {
            self.shared.queued_bytes.fetch_sub(bytes, Relaxed);
            self.shared.drop_lines(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    pub(super) fn drop_lines(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
        counters::counters().note_log_dropped(lines);
    }
}
