//! The page: one self-contained HTML file without scripts.

use std::fmt::Write;

use anyhow::Result;

use super::figures::{accuracy_svg, excess_svg, learning_panels, loss_svg, ratio_panels};
use super::plot::colour;
use super::summary::{Ratio, Summary, level, losses_in_words, mean, tokens};
use crate::results::{CorpusFacts, Experiment, Line, Phase, Role, Status, Trial};

pub(crate) const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;max-width:1152px;margin:24px auto;\
padding:0 16px}h1{font-size:28px;margin:0 0 4px}h2{font-size:20px;margin:36px 0 8px}p{margin:6px 0}.facts,.note{color:#555}\
.note{font-size:14px}.headline{font-size:19px;border-left:5px solid #0072b2;padding:6px 14px;margin:16px 0;background:#f3f7fa}\
.partial{border-left:5px solid #d55e00;padding:4px 14px;background:#fdf3ec}.panels{display:flex;flex-wrap:wrap;gap:12px 16px}\
.wide{overflow-x:auto}svg{max-width:100%;height:auto;display:block}table{border-collapse:collapse;font-size:14px;\
font-variant-numeric:tabular-nums;margin:8px 0}th,td{padding:4px 12px 4px 0;text-align:right;border-bottom:1px solid #ddd;\
vertical-align:top}th{font-weight:600}th:first-child,td:first-child,.text{text-align:left}.swatch{display:inline-block;\
width:11px;height:11px;margin-right:7px}.best{font-weight:700;background:#eaf3f9}summary{cursor:pointer;font-weight:600;\
margin:10px 0}pre{background:#f6f6f6;padding:12px;overflow-x:auto;font-size:13px}";

/// The whole page.
pub(super) fn page(experiment: &Experiment, lines: &[Line], summary: &Summary) -> Result<String> {
    let mut page = String::new();
    let title = escape(&experiment.name);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    )?;
    facts(&mut page, experiment)?;
    writeln!(page, "<p class=\"headline\">{}</p>", escape(&summary.headline))?;
    state(&mut page, summary)?;
    let findings = summary.findings();
    if findings.len() > 1 {
        writeln!(page, "<details open><summary>Further comparisons</summary><ul>")?;
        for finding in findings.iter().skip(1) {
            writeln!(page, "<li>{}</li>", escape(finding))?;
        }
        writeln!(page, "</ul></details>")?;
    }

    writeln!(page, "<h2>Loss against unique data</h2>\n{}", loss_svg(experiment, lines, summary)?)?;
    writeln!(
        page,
        "<p class=\"note\">Lines: mean over seeds; circles: single seeds; bands: from the lowest to the highest seed. Each \
         run was trained to its own early stop on the tuning split or the end of its schedule; {}{}</p>",
        if summary.search {
            "this is a search: the test split is untouched, and half of the tuning split, which no run was stopped by, stands in."
        } else {
            "the test split was read once, at the end."
        },
        if summary.fits.is_empty() {
            ""
        } else {
            " Dotted: the law L(D) = E + B·D<sup>−β</sup> fitted to the means."
        }
    )?;
    if let Some(svg) = excess_svg(experiment, lines, summary)? {
        writeln!(page, "{svg}")?;
    }
    losses(&mut page, experiment, summary)?;
    accuracies(&mut page, experiment, summary)?;
    ratios(&mut page, experiment, summary)?;

    writeln!(page, "<h2>Learning curves</h2>\n<div class=\"panels\">")?;
    for svg in learning_panels(experiment, lines)? {
        writeln!(page, "{svg}")?;
    }
    writeln!(
        page,
        "</div>\n<p class=\"note\">Loss on the tuning split during the final runs: mean and range over seeds, drawn as long \
         as more than half of the seeds still train.</p>"
    )?;
    arms(&mut page, experiment, summary)?;
    if experiment.trials.len() > 1 {
        tuning(&mut page, experiment, lines)?;
    }
    writeln!(
        page,
        "<details><summary>Machine, commit, configuration</summary>\n<p>Machine: {}<br>Commit: {}</p>\n<pre>{}</pre></details>\n\
         </body></html>",
        escape(&experiment.machine),
        escape(&experiment.commit),
        escape(&serde_json::to_string_pretty(&experiment.config)?)
    )?;
    Ok(page)
}

fn facts(page: &mut String, experiment: &Experiment) -> Result<()> {
    let corpus = &experiment.corpus;
    let entropy = corpus.entropy.map_or(String::new(), |entropy| format!(", entropy {entropy:.4} nats per token"));
    let test = match corpus.examples {
        true => "examples; answers are entries".into(),
        false => {
            let CorpusFacts { test_documents, bytes_per_token, .. } = corpus;
            format!("tokens ({test_documents} documents, {bytes_per_token:.2} bytes per token{entropy})")
        }
    };
    writeln!(
        page,
        "<p class=\"facts\">{} · tokenizer: {}, {} entries · train {}, tuning {}, test {} {test} · context {}, batch {} · {} \
         seed{}</p>",
        escape(&corpus.name),
        escape(&corpus.tokenizer),
        corpus.vocabulary,
        tokens(corpus.train_tokens as f64),
        tokens(corpus.tuning_tokens as f64),
        tokens(corpus.test_tokens as f64),
        experiment.context,
        experiment.batch,
        experiment.seeds.len(),
        if experiment.seeds.len() == 1 { "" } else { "s" }
    )?;
    for note in &corpus.notes {
        writeln!(page, "<p class=\"note\">Note on the data: {}.</p>", escape(note))?;
    }
    Ok(())
}

/// How many runs are done, and how many diverged.
fn state(page: &mut String, summary: &Summary) -> Result<()> {
    let ([done, all], [tuned, tune]) = (summary.final_runs, summary.tuning_runs);
    let diverged: usize = summary.arms.iter().flat_map(|arm| &arm.sizes).map(|size| size.diverged).sum();
    let class = if done < all || diverged > 0 { "partial" } else { "facts" };
    write!(page, "<p class=\"{class}\">{done} of {all} final runs done, ")?;
    match tune {
        0 => write!(page, "nothing was tuned: the grid has one point.")?,
        _ => write!(page, "{tuned} of {tune} tuning runs.")?,
    }
    if done < all {
        write!(page, " What follows is from these alone.")?;
    }
    if diverged > 0 {
        write!(page, " {diverged} diverged: no test loss, so they and their pairs are in no mean or interval.")?;
    }
    writeln!(page, "</p>")?;
    for doubt in summary.doubts() {
        writeln!(page, "<p class=\"partial\">{}</p>", escape(&doubt))?;
    }
    Ok(())
}

/// Head of a table with a column for each size.
fn header(first: &str, experiment: &Experiment) -> String {
    let sizes = experiment.sizes.iter().map(|&size| format!("<th>{}</th>", tokens(size as f64)));
    format!("<tr><th>{first}</th>{}</tr>", sizes.collect::<String>())
}

fn losses(page: &mut String, experiment: &Experiment, summary: &Summary) -> Result<()> {
    let heading = if summary.search { "Losses on what stands in for the test" } else { "Test losses" };
    writeln!(page, "<h2>{heading}</h2>\n<div class=\"wide\"><table>{}", header("arm", experiment))?;
    for (index, arm) in summary.arms.iter().enumerate() {
        write!(page, "<tr><td>{}</td>", swatch(index, &arm.name))?;
        for size in &arm.sizes {
            let n = size.test_losses.len();
            let seeds = if n == 1 { "seed" } else { "seeds" };
            let loss = losses_in_words(&size.test_losses).unwrap_or("–".into());
            let diverged = if size.diverged > 0 { format!(", {} diverged", size.diverged) } else { String::new() };
            write!(page, "<td>{loss}<br><span class=\"note\">{n} {seeds}{diverged}</span></td>")?;
        }
        writeln!(page, "</tr>")?;
        if arm.sizes.iter().any(|size| !size.without_carry.is_empty()) {
            write!(page, "<tr><td class=\"note\">each window anew</td>")?;
            for size in &arm.sizes {
                write!(page, "<td>{}</td>", losses_in_words(&size.without_carry).unwrap_or("–".into()))?;
            }
            writeln!(page, "</tr>")?;
        }
    }
    writeln!(
        page,
        "</table></div>\n<p class=\"note\">{}, mean ± standard deviation over seeds, by unique training {}.</p>",
        experiment.corpus.per().replacen('n', "N", 1),
        experiment.corpus.unit()
    )?;
    if summary.differences.is_empty() {
        return Ok(());
    }
    writeln!(page, "<div class=\"wide\"><table>{}", header("difference at equal data", experiment))?;
    let mut pairs: Vec<(&str, &str)> =
        summary.differences.iter().map(|d| (d.arm.as_str(), d.baseline.as_str())).collect();
    pairs.dedup();
    for (arm, baseline) in pairs {
        write!(page, "<tr><td>{} − {}</td>", escape(arm), escape(baseline))?;
        for &size in &experiment.sizes {
            let own = |d: &&super::Difference| (d.arm.as_str(), d.baseline.as_str(), d.tokens) == (arm, baseline, size);
            let cell = summary.differences.iter().find(own).map_or("–".into(), |d| {
                let interval = d.value.interval.map_or("no interval".into(), |[l, h]| format!("{l:+.3} to {h:+.3}"));
                format!("{:+.3}<br><span class=\"note\">{interval}</span>", d.value.estimate)
            });
            write!(page, "<td>{cell}</td>")?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(
        page,
        "</table></div>\n<p class=\"note\">{} over paired seeds; below 0 favours the arm named first. Small: 95 % interval, not \
         corrected for the number of comparisons.</p>",
        experiment.corpus.per().replacen('n', "N", 1)
    )?;
    Ok(())
}

/// Share of right answers, where the data are examples.
fn accuracies(page: &mut String, experiment: &Experiment, summary: &Summary) -> Result<()> {
    let Some(svg) = accuracy_svg(experiment, summary)? else { return Ok(()) };
    writeln!(page, "<h2>Accuracy</h2>\n{svg}\n<div class=\"wide\"><table>{}", header("arm", experiment))?;
    for (index, arm) in summary.arms.iter().enumerate() {
        write!(page, "<tr><td>{}</td>", swatch(index, &arm.name))?;
        for size in &arm.sizes {
            write!(page, "<td>{}</td>", size.accuracy_in_words().unwrap_or("–".into()))?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(
        page,
        "</table></div>\n<p class=\"note\">Per cent of test answers that are right (of SCAN: of commands whose every action \
         is), mean ± standard deviation over seeds, by unique training examples.</p>"
    )?;
    Ok(())
}

fn ratios(page: &mut String, experiment: &Experiment, summary: &Summary) -> Result<()> {
    writeln!(page, "<h2>Data efficiency</h2>")?;
    if summary.ratios.is_empty() {
        let why = if experiment.sizes.len() < 2 {
            "One size of data gives no ratio: it takes at least two."
        } else {
            "No loss lies inside the measured range of two arms yet; nothing is extrapolated."
        };
        writeln!(page, "<p>{why}</p>")?;
        return Ok(());
    }
    for (_, svg) in ratio_panels(experiment, summary)? {
        writeln!(page, "{svg}")?;
    }
    writeln!(
        page,
        "<p class=\"note\">r(L) = D(compared with) / D(arm): how many times more unique data the other needs to reach the \
         same test loss L, read off inside the measured range only. Bars: 95 % intervals from {} bootstrap resamples of seeds \
         and of test documents, the same for both arms, widened for few seeds (Student's t).</p>",
        crate::statistics::REPLICATES
    )?;
    writeln!(
        page,
        "<details><summary>All {} ratios</summary><div class=\"wide\"><table><tr><th>arm</th><th class=\"text\">compared \
         with</th><th>loss</th><th>r</th><th>95 % interval</th><th>Holm p</th><th>censored</th></tr>",
        summary.ratios.len()
    )?;
    for Ratio { arm, baseline, loss, value, p_holm } in &summary.ratios {
        let interval = value.interval.map_or("–".into(), |[low, high]| format!("{low:.2} to {high:.2}"));
        let p = p_holm.map_or("–".into(), |p| if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") });
        let index = experiment.arms.iter().position(|facts| facts.name == *arm).unwrap_or(0);
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td>{:.3}</td><td>{interval}</td><td>{p}</td>\
             <td>{:.1} %</td></tr>",
            swatch(index, arm),
            escape(baseline),
            level(*loss),
            value.estimate,
            100.0 * value.censored
        )?;
    }
    writeln!(
        page,
        "</table></div><p class=\"note\">Holm p: of r = 1, corrected over all these ratios. Censored: resamples in which the \
         loss fell outside a measured range and counted with its end; above 2.5 % the interval may in truth reach \
         further.</p></details>"
    )?;
    if !summary.fits.is_empty() {
        writeln!(
            page,
            "<details><summary>Fitted laws L(D) = E + B·D<sup>−β</sup></summary><table><tr><th>arm</th><th>E</th><th>B</th>\
             <th>β</th><th>residual</th></tr>"
        )?;
        for law in &summary.fits {
            let fit = &law.fit;
            writeln!(
                page,
                "<tr><td>{}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td><td>{:.4}</td></tr>",
                escape(&law.arm),
                fit.floor,
                fit.scale,
                fit.exponent,
                fit.residual
            )?;
        }
        writeln!(page, "</table></details>")?;
    }
    Ok(())
}

fn arms(page: &mut String, experiment: &Experiment, summary: &Summary) -> Result<()> {
    let counted = experiment.arms.iter().any(|arm| arm.joules_per_million_tokens.is_some());
    writeln!(
        page,
        "<h2>Arms</h2>\n<div class=\"wide\"><table><tr><th>arm</th><th class=\"text\">role</th><th>parameters</th>\
         <th>state, bytes</th><th>FLOPs/token</th>{}<th>tokens/s</th>",
        if counted { "<th>J per million tokens</th>" } else { "" }
    )?;
    for &size in &experiment.sizes {
        write!(page, "<th>rate, decay, steps at {}</th>", tokens(size as f64))?;
    }
    writeln!(page, "</tr>")?;
    for (index, (facts, arm)) in experiment.arms.iter().zip(&summary.arms).enumerate() {
        let role = match arm.role {
            Role::Baseline => "baseline",
            Role::Astrocytic => "astrocytic",
            Role::Control => "control",
            Role::Calibration => "calibration",
        };
        write!(
            page,
            "<tr><td>{}<br><span class=\"note\">{}</span></td><td class=\"text\">{role}</td><td>{}</td><td>{}</td><td>{}</td>\
             {}<td>{}</td>",
            swatch(index, &arm.name),
            escape(&facts.description),
            thousands(arm.parameters),
            thousands(arm.state_bytes),
            tokens(arm.flops_per_token),
            match (counted, facts.joules_per_million_tokens) {
                (true, Some(joules)) => format!("<td>{joules:.0}</td>"),
                (true, None) => "<td>–</td>".into(),
                (false, _) => String::new(),
            },
            arm.tokens_per_second.map_or("–".into(), |speed| thousands(speed.round() as u64))
        )?;
        for size in &arm.sizes {
            let chosen =
                size.trial.map_or("–".into(), |t| format!("{}, {}, {}", t.learning_rate, t.weight_decay, t.schedule));
            write!(page, "<td>{chosen}</td>")?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(
        page,
        "</table></div>\n<p class=\"note\">State: for generation at the end of a context, of encoders what is kept until the answer, f32. FLOPs: forward. {} Tokens/s: \
         median over runs, training. Rate, decay and steps of the schedule: {}.</p>",
        if counted {
            "J: of the whole machine, by its own counters, training on one thread with nothing else of this experiment running."
        } else {
            "Energy was not measured; FLOPs stand for it."
        },
        match experiment.trials.len() {
            1 => "the same for all arms, not tuned",
            _ => "chosen on the tuning split, each arm from the same grid",
        }
    )?;
    Ok(())
}

/// Mean tuning loss of every pair of rates; the best of each arm and size stands out.
fn tuning(page: &mut String, experiment: &Experiment, lines: &[Line]) -> Result<()> {
    writeln!(
        page,
        "<details><summary>Tuning: mean loss on the tuning split by learning rate, weight decay, steps</summary>\
         <div class=\"wide\"><table><tr><th>arm</th><th>tokens</th>"
    )?;
    for Trial { learning_rate, weight_decay, schedule } in &experiment.trials {
        write!(page, "<th>{learning_rate}, {weight_decay}, {schedule}</th>")?;
    }
    writeln!(page, "</tr>")?;
    for (index, arm) in experiment.arms.iter().enumerate() {
        for &size in &experiment.sizes {
            let losses: Vec<Option<f64>> = experiment
                .trials
                .iter()
                .map(|trial| {
                    let own = lines.iter().filter_map(|line| match line {
                        Line::Result { cell, status, tuning_loss, .. }
                            if cell.phase == Phase::Tune
                                && (cell.arm.as_str(), cell.size) == (arm.name.as_str(), size)
                                && cell.trial == *trial =>
                        {
                            Some(if *status == Status::Finished { *tuning_loss } else { f64::INFINITY })
                        }
                        _ => None,
                    });
                    mean(&own.collect::<Vec<_>>())
                })
                .collect();
            let best = losses.iter().flatten().copied().reduce(f64::min).filter(|loss| loss.is_finite());
            write!(page, "<tr><td>{}</td><td>{}</td>", swatch(index, &arm.name), tokens(size as f64))?;
            for loss in losses {
                let class = if loss.is_some() && loss == best { " class=\"best\"" } else { "" };
                let text = match loss {
                    Some(loss) if loss.is_finite() => format!("{loss:.3}"),
                    Some(_) => "diverged".into(),
                    None => "–".into(),
                };
                write!(page, "<td{class}>{text}</td>")?;
            }
            writeln!(page, "</tr>")?;
        }
    }
    writeln!(page, "</table></div></details>")?;
    Ok(())
}

fn swatch(arm: usize, name: &str) -> String {
    let colour = colour(arm);
    format!(
        "<span class=\"swatch\" style=\"background:#{:02x}{:02x}{:02x}\"></span>{}",
        colour.0,
        colour.1,
        colour.2,
        escape(name)
    )
}

/// 1,234,567.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
