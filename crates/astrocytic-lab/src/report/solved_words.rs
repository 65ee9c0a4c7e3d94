//! D50 and its ratios as they are written in tables and sentences.

use indicatif::HumanCount;

use super::summary::Contrast;
use crate::results::CorpusFacts;
use crate::statistics::{D50, Estimate, Place};

/// A number of examples: sizes as they are, what lies between them to three digits.
pub(super) fn examples(count: f64) -> String {
    let is_size = (count - count.round()).abs() < 1e-6 * count;
    let unit = if is_size { 1.0 } else { 10f64.powi(count.max(1.0).log10().floor() as i32 - 2).max(1.0) };
    HumanCount(((count / unit).round() * unit) as u64).to_string()
}

/// The size that half of the seeds need, or its bound.
pub(super) fn d50(found: &D50) -> String {
    match found.place {
        Place::Inside => examples(found.size),
        Place::Beyond => format!("at least {}", HumanCount(found.size.round() as u64)),
        Place::Below => format!("at most {}", HumanCount(found.size.round() as u64)),
    }
}

/// Its 95 % interval; nothing where it says no more than the bound.
pub(super) fn d50_interval(found: &D50) -> String {
    let is_bound = |end: &Option<f64>| end.is_some_and(|end| (end / found.size - 1.0).abs() < 1e-6);
    if found.place != Place::Inside && found.interval.iter().any(is_bound) {
        return String::new();
    }
    match found.interval.map(|end| end.map(examples)) {
        [Some(low), Some(high)] => format!("{low} to {high}"),
        [Some(low), None] => format!("from {low}"),
        [None, Some(high)] => format!("up to {high}"),
        [None, None] => "no interval".into(),
    }
}

/// A ratio, or its bound.
pub(super) fn ratio(value: &Estimate) -> String {
    let figure = times(value.estimate);
    match (value.is_bound(), value.estimate >= 1.0) {
        (false, _) => figure,
        (true, true) => format!("at least {figure}"),
        (true, false) => format!("at most {figure}"),
    }
}

/// The 95 % interval of a ratio.
pub(super) fn ratio_interval(interval: [Option<f64>; 2]) -> String {
    match interval.map(|end| end.map(times)) {
        [Some(low), Some(high)] => format!("{low} to {high}"),
        [Some(low), None] => format!("from {low}"),
        [None, Some(high)] => format!("up to {high}"),
        [None, None] => "no interval".into(),
    }
}

/// 0.24, 3.6, 21.
fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 9.95 => format!("{r:.0}"),
        r if r >= 0.995 => format!("{r:.1}"),
        r => format!("{r:.2}"),
    }
}

/// What a contrast found, up to its doubt, in runs of so many steps at most.
pub(super) fn finding(
    contrast: &Contrast,
    [arm, baseline]: [Option<&D50>; 2],
    corpus: &CorpusFacts,
    most_steps: u64,
) -> String {
    let (name, other) = (&contrast.arm, &contrast.baseline);
    let (Some(arm), Some(baseline)) = (arm, baseline) else {
        return format!("{name} and {other} have no run in common yet.");
    };
    let task = format!("{}, within {} steps", corpus.name, HumanCount(most_steps));
    let Some(value) = &contrast.value else {
        let size = examples(arm.size);
        return match arm.place {
            Place::Beyond => format!(
                "On {task}, half of the seeds of neither {name} nor {other} solve the task with up to {size} examples: no \
                 ratio can be taken."
            ),
            _ => format!(
                "On {task}, half of the seeds of both {name} and {other} solve the task with {size} examples, the fewest that \
                 were tried: no ratio can be taken."
            ),
        };
    };
    let (factor, [low, high], word) = match value.estimate >= 1.0 {
        true => (value.estimate, value.interval, "fewer"),
        false => {
            let [low, high] = value.interval.map(|end| end.map(f64::recip));
            (value.estimate.recip(), [high, low], "as many")
        }
    };
    format!(
        "On {task}, {name} needs {} examples and {other} {} for half of the seeds to solve the task: {}{} times {word} ({})",
        d50(arm),
        d50(baseline),
        if value.is_bound() { "at least " } else { "" },
        times(factor),
        match [low, high] {
            [None, None] => "no interval".into(),
            ends => format!("95 % interval {}", ratio_interval(ends)),
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_as_many_digits_as_they_deserve() {
        assert_eq!([64.0, 724.07, 11_585.2, 16_384.0].map(examples), ["64", "724", "11,600", "16,384"]);
        assert_eq!([0.2427, 1.0, 3.64, 21.8].map(times), ["0.24", "1.0", "3.6", "22"]);
        let d50 = |place, interval| D50 { size: 16_384.0, place, interval };
        assert_eq!(super::d50(&d50(Place::Beyond, [Some(16_384.0), None])), "at least 16,384");
        assert_eq!(d50_interval(&d50(Place::Beyond, [Some(8_192.0), None])), "from 8,192");
        assert_eq!(d50_interval(&d50(Place::Beyond, [Some(16_384.0), None])), "");
    }
}
