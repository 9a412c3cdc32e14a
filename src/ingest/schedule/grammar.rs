//! The grammar of the five fields of a pattern, stricter than the parser of `croner`.
//!
//! The parser passes over an empty list element and over a step that never repeats. A pattern like
//! that fires at other times than its author meant, so it is refused with the field and the reason.
//! What this file does not know (`L`, `15W`, `MON#1`) is left to the parser.

/// One field of a pattern.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// The largest step over all values: with a larger one `*/n` is not "every n".
    step_max: u32,
    /// Names of the values, from the first on.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, step_max: 60, names: &[] },
    Field { name: "hour", first: 0, last: 23, step_max: 24, names: &[] },
    Field { name: "day", first: 1, last: 31, step_max: 31, names: &[] },
    Field { name: "month", first: 1, last: 12, step_max: 12, names: &MONTHS },
    Field { name: "weekday", first: 0, last: 7, step_max: 7, names: &WEEKDAYS },
];

/// Checks a pattern, or a name such as `@daily`.
///
/// # Errors
/// The part that is not valid, and why.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    if pattern.starts_with('@') {
        return Ok(());
    }
    for (text, field) in pattern.split_whitespace().zip(&FIELDS) {
        for part in text.split(',') {
            let named = |why: String| format!("{part:?} in the {} field: {why}", field.name);
            field.check(part).map_err(named)?;
        }
    }
    Ok(())
}

impl Field {
    fn check(&self, part: &str) -> Result<(), String> {
        if part.is_empty() {
            return Err("an empty list element".into());
        }
        let (base, step) = match part.split_once('/') {
            Some((base, step)) => (base, Some(step)),
            None => (part, None),
        };
        let range = self.range(base)?;
        let Some(step) = step else { return Ok(()) };
        let is_number = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        let number = step.parse::<u32>().ok().filter(|_| is_number);
        let number = number.ok_or("a step is a whole number, as in */5")?;
        let most = match range {
            Some((first, last)) => last - first,
            None if matches!(base, "*" | "?") => self.step_max,
            None => return Err("a step follows * or a range, as in 0-30/5".into()),
        };
        match number {
            0 => Err("a step of 0; at least 1".into()),
            _ if number > most => Err(format!("a step of {number}; at most {most} here")),
            _ => Ok(()),
        }
    }

    /// First and last value; `None` if it is not a range, or one that only the parser knows.
    fn range(&self, base: &str) -> Result<Option<(u32, u32)>, String> {
        let Some((from, to)) = base.split_once('-') else {
            if base.is_empty() {
                return Err("nothing is before the step".into());
            }
            let is_number = base.bytes().all(|byte| byte.is_ascii_digit());
            return match self.value(base) {
                None if is_number => Err(format!("{} to {} are", self.first, self.last)),
                _ => Ok(None),
            };
        };
        if from.is_empty() || to.is_empty() {
            return Err("a range has two ends, as in 1-5".into());
        }
        let (Some(from), Some(to)) = (self.value(from), self.value(to)) else { return Ok(None) };
        // Sunday is the last day of a week as well.
        let is_week = self.name == "weekday";
        let to = if is_week && to == 0 && from > 0 { self.last } else { to };
        if from > to {
            return Err("a range that ends before it begins; write it as two".into());
        }
        Ok(Some((from, to)))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(at) = named {
            return u32::try_from(at).ok().map(|at| self.first + at);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|_| is_number)?;
        (self.first..=self.last).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::when::{BadSchedule, When};

    /// Each is refused by the field it is in, and why.
    #[test]
    fn what_would_fire_at_other_times_than_it_says_is_refused_by_name() {
        for (pattern, place, why) in [
            ("*/90 * * * *", "minute", "step of 90"),
            ("10-50/61,5 * * * *", "minute", "step of 61"),
            ("0-59/60 * * * *", "minute", "step of 60"),
            ("7-7/9 * * * *", "minute", "step of 9"),
            ("5/15 * * * *", "minute", "follows * or a range"),
            ("*/0 * * * *", "minute", "step of 0"),
            ("0-30/0 * * * *", "minute", "step of 0"),
            ("*/ * * * *", "minute", "whole number"),
            ("*/x * * * *", "minute", "whole number"),
            ("*/-5 * * * *", "minute", "whole number"),
            ("*/+5 * * * *", "minute", "whole number"),
            ("*/5/5 * * * *", "minute", "whole number"),
            ("/5 * * * *", "minute", "before the step"),
            ("0, 0 * * *", "minute", "empty list element"),
            (",1 * * * *", "minute", "empty list element"),
            ("1,,2 * * * *", "minute", "empty list element"),
            (", * * * *", "minute", "empty list element"),
            ("5-1 * * * *", "minute", "before it begins"),
            ("1- * * * *", "minute", "two ends"),
            ("-5 * * * *", "minute", "two ends"),
            ("- * * * *", "minute", "two ends"),
            ("0 */25 * * *", "hour", "step of 25"),
            ("0 22-23/2 * * *", "hour", "step of 2"),
            ("0 9,17, * * *", "hour", "empty list element"),
            ("0 0 */32 * *", "day", "step of 32"),
            ("0 0 0 * *", "day", "1 to 31"),
            ("0 0 1 */13 *", "month", "step of 13"),
            ("0 0 1 JAN-FEB/5 *", "month", "step of 5"),
            ("0 0 1 NOV-FEB *", "month", "before it begins"),
            ("0 0 * * */8", "weekday", "step of 8"),
            ("0 0 * * MON-", "weekday", "two ends"),
            ("0 0 * * FRI-TUE", "weekday", "before it begins"),
            ("0 0 * * MON,,FRI", "weekday", "empty list element"),
            ("0 0 * * MON#1/2", "weekday", "follows * or a range"),
        ] {
            let Err(BadSchedule::Pattern(text)) = When::parse(pattern, "UTC") else {
                panic!("{pattern} was taken");
            };
            assert!(text.contains(why) && text.contains(place), "{pattern}: {text}");
        }
    }

    #[test]
    fn what_is_refused_by_the_parser_alone_is_refused_too() {
        for pattern in ["** * * * *", "*5 * * * *", "1-2-3 * * * *", "*-5 * * * *", "1.5 * * * *"] {
            assert!(When::parse(pattern, "UTC").is_err(), "{pattern} was taken");
        }
    }

    #[test]
    fn patterns_in_use_are_taken() {
        for pattern in [
            "*/60 * * * *",
            "0 */24 * * *",
            "0-59/59 * * * *",
            "0,15,30,45 9-17 * * MON-FRI",
            "0 0 * JUL-SEP WED",
            "0 0 * * sat-sun",
            "0 0 * * 5-7",
            "0 0 L * *",
            "0 0 15W * *",
            "0 0 * * 5L",
            "0 0 ? * MON#2",
            "@daily",
            "@midnight",
        ] {
            assert!(
                When::parse(pattern, "UTC").is_ok(),
                "{pattern}: {:?}",
                When::parse(pattern, "UTC")
            );
        }
    }
}
