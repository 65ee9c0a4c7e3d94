//! Plots as SVG: lines with bands, points and intervals on linear or logarithmic axes.

mod axis;
mod draw;
mod look;
mod series;

pub(crate) use axis::{Axis, plain};
pub(crate) use draw::Plot;
pub(crate) use look::{Marker, Pattern, colour, marker};
pub(crate) use series::Series;
