//! The report as a picture: above, the delay that 99 of 100 events stay under; below, the requests;
//! both over the limit, on logarithmic scales, a line for each mirror. SVG only: text, drawn in
//! whatever font the viewer has.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Report, Tried, millis};

const SIZE: (u32, u32) = (960, 720);
/// Below this no delay matters, and a logarithmic scale has no zero.
const MS_MIN: f64 = 1.0;
/// Margin around the outermost points.
const MARGIN: f64 = 1.2;

/// The colour of the target, unlike those of mirrors and of the grid.
const MARK: RGBColor = RGBColor(90, 90, 200);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One half of the picture.
struct Half<'a> {
    caption: &'a str,
    unit: &'a str,
    legend: SeriesLabelPosition,
    /// A line across, with its name.
    mark: Option<(f64, String)>,
    value: fn(&Tried) -> f64,
}

/// Draws it.
///
/// # Errors
/// An error of the library as text.
pub fn draw(report: &Report) -> Result<String, String> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(text_of)?;
    let (upper, lower) = root.split_vertically(SIZE.1 / 2);
    let target_ms = millis(report.target).max(MS_MIN);
    let delay = Half {
        caption: "Delay of 99 of 100 events",
        unit: "ms",
        legend: SeriesLabelPosition::LowerLeft,
        mark: Some((target_ms, format!("target {target_ms} ms"))),
        value: |tried| millis(tried.p99()).max(MS_MIN),
    };
    let requests = Half {
        caption: "Requests sent",
        unit: "requests",
        legend: SeriesLabelPosition::UpperLeft,
        mark: None,
        value: |tried| tried.sent.requests as f64,
    };
    delay.draw(&upper, report)?;
    requests.draw(&lower, report)?;
    root.present().map_err(text_of)?;
    drop((upper, lower, root));
    Ok(svg)
}

impl Half<'_> {
    fn draw(&self, area: &Area<'_>, report: &Report) -> Result<(), String> {
        let tries = || report.tuned.iter().flat_map(|tuned| &tuned.tries);
        let rates = tries().map(|tried| tried.rate_per_second);
        let (left, right) = spread(rates);
        let marked = self.mark.iter().map(|(value, _)| *value);
        let values = tries().map(self.value).chain(marked);
        let (lowest, highest) = decades(values);
        let mut chart = ChartBuilder::on(area)
            .caption(self.caption, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(72)
            .build_cartesian_2d((left..right).log_scale(), (lowest..highest).log_scale())
            .map_err(text_of)?;
        chart
            .configure_mesh()
            .x_desc("limit, requests a second")
            .y_desc(self.unit)
            .draw()
            .map_err(text_of)?;
        for (at, tuned) in report.tuned.iter().enumerate() {
            let colour = Palette99::pick(at).to_rgba();
            let points: Vec<(f64, f64)> =
                tuned.tries.iter().map(|it| (it.rate_per_second, (self.value)(it))).collect();
            let dots = points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots).map_err(text_of)?;
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))
                .map_err(text_of)?
                .label(printable(&tuned.mirror.name))
                .legend(move |(x, y)| stroke(x, y, colour.stroke_width(2)));
        }
        if let Some((value, name)) = &self.mark {
            let line = [(left, *value), (right, *value)];
            chart
                .draw_series(LineSeries::new(line, MARK.stroke_width(2)))
                .map_err(text_of)?
                .label(name.as_str())
                .legend(|(x, y)| stroke(x, y, MARK.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(self.legend.clone())
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.2))
            .draw()
            .map_err(text_of)
    }
}

/// The ends of a scale that shows all of these.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (min, max) =
        values.fold((f64::MAX, f64::MIN), |(min, max), value| (min.min(value), max.max(value)));
    (min / MARGIN, max * MARGIN)
}

/// The same in whole powers of ten, between which the grid is drawn evenly.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (lowest, highest) = spread(values);
    let power = |exponent: f64| 10_f64.powf(exponent);
    (power((lowest * MARGIN).log10().floor()), power(highest.log10().ceil()))
}

/// A line in the legend.
fn stroke(x: i32, y: i32, style: ShapeStyle) -> PathElement<(i32, i32)> {
    PathElement::new([(x, y), (x + 16, y)], style)
}

/// Names come from the log: what XML cannot hold is not drawn.
fn printable(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    name.chars().map(|c| if is_plain(c) { c } else { '\u{fffd}' }).collect()
}

fn text_of(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn the_picture_is_well_formed_and_shows_every_mirror() {
        let hostile = "us<script>&\"'\u{1b}\u{ffff}";
        let svg = draw(&report(&[0.5, 5.0, 50.0], 1000, ["eu.example.org", hostile]));
        let svg = svg.expect("it draws");
        let document = roxmltree::Document::parse(&svg).expect("well-formed");
        assert_eq!(document.root_element().tag_name().name(), "svg");
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
        for text in ["eu.example.org", "us<script>&\"'", "target 1000 ms", "Requests sent"] {
            assert!(texts.iter().any(|shown| shown.contains(text)), "{text} in {texts:?}");
        }
        let of_name = |name: &str| {
            document.descendants().filter(|node| node.tag_name().name() == name).count()
        };
        assert_eq!((of_name("script"), of_name("circle")), (0, 2 * 2 * 3), "a dot for each figure");
    }

    #[test]
    fn one_limit_and_no_delay_can_be_drawn_too() {
        for target_ms in [0, 1] {
            let svg = draw(&report(&[1e6], target_ms, ["a", "b"])).expect("it draws");
            roxmltree::Document::parse(&svg).expect("well-formed");
        }
    }
}
