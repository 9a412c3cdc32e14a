//! Rust text with comments and literals replaced by blanks.
//!
//! Rules about code must not match prose, nor count braces in strings. This is no parser: it knows
//! line and nested block comments, plain, byte and raw strings, and the difference between
//! characters and lifetimes. That is enough to match brackets.

/// A file, its code without comments and literals, and which lines are test code.
pub struct Source {
    /// From the root of the tree, with `/`.
    pub path: String,
    pub text: String,
    /// The same length in lines; comments and literals are blanks.
    pub code: String,
    /// The whole file is behind `#[cfg(test)]`, or lies in `tests/` or `benches/`.
    pub is_test_file: bool,
    in_test: Vec<bool>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let in_test = test_lines(&code);
        let is_test_file = ["tests/", "benches/"].iter().any(|root| path.starts_with(root))
            || path.split('/').any(|part| part == "tests" || part == "tests.rs");
        Self { path: path.to_owned(), text: text.to_owned(), code, is_test_file, in_test }
    }

    /// Whether a line (from 1) exists for tests only.
    pub fn is_test(&self, line: usize) -> bool {
        self.is_test_file || self.in_test.get(line - 1).copied().unwrap_or(false)
    }

    /// Lines of code, numbered from 1.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Lines as written, numbered from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Modules that this file declares behind `#[cfg(test)]` in files of their own.
    pub fn test_modules(&self) -> Vec<String> {
        let declared = |(line, text): (usize, &str)| {
            let name = text.trim().strip_prefix("mod ")?.strip_suffix(';')?;
            self.in_test[line - 1].then(|| name.to_owned())
        };
        self.code_lines().filter_map(declared).collect()
    }
}

/// Where a match of a bracket that opens at `open` closes.
pub fn closing(code: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The line of a byte, from 1.
pub fn line_of(code: &str, at: usize) -> usize {
    code.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Where this word begins, whole words only.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = code.as_bytes();
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let after = bytes.get(at + word.len()).copied();
        let first = word.as_bytes()[0];
        let last = word.as_bytes()[word.len() - 1];
        let goes_on_before = is_part(first) && before.is_some_and(is_part);
        let goes_on_after = is_part(last) && after.is_some_and(is_part);
        !(goes_on_before || goes_on_after)
    })
}

/// The item behind each `#[cfg(test)]`: up to its `;` or its closing brace.
fn test_lines(code: &str) -> Vec<bool> {
    let mut lines = vec![false; code.lines().count()];
    let attribute = "#[cfg(test)]";
    for (at, _) in code.match_indices(attribute) {
        let Some(end) = item_end(code.as_bytes(), at + attribute.len()) else { continue };
        lines[line_of(code, at) - 1..line_of(code, end)].fill(true);
    }
    lines
}

/// Where an item that begins at `from` ends: at a `;` or at the end of its braces.
pub fn item_end(code: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match code.get(at)? {
            b';' => return Some(at),
            b'{' => return closing(code, at),
            b'(' | b'[' => at = closing(code, at)?,
            _ => {}
        }
        at += 1;
    }
}

fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code: Vec<u8> = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment(bytes, at);
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("only whole comments and literals are blanked")
}

/// The end of the comment or literal that begins here; `at` itself where none does.
fn literal_or_comment(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let is_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let length = match rest[0] {
        b'/' if rest.starts_with(b"//") => find(rest, b"\n").unwrap_or(rest.len()),
        b'/' if rest.starts_with(b"/*") => block_comment(rest),
        b'"' => 1 + quoted(&rest[1..], b'"'),
        b'r' | b'b' if !is_word => raw_string(rest),
        b'\'' => character(rest),
        _ => 0,
    };
    at + length
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        let (step, change): (usize, isize) = match &rest[at..] {
            inner if inner.starts_with(b"/*") => (2, 1),
            inner if inner.starts_with(b"*/") => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth = depth.saturating_add_signed(change);
        if depth == 0 {
            break;
        }
    }
    at
}

/// Bytes up to and with the closing quote; a backslash hides what follows it.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `r"…"`, `r#"…"#` and the same of bytes; 0 for an identifier.
fn raw_string(rest: &[u8]) -> usize {
    let prefix = usize::from(rest.starts_with(b"br")) + 1;
    if rest[0] == b'b' && prefix == 1 {
        return 0;
    }
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return 0;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    find(&rest[open + 1..], &close).map_or(rest.len(), |at| open + 1 + at + close.len())
}

/// A character; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return 1 + quoted(&rest[1..], b'\'');
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)]);
    let width = match text {
        Ok(text) => text.chars().next().map_or(0, char::len_utf8),
        // The slice cut a later character in two; the first one is whole.
        Err(error) => std::str::from_utf8(&rest[1..1 + error.valid_up_to()])
            .ok()
            .and_then(|text| text.chars().next())
            .map_or(0, char::len_utf8),
    };
    if width > 0 && rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

#[test]
fn comments_and_literals_are_blanked_and_code_keeps_its_place() {
    let text = "let a = \"{\\\"}\"; // }\n/* { /* } */ { */ let b = r#\"\"{\"#; let c = '{';\n\
                fn d<'a>(e: &'a str) { 'é'; b'\\''; br\"{\"; f(\"ü{\n\") }";
    let code = blank(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), text.lines().count());
    assert_eq!(code.matches('{').count(), 1, "{code}");
    assert_eq!(code.matches('}').count(), 1, "{code}");
    assert!(code.contains("fn d<'a>(e: &'a str)"), "{code}");
    assert!(code.contains("let b") && code.contains("let c"), "{code}");
}

#[test]
fn test_code_is_separated_from_the_rest() {
    let text =
        "fn a() {}\n#[cfg(test)]\nmod laws;\nfn b() {}\n#[cfg(test)]\nmod tests {\n  x\n}\nc";
    let source = Source::new("src/a.rs", text);
    let tested: Vec<usize> = (1..=9).filter(|line| source.is_test(*line)).collect();
    assert_eq!(tested, [2, 3, 5, 6, 7, 8]);
    assert_eq!(source.test_modules(), ["laws"]);
    assert!(Source::new("src/store/tests/races.rs", "a").is_test(1));
    assert!(Source::new("tests/it/a.rs", "a").is_test(1));
}
