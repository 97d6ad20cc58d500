//! Figures, and whether they are what was promised.

use std::time::Duration;

/// A bound that lubdub is held to; what is measured beside it is held to none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// Milliseconds of the median.
    pub(crate) median: f64,
    /// Milliseconds of the worst.
    pub(crate) worst: f64,
}

/// Prints a title over the rows that follow.
pub(crate) fn title(text: &str) {
    println!(
        "\n{text}\n{:44} {:>8} {:>8} {:>8}   bound (median, worst)",
        "", "median", "best", "worst"
    );
}

/// Prints a row of times in milliseconds; `true` if they keep the bound.
pub(crate) fn row(name: &str, times: &[f64], bound: Option<Bound>) -> bool {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(best), Some(worst)) = (sorted.first(), sorted.last()) else {
        println!("{name:44} no run ended");
        return false;
    };
    let median = median(&sorted);
    let kept = bound.is_none_or(|bound| median <= bound.median && *worst <= bound.worst);
    let told = match bound {
        None => String::new(),
        Some(bound) => {
            format!(
                "{:.0}, {:.0}: {}",
                bound.median,
                bound.worst,
                if kept { "kept" } else { "MISSED" }
            )
        }
    };
    println!("{name:44} {median:8.1} {best:8.1} {worst:8.1}   {told}");
    kept
}

/// The figure that ninety-nine of a hundred are not above.
pub(crate) fn p99(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Prints one figure beside what it must not exceed; `true` if it is there and does not.
pub(crate) fn figure(name: &str, value: Option<&f64>, unit: &str, most: Option<f64>) -> bool {
    let Some(value) = value.copied() else {
        println!("{name:44} no figure");
        return false;
    };
    let kept = most.is_none_or(|most| value <= most);
    let told = match most {
        None => String::new(),
        Some(most) => format!("at most {most} {unit}: {}", if kept { "kept" } else { "MISSED" }),
    };
    println!("{name:44} {value:8.3} {unit:8}   {told}");
    kept
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The middle of sorted figures: the mean of the two where their number is even.
fn median(sorted: &[f64]) -> f64 {
    let middle: Vec<f64> =
        sorted.iter().copied().skip((sorted.len() - 1) / 2).take(2 - sorted.len() % 2).collect();
    middle.iter().sum::<f64>() / if middle.len() == 2 { 2.0 } else { 1.0 }
}
