//! `SOURCE_DATE_EPOCH`, read off the wheel's own time stamps.

/// 1980-01-01, where a ZIP archive's calendar begins: what tools write when they have no time at all.
const ZIP_BEGINS: i64 = 315_532_800;

/// The values to try, in this order. `times`: the oldest and the newest DOS time in the wheel, read as UTC.
///
/// A backend that follows the variable stamps every file with it, so the newest time is the one that it had; one that
/// does not follow it keeps the files' own times, and its own stamp for what it made.
pub(super) fn epochs(times: Option<(i64, i64)>) -> Vec<Option<i64>> {
    match times {
        Some((_, newest)) if newest >= ZIP_BEGINS => vec![Some(newest), None],
        _ => vec![None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_the_wheels_own_time_then_none() {
        assert_eq!(
            epochs(Some((ZIP_BEGINS, 1_580_601_600))),
            [Some(1_580_601_600), None]
        );
        assert_eq!(epochs(Some((ZIP_BEGINS, ZIP_BEGINS))), [Some(ZIP_BEGINS), None]);
        assert_eq!(epochs(Some((-5, -5))), [None]);
        assert_eq!(epochs(None), [None]);
    }
}
