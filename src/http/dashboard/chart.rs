//! Charts as inline SVG: a function of their points. Colours come from the style sheet, by classes.

use std::fmt::Write as _;

/// Width and height that points are scaled to; the page stretches them.
const SIZE: (f64, f64) = (600.0, 120.0);
/// Room for half a line above and below.
const EDGE: f64 = 2.0;

/// One line of a chart.
pub struct Line<'a> {
    /// Its class: `one`, `two`, `three`.
    pub class: &'static str,
    /// Oldest first; what is not known has nothing, and no line goes through it.
    pub points: &'a [Option<f64>],
    /// Whether what lies below it is filled.
    pub is_filled: bool,
}

/// The next round number that is not below: 1, 2 or 5, and zeros.
pub fn round_up(most: f64) -> f64 {
    if !(most.is_finite() && most > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| most <= step * power * (1.0 + 1e-9));
    step.unwrap_or(10.0) * power
}

/// The largest of all points, if there is any.
pub fn largest<'a>(lines: impl IntoIterator<Item = &'a [Option<f64>]>) -> Option<f64> {
    lines.into_iter().flatten().flatten().copied().reduce(f64::max)
}

/// All lines in one picture that is `top` high. It says nothing to a screen reader: the page says in words what it shows.
pub fn svg(lines: &[Line<'_>], top: f64, class: &str) -> String {
    let (width, height) = SIZE;
    let mut svg = format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" aria-hidden=\"true\" \
         focusable=\"false\">"
    );
    for line in lines {
        let runs = runs(line.points, top);
        if line.is_filled {
            for run in runs.iter().filter(|run| run.len() > 1) {
                let (first, last) = (run[0].0, run[run.len() - 1].0);
                let _ = write!(
                    svg,
                    "<path class=\"area {}\" d=\"{}L{last:.1} {height}L{first:.1} {height}Z\"/>",
                    line.class,
                    path(run)
                );
            }
        }
        let drawn: String = runs.iter().map(|run| path(run)).collect();
        if !drawn.is_empty() {
            let _ = write!(
                svg,
                "<path class=\"line {}\" d=\"{drawn}\" fill=\"none\" vector-effect=\"non-scaling-stroke\"/>",
                line.class
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Points that follow each other without a gap, where they are in the picture.
fn runs(points: &[Option<f64>], top: f64) -> Vec<Vec<(f64, f64)>> {
    let (width, height) = SIZE;
    let step = width / (points.len().max(2) - 1) as f64;
    let mut runs = vec![Vec::new()];
    for (index, point) in points.iter().enumerate() {
        match (point, runs.last_mut()) {
            (Some(value), Some(run)) => {
                let part = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
                run.push((index as f64 * step, height - EDGE - part * (height - 2.0 * EDGE)));
            }
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// A point alone is a line of no length, which round ends make a dot.
fn path(run: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in run.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    if run.len() == 1 {
        path.push_str("h0");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: &[Option<f64>], top: f64) -> String {
        svg(&[Line { class: "one", points, is_filled: true }], top, "chart")
    }

    #[test]
    fn scales_are_round() {
        for (most, top) in [
            (0.0, 1.0),
            (0.3, 0.5),
            (1.0, 1.0),
            (1.2, 2.0),
            (43.0, 50.0),
            (51.0, 100.0),
            (10_001.0, 20_000.0),
        ] {
            assert!((round_up(most) - top).abs() < 1e-9, "{most}: {}", round_up(most));
        }
        assert_eq!((round_up(f64::NAN), round_up(-3.0)), (1.0, 1.0));
    }

    #[test]
    fn the_largest_is_at_the_top_and_nothing_at_the_bottom() {
        let all = drawn(&[Some(0.0), Some(10.0), Some(5.0)], 10.0);
        assert!(all.contains("M0.0 118.0L300.0 2.0L600.0 60.0\" fill"), "{all}");
        assert!(all.contains("L600.0 120L0.0 120Z"), "{all}");
    }

    #[test]
    fn no_line_goes_through_a_gap() {
        let all = drawn(&[Some(1.0), Some(1.0), None, None, Some(1.0), Some(1.0)], 1.0);
        let line = all.split("class=\"line one\"").nth(1).unwrap_or_default();
        assert_eq!(line.matches('M').count(), 2, "{all}");
        assert_eq!(all.matches("class=\"area one\"").count(), 2, "{all}");
    }

    #[test]
    fn one_point_is_a_dot_and_none_are_no_line() {
        assert!(drawn(&[None, Some(1.0), None], 1.0).contains("M300.0 2.0h0"));
        assert!(drawn(&[Some(1.0)], 1.0).contains("M0.0 2.0h0"));
        for empty in [&[][..], &[None, None]] {
            assert!(!drawn(empty, 1.0).contains("<path"));
        }
        assert_eq!(largest([&[None, Some(2.0)][..], &[Some(3.0)]]), Some(3.0));
        assert_eq!(largest([&[None][..]]), None);
    }

    #[test]
    fn what_cannot_be_stays_in_the_picture() {
        let all = drawn(&[Some(-5.0), Some(99.0)], 10.0);
        assert!(all.contains("M0.0 118.0L600.0 2.0"), "{all}");
        assert!(drawn(&[Some(1.0), Some(2.0)], 0.0).contains("M0.0 118.0L600.0 118.0"));
    }
}
