//! Rates as people write them, for every command that takes one: in whatever unit, the result is
//! requests a second. Each command checks which rates it accepts.

/// Requests a second, from `20/s`, `100/m`, `30/min`, `100/h`, or a bare number of them a second.
///
/// # Errors
/// What was expected instead.
pub fn parse(text: &str) -> Result<f64, String> {
    let (number, seconds) = match text.split_once('/') {
        None => (text, 1.0),
        Some((number, "s")) => (number, 1.0),
        Some((number, "m" | "min")) => (number, 60.0),
        Some((number, "h")) => (number, 3600.0),
        Some(_) => ("", 1.0),
    };
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate / seconds),
        _ => Err("expected a rate above 0, such as 20/s, 0.5/s, 30/min or 100/h".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn rates_are_read_in_the_units_of_people() {
        for (text, rate) in
            [("20/s", 20.0), ("20", 20.0), ("0.5/s", 0.5), ("90/m", 1.5), ("30/min", 0.5)]
        {
            assert_eq!(parse(text), Ok(rate), "{text}");
        }
        assert_eq!(parse("36/h"), Ok(0.01));
        for text in ["", "/s", "0/s", "-1/s", "1/d", "1/s/s", "inf/s", "NaN", "many"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
