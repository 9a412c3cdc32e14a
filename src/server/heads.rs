//! The bytes of requests, read along beside hyper: what its parser accepts or drops before anybody
//! can judge it.
//!
//! hyper takes a line that ends in a bare LF, removes `Content-Length` where `Transfer-Encoding`
//! stands beside it, and bounds a head only roughly. This finds where each head begins and ends,
//! over pipelined requests, and names what is wrong with it. It keeps one line at most.

use hyper::StatusCode;

use super::respond::Problem;

/// Bytes of a request head: a bearer token of 8 KiB and its company.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Header fields of a request.
pub const HEADERS_MAX: usize = 100;
/// Bytes of a line that are looked at: enough for the fields that frame a message.
const LINE_BYTES_MAX: usize = 256;

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A line that does not end in CRLF.
    BareLf,
    /// A header line that begins with a space or a tab (RFC 9112 section 5.2).
    Folded,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 section 6.3).
    BothLengths,
    /// More than [`HEAD_BYTES_MAX`].
    TooLarge,
    /// More than [`HEADERS_MAX`] fields.
    TooMany,
    /// The target alone is longer than a head may be.
    LongTarget,
}

impl Fault {
    /// The answer to it; the connection ends after it.
    pub fn problem(self) -> Problem {
        let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let problem = match self {
            Self::BareLf => Problem::bad_request("bad_head", "a line of the head ends without CR"),
            Self::Folded => Problem::bad_request("bad_head", "a header goes over two lines"),
            Self::BothLengths => {
                Problem::bad_request("bad_framing", "both Content-Length and Transfer-Encoding")
            }
            Self::TooLarge => {
                let detail = format!("at most {HEAD_BYTES_MAX} bytes of request line and headers");
                Problem::new(too_large, "head_too_large", detail)
            }
            Self::TooMany => {
                let detail = format!("at most {HEADERS_MAX} header fields");
                Problem::new(too_large, "head_too_large", detail)
            }
            Self::LongTarget => {
                let detail = format!("at most {HEAD_BYTES_MAX} bytes of head");
                Problem::new(StatusCode::URI_TOO_LONG, "target_too_long", detail)
            }
        };
        problem.closing()
    }
}

/// What some bytes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadCheck {
    /// Nothing that needs a word.
    Good,
    /// A fault in the head of this request, counted from 0. The head is whole.
    Fault(u64, Fault),
    /// A fault past which the head is not to go on: bytes up to `at` belong to it, and `end` makes
    /// a head of them that parses.
    Cut {
        /// The request, counted from 0.
        request: u64,
        /// What is wrong.
        fault: Fault,
        /// Bytes to keep.
        at: usize,
        /// What to add.
        end: &'static [u8],
    },
}

#[derive(Debug, Default)]
enum HeadState {
    #[default]
    Head,
    /// Bytes of a body to pass over.
    Body(u64),
    /// The line with the size of a chunk.
    Size,
    /// Bytes of a chunk and its line end.
    Chunk(u64),
    /// The lines after the last chunk.
    Trailers,
    /// Nothing is looked at any more: the connection ends with this request.
    Blind,
}

/// Reads along.
#[derive(Debug, Default)]
pub struct Heads {
    state: HeadState,
    request: u64,
    /// Of the head so far.
    bytes: usize,
    lines: usize,
    /// The begin of the line so far, and how long it is.
    line: Vec<u8>,
    line_bytes: usize,
    last: u8,
    fault: Option<Fault>,
    length: Option<Option<u64>>,
    coding: Option<bool>,
}

impl Heads {
    /// Whether a head has begun and is not whole.
    pub fn is_within_head(&self) -> bool {
        matches!(self.state, HeadState::Head) && self.bytes > 0
    }

