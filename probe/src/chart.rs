//! The chart: cached share by turn, for both arms.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::summary::Summary;

/// Half way between black and white, with a contrast of over 4 to each: there is no background, so
/// that the chart fits a light page and a dark one.
const INK: RGBColor = RGBColor(118, 118, 118);

/// The colours of the arms, of the same lightness and apart for every eye; their marks differ too.
const COLOURS: [RGBColor; 2] = [RGBColor(204, 102, 0), RGBColor(41, 121, 214)];

const FONT: &str = "sans-serif";

/// Draws the chart, as SVG.
pub(crate) fn draw(arms: &[Summary; 2], title: &str) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (720, 400)).into_drawing_area();
    let turns = arms
        .iter()
        .map(|arm| arm.tokens_by_turn.len())
        .max()
        .unwrap_or(0)
        .max(2);
    let last = u32::try_from(turns)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 17, &INK))
        .margin(12)
        .margin_right(110)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(1f64..f64::from(last), 0f64..100f64)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.35))
        .axis_style(INK)
        .label_style((FONT, 14, &INK))
        .axis_desc_style((FONT, 14, &INK))
        .x_labels(turns)
        .x_label_formatter(&|turn| format!("{turn:.0}"))
        .y_labels(6)
        .y_label_formatter(&|share| format!("{share:.0} %"))
        .x_desc("turn of the conversation")
        .y_desc("prompt tokens from cache")
        .draw()?;
    for (arm, colour) in arms.iter().zip(COLOURS) {
        let share = |(turn, share): (u32, Option<f64>)| Some((f64::from(turn), 100.0 * share?));
        let shares = arm.tokens_by_turn.iter().map(|tokens| tokens.share());
        let points: Vec<_> = (1..=last).zip(shares).filter_map(share).collect();
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(3)))?;
        match arm.arm {
            crate::conversation::Arm::WithKey => {
                chart.draw_series(points.iter().map(|p| Circle::new(*p, 5, colour.filled())))?;
            }
            crate::conversation::Arm::WithoutKey => {
                chart.draw_series(
                    points
                        .iter()
                        .map(|p| TriangleMarker::new(*p, 7, colour.filled())),
                )?;
            }
        }
        if let Some((turn, share)) = points.last() {
            let style = TextStyle::from((FONT, 15).into_font()).color(&colour);
            let style = style.pos(Pos::new(HPos::Left, VPos::Center));
            let at = chart.backend_coord(&(*turn, *share));
            root.draw(&Text::new(arm.arm.name(), (at.0 + 12, at.1), style))?;
        }
    }
    root.present()?;
    drop(chart);
    drop(root);
    Ok(svg)
}
