//! A measurement in a process of its own: asking for it, and making it.

use std::io::{BufRead, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_train::device;

use super::request::Request;
use super::row::Row;
use super::{attention, generation, segments, training};

/// Asks a new process of this program.
pub(super) fn in_a_process(request: &Request, device: &str) -> Result<Row> {
    let program = std::env::current_exe().context("where this program lies")?;
    let mut child = Command::new(program)
        .args(["bench-one", "--device", device])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a process to measure in")?;
    let line = serde_json::to_string(request)?;
    writeln!(child.stdin.take().expect("piped"), "{line}").map_err(|e| anyhow!("asking the process: {e}"))?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the measurement {line} ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("the answer to {line}"))
}

/// Measures what one line of input asks for and answers with one line.
///
/// # Errors
/// For a line that asks for nothing that can be measured.
pub fn serve(mut input: impl BufRead, mut output: impl Write, device: &str) -> Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let request = serde_json::from_str(&line).with_context(|| format!("not a request: {}", line.trim()))?;
    writeln!(output, "{}", serde_json::to_string(&measure(&request, device)?)?)?;
    Ok(())
}

fn measure(request: &Request, name: &str) -> Result<Row> {
    let device = device::parse(name)?;
    Ok(match request {
        Request::MatrixPeak => Row::Peak(attention::matrix_peak(&device)),
        Request::Attention { variant, direction, batch, heads, head_dim, seq_len, seconds } => {
            let shape = [*batch, *heads, *head_dim, *seq_len];
            Row::Attention(attention::measure(variant, *direction, shape, *seconds, name, &device)?)
        }
        Request::TrainStep { arm, batch, seq_len, model, seconds } => {
            Row::TrainStep(training::measure(arm, *model, *batch, *seq_len, *seconds, &device)?)
        }
        Request::Generate { arm, position, tokens, model } => {
            Row::Generate(generation::measure(arm, *model, *position, *tokens, &device)?)
        }
        Request::Segments { segments, replayed, seconds } => {
            Row::Segments(segments::measure(*segments, *replayed, *seconds, &device)?)
        }
    })
}