    /// Reads the next bytes of the connection.
    pub fn read(&mut self, bytes: &[u8]) -> HeadCheck {
        let mut at = 0;
        let mut seen = HeadCheck::Good;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.state {
                HeadState::Blind => break,
                HeadState::Body(left) | HeadState::Chunk(left) => {
                    let passed = left.min(rest.len() as u64);
                    at += usize::try_from(passed).unwrap_or(rest.len());
                    self.passed(left - passed);
                }
                HeadState::Head => {
                    let last = self.last;
                    let (taken, is_line) = self.take(rest);
                    if let Some(cut) = self.check_bounds(at, &rest[..taken], last) {
                        return cut;
                    }
                    at += taken;
                    if is_line && let Some(fault) = self.head_line() {
                        seen = HeadCheck::Fault(self.request - 1, fault);
                    }
                }
                HeadState::Size | HeadState::Trailers => {
                    let (taken, is_line) = self.take(rest);
                    at += taken;
                    if is_line {
                        self.chunk_line();
                    }
                }
            }
        }
        seen
    }

    /// Takes bytes up to and with the end of a line; how many, and whether the line is whole.
    fn take(&mut self, rest: &[u8]) -> (usize, bool) {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(rest.len(), |end| end + 1);
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len()).min(taken);
        self.line.extend_from_slice(&rest[..room]);
        self.line_bytes += taken;
        self.last = rest[taken - 1];
        if matches!(self.state, HeadState::Head) {
            self.bytes += taken;
        }
        (taken, end.is_some())
    }

    /// Where a head grows past its bounds: what to leave of it. The bytes were taken already.
    fn check_bounds(&mut self, at: usize, taken: &[u8], last: u8) -> Option<HeadCheck> {
        let over = self.bytes.saturating_sub(HEAD_BYTES_MAX);
        let is_blank = self.line_bytes <= 2 && matches!(self.line[..], [b'\n'] | [b'\r', ..]);
        // The request line is the first one.
        let is_surplus = self.lines > HEADERS_MAX && !is_blank;
        if over == 0 && !is_surplus {
            return None;
        }
        let fault = match (self.lines, is_surplus) {
            (0, _) => Fault::LongTarget,
            (_, true) => Fault::TooMany,
            (_, false) => Fault::TooLarge,
        };
        let kept = if is_surplus { 0 } else { taken.len() - over.min(taken.len()) };
        let before = self.line_bytes - taken.len() + kept;
        let is_named = self.line[..self.line.len().min(before)].contains(&b':');
        let end: &[u8] = match (before, self.lines) {
            (0, _) => b"\r\n",
            (_, 0) => b" HTTP/1.1\r\n\r\n",
            _ if kept.checked_sub(1).map_or(last, |at| taken[at]) == b'\r' => b"\n\r\n",
            _ if is_named || before > LINE_BYTES_MAX => b"\r\n\r\n",
            _ => b":\r\n\r\n",
        };
        self.state = HeadState::Blind;
        Some(HeadCheck::Cut { request: self.request, fault, at: at + kept, end })
    }

    /// A body or a chunk of which this many bytes are left.
    fn passed(&mut self, left: u64) {
        self.state = match self.state {
            HeadState::Body(_) if left == 0 => HeadState::Head,
            HeadState::Body(_) => HeadState::Body(left),
            HeadState::Chunk(_) if left == 0 => HeadState::Size,
            _ => HeadState::Chunk(left),
        };
    }

    /// A line of a head; the fault of the head where it was the last one.
    fn head_line(&mut self) -> Option<Fault> {
        let line = std::mem::take(&mut self.line);
        let is_cut = std::mem::take(&mut self.line_bytes) > line.len();
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if !is_cut && !text.ends_with(b"\r") {
            self.fault.get_or_insert(Fault::BareLf);
        }
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let mut fault = None;
        if text.is_empty() {
            // Empty lines before a request are passed over (RFC 9112 section 2.2).
            if self.lines > 0 {
                fault = self.end_head();
            } else {
                self.bytes = 0;
            }
        } else {
            if self.lines > 0 {
                self.field(text);
            }
            self.lines += 1;
        }
        self.line = line;
        self.line.clear();
        fault
    }

    fn field(&mut self, text: &[u8]) {
        if matches!(text[0], b' ' | b'\t') {
            self.fault.get_or_insert(Fault::Folded);
        }
        let Some(colon) = text.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (text[..colon].trim_ascii(), text[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = value.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(value).ok().filter(|_| digits);
            self.length = Some(length.and_then(|length| length.parse().ok()));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.coding = Some(self.coding.is_none() && value.eq_ignore_ascii_case(b"chunked"));
        }
    }

    fn end_head(&mut self) -> Option<Fault> {
        let (length, coding) = (self.length.take(), self.coding.take());
        let mut fault = self.fault.take();
        if length.is_some() && coding.is_some() {
            fault = fault.or(Some(Fault::BothLengths));
        }
        self.state = match (fault, coding, length) {
            (Some(_), ..) | (_, Some(false), _) | (_, None, Some(None)) => HeadState::Blind,
            (None, Some(true), _) => HeadState::Size,
            (None, None, Some(Some(length))) if length > 0 => HeadState::Body(length),
            (None, None, _) => HeadState::Head,
        };
        (self.bytes, self.lines) = (0, 0);
        self.request += 1;
        fault
    }

    fn chunk_line(&mut self) {
        self.line_bytes = 0;
        let text = self.line.trim_ascii();
        self.state = match self.state {
            HeadState::Trailers if text.is_empty() => HeadState::Head,
            HeadState::Trailers => HeadState::Trailers,
            _ => {
                let digits = text.split(|byte| *byte == b';').next().unwrap_or_default();
                let digits = std::str::from_utf8(digits.trim_ascii()).unwrap_or_default();
                match u64::from_str_radix(digits, 16) {
                    Ok(0) => HeadState::Trailers,
                    Ok(size) => HeadState::Chunk(size.saturating_add(2)),
                    Err(_) => HeadState::Blind,
                }
            }
        };
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of a text, given whole and in pieces of every size.
    fn seen(text: &str) -> Vec<(u64, Fault)> {
        let read = |size: usize| {
            let mut heads = Heads::default();
            let mut faults = vec![];
            for piece in text.as_bytes().chunks(size) {
                match heads.read(piece) {
                    HeadCheck::Good => {}
                    HeadCheck::Fault(request, fault) | HeadCheck::Cut { request, fault, .. } => {
                        faults.push((request, fault));
                    }
                }
            }
            faults
        };
        let whole = read(text.len());
        for size in [1, 2, 3, 7, 64, 1_000] {
            assert_eq!(read(size), whole, "pieces of {size}: {text:.80}");
        }
        whole
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const BOTH: &str =
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

    #[test]
    fn faults_are_found_in_the_request_that_has_them() {
        let post = "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n\n\n: \n";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
                       5;x=\"y\"\r\n\n\r\n\r\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n";
        for (text, expected) in [
            (GET.to_owned(), vec![]),
            ([GET, post, GET, chunked, "\r\n", GET].concat(), vec![]),
            ([GET, post, chunked, BOTH, GET].concat(), vec![(3, Fault::BothLengths)]),
            (
                "POST / HTTP/1.1\r\nTRANSFER-ENCODING:x\r\nContent-Length:1\r\n\r\n".into(),
                vec![(0, Fault::BothLengths)],
            ),
            ([GET, "GET / HTTP/1.1\nHost: a\r\n\r\n"].concat(), vec![(1, Fault::BareLf)]),
            ("GET / HTTP/1.1\r\nHost: a\n\n".into(), vec![(0, Fault::BareLf)]),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n".into(), vec![(0, Fault::BareLf)]),
            ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n".into(), vec![(0, Fault::Folded)]),
        ] {
            assert_eq!(seen(&text), expected, "{text}");
        }
    }

    /// The bounds are exact, whatever the pieces, and what is left of a head parses.
    #[test]
    fn a_head_is_bounded_to_the_byte() {
        let head = |bytes: usize| {
            let begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
            format!("{begin}{}\r\n\r\n", "x".repeat(bytes - begin.len() - 4))
        };
        assert_eq!(seen(&[GET, &head(HEAD_BYTES_MAX), GET].concat()), vec![]);
        let over = [GET, &head(HEAD_BYTES_MAX + 1)].concat();
        assert_eq!(seen(&over), vec![(1, Fault::TooLarge)]);
        let fields = |count: usize| {
            let lines: String = (0..count).map(|n| format!("x{n}: y\r\n")).collect();
            format!("GET / HTTP/1.1\r\n{lines}\r\n")
        };
        assert_eq!(seen(&[fields(HEADERS_MAX).as_str(), GET].concat()), vec![]);
        assert_eq!(seen(&fields(HEADERS_MAX + 1)), vec![(0, Fault::TooMany)]);
        let target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(seen(&target), vec![(0, Fault::LongTarget)]);
        for text in [
            over,
            fields(HEADERS_MAX + 1),
            target,
            head(HEAD_BYTES_MAX + 2),
            head(HEAD_BYTES_MAX + 3),
        ] {
            for size in [1, 5, 100, text.len()] {
                let (mut heads, mut kept, mut ended) = (Heads::default(), vec![], false);
                for piece in text.as_bytes().chunks(size) {
                    if let HeadCheck::Cut { at, end, .. } = heads.read(piece) {
                        kept.extend_from_slice(&piece[..at]);
                        kept.extend_from_slice(end);
                        ended = true;
                        break;
                    }
                    kept.extend_from_slice(piece);
                }
                assert!(ended);
                assert!(!kept.windows(2).any(|two| two == b"\r\r"));
                assert!(kept.ends_with(b"\r\n\r\n"), "{:?}", String::from_utf8_lossy(&kept));
                assert!(kept.len() <= GET.len() + HEAD_BYTES_MAX + 16);
            }
        }
    }

    /// However long a line is, little of it is kept.
    #[test]
    fn memory_is_bounded() {
        let mut heads = Heads::default();
        heads.read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..1_000 {
            heads.read(&[b'1'; 1_000]);
        }
        assert!(heads.line.capacity() <= 2 * LINE_BYTES_MAX);
    }
}
