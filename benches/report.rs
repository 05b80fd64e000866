//! What a run has found: printed while it goes on, and written down as `docs/benchmarks.md` at the end.

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::growth::Point;

/// Where everything of a whole run is written.
const PAGE: &str = "docs/benchmarks.md";
/// Its picture, beside it.
const PICTURE: &str = "docs/images/growth.svg";

/// The page that a run writes.
pub struct Report {
    text: String,
    /// What the machine had done with its time when the run began.
    before: Ticks,
}

impl Report {
    /// Begins a run.
    pub fn begin() -> Result<Self> {
        Ok(Self {
            text: String::new(),
            before: Ticks::now()?,
        })
    }

    /// Begins a section, in which tables follow.
    pub fn section(&mut self, title: &str, words: &str) {
        self.say(&format!("\n## {title}\n\n{words}"));
    }

    /// Begins a table.
    pub fn table(&mut self, heads: &[&str]) {
        let rule = vec!["---"; heads.len()].join(" | ");
        self.say(&format!("\n| {} |\n| {rule} |", heads.join(" | ")));
    }

    /// A figure, and what is asked of it; an empty bound where nothing is.
    pub fn row(&mut self, what: &str, figure: impl Display, bound: &str) {
        self.cells(&[what, &figure.to_string(), bound]);
    }

    /// A line of a table.
    pub fn cells(&mut self, cells: &[&str]) {
        self.say(&format!("| {} |", cells.join(" | ")));
    }

    fn say(&mut self, text: &str) {
        println!("{text}");
        let _ = writeln!(self.text, "{text}");
    }

    /// Writes the page, and the picture of how things grow.
    pub fn write(&self, engine: &str, points: &[Point]) -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = format!(
            "# Benchmarks\n\n`make bench` has written this page: every figure is of one run. Whatever is compared was measured in turns on \
             the same\nengine in the same minutes, so that a ratio holds although the machine's speed does not.\n\n{}\n{}\n\
             ![What an event costs and what is resident, by the number of tasks](images/growth.svg)\n",
            machine(engine, Ticks::now()?.stolen_since(&self.before))?,
            self.text,
        );
        std::fs::write(root.join(PICTURE), super::growth::picture(points)).context(PICTURE)?;
        std::fs::write(root.join(PAGE), page).context(PAGE)?;
        println!("\nwritten: {PAGE}, {PICTURE}");
        Ok(())
    }
}

/// Time of all CPUs, in hundredths of a second.
struct Ticks {
    all: f64,
    /// When they were ready, and somebody else's machine ran on them.
    stolen: f64,
}

impl Ticks {
    /// As the kernel counts it since it was started: the first line of `/proc/stat`, see proc(5).
    fn now() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat")?;
        let fields: Vec<f64> = line
            .split_whitespace()
            .skip(1)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        // Time of guests, which follows, is counted with the first two already.
        let own = fields.get(..8).context("/proc/stat")?;
        Ok(Self {
            all: own.iter().sum(),
            stolen: own[7],
        })
    }

    /// In percent.
    fn stolen_since(&self, before: &Self) -> f64 {
        100.0 * (self.stolen - before.stolen) / (self.all - before.all).max(1.0)
    }
}

/// What it ran on.
fn machine(engine: &str, stolen: f64) -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once([':', '=']));
        value.map_or_else(String::new, |(_, value)| {
            value.trim().trim_matches('"').to_owned()
        })
    };
    let cpu = field(&read("/proc/cpuinfo")?, "model name");
    let memory_kib: u64 = field(&read("/proc/meminfo")?, "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .context("MemTotal")?;
    let system = field(&read("/etc/os-release")?, "PRETTY_NAME");
    let kernel = read("/proc/sys/kernel/osrelease")?;
    let compiler = said("rustc", &["--version"]).unwrap_or_default();
    let commit = said("git", &["describe", "--always", "--dirty"]).unwrap_or_default();
    let cpus = std::thread::available_parallelism()?;
    Ok(format!(
        "Machine: {cpus} CPUs ({cpu}), {} GiB of memory; others on the same hardware took {stolen:.0} % of its time during the run. {system}, Linux {},\n\
         {engine}, {compiler}, Neargate {commit}.\n",
        memory_kib.div_ceil(1_048_576),
        kernel.trim(),
    ))
}

/// The first line that a program prints; `None` where there is no such program, or it fails.
pub fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next()?.trim().to_owned();
    output.status.success().then_some(line)
}
