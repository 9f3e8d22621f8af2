//! Times as the contract (RFC 3339, UTC) and as Ansible (local, no zone) write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub micros: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    pub offset_seconds: i64,
}

/// Days to a date in the Gregorian calendar: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil(seconds: i64, micros: u32, offset_seconds: i64) -> Civil {
    let local = seconds + offset_seconds;
    let (days, of_day) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: small(month),
        day: small(day_of_year - (153 * month_index + 2) / 5 + 1),
        hour: small(of_day / 3600),
        minute: small(of_day / 60 % 60),
        second: small(of_day % 60),
        micros,
        weekday: small((days + 4).rem_euclid(7)),
        offset_seconds,
    }
}

fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn since_epoch(moment: SystemTime) -> (i64, u32) {
    let past = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(past.as_secs()).unwrap_or_default(), past.subsec_micros())
}

#[must_use]
pub fn utc(moment: SystemTime) -> Civil {
    let (seconds, micros) = since_epoch(moment);
    civil(seconds, micros, 0)
}

#[must_use]
pub fn local(moment: SystemTime) -> Civil {
    let (seconds, micros) = since_epoch(moment);
    civil(seconds, micros, offset_at(seconds))
}

#[cfg(unix)]
fn offset_at(seconds: i64) -> i64 {
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)] // 32 bits on some targets
    let moment = libc::time_t::try_from(seconds).unwrap_or_default();
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; a zeroed tm is a valid one.
    unsafe {
        libc::localtime_r(&raw const moment, parts.as_mut_ptr());
        #[allow(clippy::useless_conversion)] // 32 bits on some targets
        i64::from(parts.assume_init().tm_gmtoff)
    }
}

#[cfg(not(unix))]
fn offset_at(_seconds: i64) -> i64 {
    0
}

#[must_use]
pub fn rfc3339(moment: SystemTime) -> String {
    let t = utc(moment);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", t.year, t.month, t.day, t.hour, t.minute, t.second, t.micros)
}

/// Python's `str(datetime.now())`.
#[must_use]
pub fn ansible_time(moment: SystemTime) -> String {
    let t = local(moment);
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}", t.year, t.month, t.day, t.hour, t.minute, t.second, t.micros)
}

/// Python's `str(timedelta)`.
#[must_use]
pub fn ansible_delta(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let days = match seconds / 86_400 {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        n => format!("{n} days, "),
    };
    format!(
        "{days}{}:{:02}:{:02}.{:06}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        duration.subsec_micros()
    )
}

/// Seconds since the epoch of a local time written in `format` (strptime's %Y %m %d %H %M %S %y %%).
#[must_use]
pub fn parse_local(text: &str, format: &str) -> Option<i64> {
    let (mut year, mut month, mut day, mut hour, mut minute, mut second) = (1900, 1, 1, 0, 0, 0);
    let mut rest = text;
    let mut pattern = format.chars();
    while let Some(letter) = pattern.next() {
        if letter != '%' {
            rest = rest.strip_prefix(letter)?;
            continue;
        }
        let code = pattern.next()?;
        if code == '%' {
            rest = rest.strip_prefix('%')?;
            continue;
        }
        let most = if code == 'Y' { 4 } else { 2 };
        let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..count].parse().ok()?;
        rest = &rest[count..];
        match code {
            'Y' => year = number,
            'y' => year = if number < 69 { 2000 + number } else { 1900 + number },
            'm' => month = number,
            'd' => day = number,
            'H' => hour = number,
            'M' => minute = number,
            'S' => second = number,
            _ => return None,
        }
    }
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 62;
    if !rest.is_empty() || !fits {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    // The offset of the guess, then of what the guess gives: right but in the hour a change of clocks repeats.
    let guess = seconds - offset_at(seconds);
    Some(seconds - offset_at(guess))
}

/// The inverse of `civil`, from the same paper.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(1_795_404_263), "2026-11-23T03:24:23.000000Z");
        assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(1_795_404_263)).weekday, 1);
    }

    #[test]
    fn deltas() {
        assert_eq!(ansible_delta(Duration::from_micros(3_123)), "0:00:00.003123");
        assert_eq!(ansible_delta(Duration::from_secs(90_061)), "1 day, 1:01:01.000000");
    }

    #[test]
    fn parsing_is_the_inverse() {
        let seconds = parse_local("202611230324.23", "%Y%m%d%H%M.%S").unwrap();
        let back = local(UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs()));
        assert_eq!((back.year, back.month, back.day, back.hour, back.minute, back.second), (2026, 11, 23, 3, 24, 23));
        assert_eq!(parse_local("2026", "%Y%m"), None);
        assert_eq!(parse_local("20261323", "%Y%m%d"), None);
    }
}
