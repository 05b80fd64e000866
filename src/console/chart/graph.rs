//! What depends on what: boxes in layers from left to right, with arrows from what comes first to what waits for it.

use super::{Canvas, Svg, Tenths, short};

/// The most boxes that are drawn; a task has 10 containers at most.
const MOST_NODES: usize = 40;
/// A box and the gaps between boxes, in units.
const BOX: (u64, u64) = (150, 44);
const GAP: (u64, u64) = (100, 16);
const MARGIN: u64 = 4;
/// How many characters a box and an arrow have room for.
const NAME: usize = 18;
const LABEL: usize = 11;

/// A box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Node {
    /// What it is called.
    pub(in crate::console) name: String,
    /// What stands below that.
    pub(in crate::console) note: String,
    /// The class of its colour: a word of this program, never of a user.
    pub(in crate::console) class: &'static str,
}

/// An arrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Edge {
    /// The place of the box that comes first.
    pub(in crate::console) from: usize,
    /// The place of the box that waits for it.
    pub(in crate::console) to: usize,
    /// What for.
    pub(in crate::console) label: String,
}

/// What depends on what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::console) struct Graph {
    /// What it is called.
    pub(in crate::console) title: String,
    /// The boxes.
    pub(in crate::console) nodes: Vec<Node>,
    /// The arrows. One to or from a box that there is not is left out.
    pub(in crate::console) edges: Vec<Edge>,
}

impl Graph {
    /// The picture.
    pub(in crate::console) fn draw(&self) -> Svg {
        let nodes = &self.nodes[..self.nodes.len().min(MOST_NODES)];
        let edges: Vec<&Edge> = self
            .edges
            .iter()
            .filter(|edge| edge.from < nodes.len() && edge.to < nodes.len() && edge.from != edge.to)
            .take(MOST_NODES * MOST_NODES)
            .collect();
        let places = places(nodes.len(), &edges);
        let columns = places.iter().map(|place| place.0 + 1).max().unwrap_or(1);
        let rows = places.iter().map(|place| place.1 + 1).max().unwrap_or(1);
        let extent = |count: u64, size: u64, gap: u64| count * (size + gap) - gap + 2 * MARGIN;
        let width = extent(columns, BOX.0, GAP.0);
        let height = extent(rows, BOX.1, GAP.1);
        let mut canvas = Canvas::new(
            "graph",
            width,
            height,
            &self.title,
            &described(nodes, &edges),
        );
        for edge in &edges {
            arrow(&mut canvas, places[edge.from], places[edge.to], &edge.label);
        }
        for (node, place) in nodes.iter().zip(&places) {
            let (x, y) = corner(*place);
            let says = format!("{}: {}", node.name, node.note);
            let size = (Tenths(BOX.0 * 10), Tenths(BOX.1 * 10));
            canvas.rect(
                &format!("node node-{}", node.class),
                (Tenths(x), Tenths(y)),
                size,
                &says,
            );
            let middle = x + BOX.0 * 5;
            canvas.words(
                "name",
                "middle",
                (Tenths(middle), Tenths(y + 190)),
                &short(&node.name, NAME),
            );
            canvas.words(
                "note",
                "middle",
                (Tenths(middle), Tenths(y + 350)),
                &short(&node.note, NAME + 4),
            );
        }
        canvas.finish()
    }
}

/// The upper left corner of the box at that place, in tenths.
fn corner((column, row): (u64, u64)) -> (u64, u64) {
    let x = MARGIN + column * (BOX.0 + GAP.0);
    let y = MARGIN + row * (BOX.1 + GAP.1);
    (x * 10, y * 10)
}

/// A curve from the right side of one box to the left side of the other, with its point and its words.
fn arrow(canvas: &mut Canvas, from: (u64, u64), to: (u64, u64), label: &str) {
    let ((from_x, from_y), (to_x, to_y)) = (corner(from), corner(to));
    let (start_x, start_y) = (from_x + BOX.0 * 10, from_y + BOX.1 * 5);
    let (end_x, end_y) = (to_x, to_y + BOX.1 * 5);
    let bend = GAP.0 * 4;
    let tip = end_x.saturating_sub(70);
    canvas.raw(format_args!(
        "<path class=\"edge\" fill=\"none\" d=\"M{} {} C{} {} {} {} {} {}\"/>",
        Tenths(start_x),
        Tenths(start_y),
        Tenths(start_x + bend),
        Tenths(start_y),
        Tenths(tip.saturating_sub(bend)),
        Tenths(end_y),
        Tenths(tip),
        Tenths(end_y)
    ));
    canvas.raw(format_args!(
        "<polygon class=\"tip\" points=\"{},{} {},{} {},{}\"/>",
        Tenths(end_x),
        Tenths(end_y),
        Tenths(tip),
        Tenths(end_y.saturating_sub(40)),
        Tenths(tip),
        Tenths(end_y + 40)
    ));
    let words = (
        Tenths(end_x.saturating_sub(GAP.0 * 5)),
        Tenths(u64::midpoint(start_y, end_y).saturating_sub(50)),
    );
    canvas.words("note", "middle", words, &short(label, LABEL));
}

/// The layer and the row of each box: a box stands to the right of all that it waits for. Circles, which no definition
/// can have, end where the number of boxes does.
fn places(count: usize, edges: &[&Edge]) -> Vec<(u64, u64)> {
    let mut layers = vec![0_u64; count];
    for _ in 1..count.max(1) {
        for edge in edges {
            layers[edge.to] = layers[edge.to]
                .max(layers[edge.from] + 1)
                .min(count as u64 - 1);
        }
    }
    let mut rows = vec![0_u64; count];
    layers
        .into_iter()
        .map(|layer| {
            // There are at most as many layers as boxes.
            let index = usize::try_from(layer).unwrap_or_default().min(count - 1);
            let row = rows[index];
            rows[index] += 1;
            (layer, row)
        })
        .collect()
}

fn described(nodes: &[Node], edges: &[&Edge]) -> String {
    let mut said: Vec<String> = nodes
        .iter()
        .map(|node| format!("{}: {}", node.name, node.note))
        .collect();
    said.extend(edges.iter().map(|edge| {
        format!(
            "{} waits for {} ({})",
            nodes[edge.to].name, nodes[edge.from].name, edge.label
        )
    }));
    if said.is_empty() {
        return "There is nothing in it.".to_owned();
    }
    format!("{}.", said.join("; "))
}
