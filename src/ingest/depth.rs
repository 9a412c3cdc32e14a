//! Counts how deep a JSON text nests without parsing it: a hostile body must not exhaust the stack.
//! The parser checks the syntax afterwards, within the bound.

/// Whether `json` nests deeper than `depth_max` arrays and objects.
pub fn exceeds(json: &[u8], depth_max: usize) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_text_do_not_count() {
        assert!(!exceeds(br#"{"a":"[[[\"[["}"#, 1));
        assert!(exceeds(b"[[[]]]", 2));
        assert!(!exceeds(b"[][][]", 1));
    }
}
