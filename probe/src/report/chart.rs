//! The chart: cached share by turn, for every variant.

use std::error::Error;

use plotters::coord::{Shift, types::RangedCoordf64};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::summary::Summary;
use crate::variant::WITHOUT_KEY;

/// The color of text and axes: halfway between black and white, with a
/// contrast of over 4 to each. The chart has no background, so that it suits light and dark pages.
const INK: RGBColor = RGBColor(118, 118, 118);

const FONT: &str = "sans-serif";

/// The color of the variant without a key, and those of the others. They have similar lightness, with a
/// contrast of over 3 to white and to a dark page (#353535), and can be told apart with any color vision.
/// The marks differ, too.
const WITHOUT: RGBColor = RGBColor(204, 102, 0);
const WITH: [RGBColor; 6] = [
    RGBColor(47, 128, 224),
    RGBColor(0, 146, 104),
    RGBColor(186, 88, 186),
    RGBColor(146, 126, 20),
    RGBColor(220, 78, 98),
    RGBColor(105, 130, 155),
];

/// The least distance between two labels, and the width of a letter, in pixels.
const LABEL_HEIGHT: i32 = 18;
const LETTER: usize = 9;

const HEIGHT: u32 = 400;
const PLOT_WIDTH: u32 = 610;

type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Canvas<'b> = DrawingArea<SVGBackend<'b>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// The line of one variant, with a point for each turn that has tokens.
struct Line<'a> {
    variant: usize,
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// Draws the chart, as SVG.
pub(crate) fn draw(summaries: &[Summary], title: &str) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let lines: Vec<_> = summaries.iter().map(Line::of).collect();
        let longest = lines
            .iter()
            .map(|line| line.name.len())
            .max()
            .unwrap_or_default();
        let labels_width = u32::try_from(LETTER * longest + 20)?.max(130);
        let root = SVGBackend::with_string(&mut svg, (PLOT_WIDTH + labels_width, HEIGHT))
            .into_drawing_area();
        let turns = summaries[0].tokens_by_turn.len().max(2);
        let mut chart = ChartBuilder::on(&root)
            .caption(title, (FONT, 20, &INK))
            .margin(12)
            .margin_right(labels_width)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(1f64..f64::from(u32::try_from(turns)?), 0f64..100f64)?;
        axes(&mut chart, turns)?;
        for line in &lines {
            line.draw(&mut chart)?;
        }
        labels(&root, &chart, &lines)?;
        root.present()?;
    }
    Ok(on_any_page(&svg))
}

/// Keeps the chart from being wider than the page that shows it.
fn on_any_page(svg: &str) -> String {
    svg.replacen("<svg ", "<svg style=\"max-width:100%;height:auto\" ", 1)
}

fn axes(chart: &mut Plot<'_, '_>, turns: usize) -> Drawn {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.35))
        .axis_style(INK)
        .label_style((FONT, 16, &INK))
        .axis_desc_style((FONT, 16, &INK))
        .x_labels(turns.min(20))
        .x_label_formatter(&|turn| format!("{turn:.0}"))
        .y_labels(6)
        .y_label_formatter(&|share| format!("{share:.0} %"))
        .x_desc("turn of the conversation")
        .y_desc("prompt tokens from cache")
        .draw()?;
    Ok(())
}

/// Writes the name of each line beside its last point, and connects the two.
fn labels(root: &Canvas<'_>, chart: &Plot<'_, '_>, lines: &[Line<'_>]) -> Drawn {
    let mut ends: Vec<_> = lines
        .iter()
        .filter_map(|line| {
            let end = chart.backend_coord(line.points.last()?);
            Some((line, end, end.1))
        })
        .collect();
    ends.sort_by_key(|(_, _, y)| *y);
    // Lines that end close together would have overlapping names.
    let mut above = i32::MIN;
    for (_, _, y) in &mut ends {
        *y = (*y).max(above.saturating_add(LABEL_HEIGHT));
        above = *y;
    }
    // Names that were pushed below the chart move up again, and push the others up.
    let mut below = i32::try_from(HEIGHT)?;
    for (_, _, y) in ends.iter_mut().rev() {
        *y = (*y).min(below - LABEL_HEIGHT);
        below = *y;
    }
    for (line, end, y) in ends {
        let path = vec![end, (end.0 + 22, y)];
        root.draw(&PathElement::new(path, line.color().stroke_width(1)))?;
        let style = TextStyle::from((FONT, 17).into_font()).color(&INK);
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(line.name, (end.0 + 26, y), style))?;
    }
    Ok(())
}

impl<'a> Line<'a> {
    fn of(summary: &'a Summary) -> Self {
        let shares = (1u32..).zip(summary.tokens_by_turn.iter().map(|tokens| tokens.share()));
        let point = |(turn, share): (u32, Option<f64>)| Some((f64::from(turn), 100.0 * share?));
        Self {
            variant: summary.variant,
            name: &summary.name,
            points: shares.filter_map(point).collect(),
        }
    }

    const fn color(&self) -> RGBColor {
        match self.variant {
            WITHOUT_KEY => WITHOUT,
            variant => WITH[(variant - 1) % WITH.len()],
        }
    }

    fn draw(&self, chart: &mut Plot<'_, '_>) -> Drawn {
        let color = self.color();
        let points = || self.points.iter().copied();
        chart.draw_series(LineSeries::new(points(), color.stroke_width(3)))?;
        if self.variant == WITHOUT_KEY {
            chart.draw_series(points().map(|at| TriangleMarker::new(at, 7, color.filled())))?;
        } else {
            chart.draw_series(points().map(|at| Circle::new(at, 5, color.filled())))?;
        }
        Ok(())
    }
}
