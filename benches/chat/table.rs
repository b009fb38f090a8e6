//! Medians, spreads and ratios, as a Markdown table.

use crate::jobs::{Figure, Job};

/// The rounds of one contestant: its figures, or why it has none.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) rounds: Vec<Result<Vec<f64>, String>>,
}

/// Prints one job's table. The first row is what ratios are taken to, round by round, since what
/// disturbs a machine disturbs neighbouring runs alike.
pub(crate) fn print(title: &str, figures: &[Figure], rows: &[Row]) {
    println!("\n### {title}\n");
    println!(
        "| server | {} |",
        figures
            .iter()
            .map(|figure| figure.name)
            .collect::<Vec<_>>()
            .join(" | ")
    );
    println!("|---|{}", "---|".repeat(figures.len()));
    for (at, row) in rows.iter().enumerate() {
        if let Some(Err(reason)) = row.rounds.iter().find(|round| round.is_err()) {
            println!(
                "| {} | {reason} |{}",
                row.name,
                " |".repeat(figures.len() - 1)
            );
            continue;
        }
        let cells = figures.iter().enumerate().map(|(column, figure)| {
            let values = row.column(column);
            let compared = if figure.ratio && at > 0 {
                rows.first()
            } else {
                None
            };
            let ratio = compared.map(|first| {
                median(
                    values
                        .iter()
                        .zip(first.column(column))
                        .map(|(value, first)| value / first)
                        .collect(),
                )
            });
            cell(values, figure.digits, ratio)
        });
        println!(
            "| {} | {} |",
            row.name,
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
}

/// Prints one table of all jobs: a row for each server, the median of one figure for each job.
pub(crate) fn summary(done: &[(&Job, Vec<Row>)]) {
    let Some((_, longest)) = done.iter().max_by_key(|(_, rows)| rows.len()) else {
        return;
    };
    let titles = done
        .iter()
        .map(|(job, _)| format!("{}: {}", job.name, job.figures[job.headline].name));
    println!("\n### summary\n");
    println!("| server | {} |", titles.collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(done.len()));
    for Row { name, .. } in longest {
        let cells = done.iter().map(|(job, rows)| {
            let row = rows
                .iter()
                .find(|row| row.name == *name && row.rounds.iter().all(Result::is_ok));
            let digits = job.figures[job.headline].digits;
            row.map_or("-".to_owned(), |row| {
                format!("{:.digits$}", median(row.column(job.headline)))
            })
        });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

impl Row {
    pub(crate) fn column(&self, column: usize) -> Vec<f64> {
        self.rounds
            .iter()
            .flatten()
            .map(|figures| figures[column])
            .collect()
    }
}

/// The median, half the distance between the extremes in percent, and the ratio.
fn cell(values: Vec<f64>, digits: usize, ratio: Option<f64>) -> String {
    let (least, most) = values
        .iter()
        .fold((f64::MAX, f64::MIN), |(least, most), &value| {
            (least.min(value), most.max(value))
        });
    let median = median(values);
    let mut cell = format!("{median:.digits$}");
    if median != 0.0 && most > least {
        cell += &format!(" ±{:.0}%", (most - least) / 2.0 / median.abs() * 100.0);
    }
    if let Some(ratio) = ratio.filter(|ratio| ratio.is_finite()) {
        cell += &format!(" **{ratio:.2}**");
    }
    cell
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}
