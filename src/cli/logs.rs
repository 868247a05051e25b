//! Where logs go and how they look.
//!
//! Owns: the subscriber: text for people, with the journal's level prefixes under systemd, or JSON lines. Logs go to
//! standard error; standard output is for reports. A progress bar steps aside for each line.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use indicatif::MultiProgress;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::args::{Global, LogFormat};
use super::show::printable;

/// Starts logging; with `only_warnings` unless more is asked for.
pub fn start(global: &Global, only_warnings: bool) {
    let level = match (global.quiet || only_warnings, global.verbose) {
        (true, 1..) if !global.quiet => "debug",
        (true, _) => "warn",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    // Libraries' own logs tell whole URLs, presigned ones among them, and say again what our errors say.
    let filter = EnvFilter::new(format!("off,dato_mirror={level},dato_media_api={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Lines);
    // A file name is any bytes, and must neither drive the terminal nor forge a line. JSON escapes by itself.
    let fields = debug_fn(|writer, field, value| {
        let text = printable(&format!("{value:?}"));
        if field.name() == "message" { write!(writer, "{text}") } else { write!(writer, "{field}={text}") }
    });
    let fields = fields.delimited(" ");
    // Only a second call could fail, and there is none.
    let _ = match global.log_format {
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).try_init(),
        LogFormat::Text if under_journal() => builder.fmt_fields(fields).event_format(JournalLines).try_init(),
        LogFormat::Text => {
            let builder = builder.fmt_fields(fields).with_target(false).with_timer(LocalTime);
            builder.with_ansi(io::stderr().is_terminal()).try_init()
        }
    };
}

/// The bars on the terminal, which log lines must not tear.
pub fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    // To standard error, and hidden where that is no terminal.
    BARS.get_or_init(MultiProgress::new)
}

/// Standard error, with the bars out of the way of each line.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bars().suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn under_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal()
}

/// Hours to seconds, local time: whoever reads a terminal knows the day.
struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", jiff::Zoned::now().strftime("%H:%M:%S"))
    }
}

/// `<4>text`: the journal takes the level from the prefix, and has its own clock.
struct JournalLines;

impl<S, N> FormatEvent<S, N> for JournalLines
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{level}>")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
