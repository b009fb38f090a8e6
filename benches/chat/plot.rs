//! Deliveries per second and memory over the number of clients, drawn as SVG.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use hushd_load::scenario;

use crate::contestants::Contestant;

const CLIENTS: [usize; 5] = [100, 500, 2_000, 7_000, 19_000];
const TALKERS: usize = 50;
const COLOURS: [&str; 7] = [
    "#8a8f98", "#d6336c", "#bfc4cc", "#2f6fde", "#2b8a3e", "#e8820c", "#7048c8",
];
const WIDTH: f64 = 790.0;
const HEIGHT: f64 = 420.0;

/// One curve: what was measured at each number of clients that the server could serve.
struct Curve<'a> {
    name: &'a str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// Measures all `contestants` and writes `deliveries.svg` and `memory.svg` into `directory`.
pub(crate) fn draw(directory: &Path, contestants: &[Contestant], load_on: usize) -> io::Result<()> {
    let curve = |(contestant, colour)| Curve {
        name: Contestant::name(contestant),
        colour,
        points: Vec::new(),
    };
    let mut deliveries: Vec<_> = contestants.iter().zip(COLOURS).map(curve).collect();
    let mut memory: Vec<_> = contestants.iter().zip(COLOURS).map(curve).collect();
    for clients in CLIENTS {
        for (at, contestant) in contestants.iter().enumerate().take(COLOURS.len()) {
            let time = Duration::from_secs(1);
            let measured = contestant
                .start(load_on)
                .and_then(|server| scenario::many(&mut server.load()?, clients, TALKERS, time));
            match measured {
                Ok(measured) if measured.faults.none() => {
                    deliveries[at]
                        .points
                        .push((clients as f64, measured.rate()));
                    let bytes = measured.memory.unwrap_or(0) as f64;
                    memory[at]
                        .points
                        .push((clients as f64, bytes / 1_048_576.0));
                }
                Ok(measured) => {
                    eprintln!("{} with {clients}: {}", contestant.name(), measured.faults)
                }
                Err(error) => eprintln!("{} with {clients}: {error}", contestant.name()),
            }
        }
    }
    fs::create_dir_all(directory)?;
    let title = format!("Deliveries per second, {TALKERS} clients talking, one core");
    fs::write(directory.join("deliveries.svg"), svg(&title, &deliveries))?;
    fs::write(
        directory.join("memory.svg"),
        svg("Memory of the server with idle clients, MiB", &memory),
    )
}

/// Both axes are logarithmic.
fn svg(title: &str, curves: &[Curve<'_>]) -> String {
    let (left, right, top, bottom) = (64.0, WIDTH - 220.0, 48.0, HEIGHT - 48.0);
    let values = curves
        .iter()
        .flat_map(|curve| &curve.points)
        .map(|&(_, value)| value.max(1e-3).log10());
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    let (least, most) = (least.floor(), most.ceil().max(least.floor() + 1.0));
    let (few, lots) = (
        (CLIENTS[0] as f64).log10(),
        (CLIENTS[CLIENTS.len() - 1] as f64).log10(),
    );
    let x = |clients: f64| left + (clients.log10() - few) / (lots - few) * (right - left);
    let y =
        |value: f64| bottom - (value.max(1e-3).log10() - least) / (most - least) * (bottom - top);

    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='system-ui, sans-serif' \
         font-size='13'>\n<title>{title}</title>\n<style>text {{ fill: #333 }} .grid {{ stroke: #ddd }} .paper {{ fill: \
         #fff }} @media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} .grid {{ stroke: #3a3a3a }} .paper {{ \
         fill: #161616 }} }}</style>\n<rect class='paper' width='{WIDTH}' height='{HEIGHT}'/>\n\
         <text x='{left}' y='26' font-size='16'>{title}</text>\n"
    );
    // Writing to a string does not fail.
    for decade in least as i32..=most as i32 {
        let (value, at) = (10_f64.powi(decade), y(10_f64.powi(decade)));
        let _ = writeln!(svg, "<path class='grid' d='M{left} {at:.1}H{right}'/>");
        let _ = writeln!(
            svg,
            "<text x='{}' y='{:.1}' text-anchor='end'>{}</text>",
            left - 8.0,
            at + 4.0,
            short(value)
        );
    }
    for clients in CLIENTS {
        let at = x(clients as f64);
        let _ = writeln!(svg, "<path class='grid' d='M{at:.1} {top}V{bottom}'/>");
        let _ = writeln!(
            svg,
            "<text x='{at:.1}' y='{}' text-anchor='middle'>{clients}</text>",
            bottom + 20.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x='{}' y='{}' text-anchor='middle'>clients</text>",
        (left + right) / 2.0,
        bottom + 40.0
    );

    let mut labels: Vec<_> = curves
        .iter()
        .filter_map(|curve| {
            curve
                .points
                .last()
                .map(|&(at, value)| (y(value), x(at), curve))
        })
        .collect();
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = top;
    for (label, _, curve) in labels {
        let points: Vec<_> = curve
            .points
            .iter()
            .map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value)))
            .collect();
        let width = if curve.name == "hushd" { 4 } else { 2 };
        let (line, colour) = (points.join(" "), curve.colour);
        let _ = writeln!(
            svg,
            "<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='{width}'/>"
        );
        let at = label.max(free);
        free = at + 16.0;
        let _ = writeln!(
            svg,
            "<text x='{}' y='{:.1}' style='fill:{colour}'>{}</text>",
            right + 10.0,
            at + 4.0,
            curve.name
        );
    }
    svg + "</svg>\n"
}

/// 1000000 as 1M.
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", value / 1e6),
        1e3.. => format!("{}k", value / 1e3),
        _ => value.to_string(),
    }
}
