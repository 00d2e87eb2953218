//! The chart: cached share by turn, for both arms.

use std::error::Error;

use plotters::coord::{Shift, types::RangedCoordf64};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::conversation::Arm;
use crate::summary::Summary;

/// Half way between black and white, with a contrast of over 4 to each: there is no background, so
/// that the chart fits a light page and a dark one.
const INK: RGBColor = RGBColor(118, 118, 118);

const FONT: &str = "sans-serif";

/// The least distance of two labels, in pixels.
const LABEL_HEIGHT: i32 = 18;

type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Canvas<'b> = DrawingArea<SVGBackend<'b>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// One arm: a point for each turn that is known.
struct Line {
    arm: Arm,
    points: Vec<(f64, f64)>,
}

/// Draws the chart, as SVG.
pub(crate) fn draw(arms: &[Summary; 2], title: &str) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (720, 400)).into_drawing_area();
        let lines = arms.each_ref().map(Line::of);
        let turns = arms[0].tokens_by_turn.len().max(2);
        let mut chart = ChartBuilder::on(&root)
            .caption(title, (FONT, 20, &INK))
            .margin(12)
            .margin_right(110)
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
    Ok(svg)
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

/// Writes the name of each line beside its last point.
fn labels(root: &Canvas<'_>, chart: &Plot<'_, '_>, lines: &[Line; 2]) -> Drawn {
    let mut ends: Vec<_> = lines
        .iter()
        .filter_map(|line| Some((line, chart.backend_coord(line.points.last()?))))
        .collect();
    ends.sort_by_key(|(_, (_, y))| *y);
    // Lines that end in almost the same point would have one name over the other.
    if let [(_, (_, above)), (_, (_, below))] = ends.as_mut_slice() {
        *below = (*above + LABEL_HEIGHT).max(*below);
    }
    for (line, (x, y)) in ends {
        let colour = line.colour();
        let style = TextStyle::from((FONT, 17).into_font()).color(&colour);
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(line.arm.name(), (x + 12, y), style))?;
    }
    Ok(())
}

impl Line {
    fn of(arm: &Summary) -> Self {
        let shares = (1u32..).zip(arm.tokens_by_turn.iter().map(|tokens| tokens.share()));
        let point = |(turn, share): (u32, Option<f64>)| Some((f64::from(turn), 100.0 * share?));
        Self {
            arm: arm.arm,
            points: shares.filter_map(point).collect(),
        }
    }

    /// Two colours of the same lightness that differ for every eye; the marks differ too.
    const fn colour(&self) -> RGBColor {
        match self.arm {
            Arm::WithoutKey => RGBColor(204, 102, 0),
            Arm::WithKey => RGBColor(41, 121, 214),
        }
    }

    fn draw(&self, chart: &mut Plot<'_, '_>) -> Drawn {
        let colour = self.colour();
        let points = || self.points.iter().copied();
        chart.draw_series(LineSeries::new(points(), colour.stroke_width(3)))?;
        match self.arm {
            Arm::WithoutKey => {
                chart.draw_series(points().map(|at| TriangleMarker::new(at, 7, colour.filled())))?
            }
            Arm::WithKey => {
                chart.draw_series(points().map(|at| Circle::new(at, 5, colour.filled())))?
            }
        };
        Ok(())
    }
}
