//! Everything that is derived from a study's stored lines.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::figures::{loss_svg, ratio_svg};
use super::order::in_order;
use super::page::study;
use super::save::{save, save_json};
use super::solved_figure::solved_svg;
use super::summarize::{conclude, figures};
use super::summary::Summary;
use super::{calibration, tables, tensorboard};
use crate::results::{Experiment, Line};

/// What a study stored, and where.
pub(crate) struct Stored {
    /// Its name; of a comparison that stands alone, none.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) experiment: Experiment,
    pub(crate) lines: Vec<Line>,
}

/// Writes `report.html`, `results.json`, `results.csv`, `loss.svg` (`solved.svg` where runs are
/// solved or not), `ratio.svg` (if there are ratios) and the final runs' curves for TensorBoard into the folder, each file as a whole or not
/// at all.
///
/// # Errors
/// If the folder cannot be written, and for lines of an arm or size that the study does not have.
pub fn write(folder: &Path, experiment: &Experiment, lines: &[Line]) -> Result<Summary> {
    let (name, folder) = (String::new(), folder.to_path_buf());
    let alone = Stored { name, folder, experiment: experiment.clone(), lines: lines.to_vec() };
    Ok(write_all(vec![alone], [0, 0])?.0.swap_remove(0))
}

/// The same for the studies of a file, whose comparisons are corrected together, counting `waiting`
/// of studies that have not begun; and `results.csv` of all of them.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_all(mut studies: Vec<Stored>, waiting: [usize; 2]) -> Result<(Vec<Summary>, Vec<u8>)> {
    for study in &mut studies {
        study.lines = in_order(&study.experiment, &study.lines)?;
    }
    let mut summaries: Vec<Summary> =
        studies.iter().map(|Stored { experiment, lines, .. }| figures(experiment, lines)).collect();
    conclude(&mut summaries, waiting);
    for (stored, summary) in studies.iter().zip(&mut summaries) {
        stored.write(summary)?;
        summary.report = stored.folder.join("report.html").display().to_string();
    }
    let rows = studies.iter().zip(&summaries);
    let rows: Vec<_> = rows.map(|(s, summary)| (s.name.as_str(), &s.experiment, &s.lines[..], summary)).collect();
    let table = tables::results(&rows)?;
    Ok((summaries, table))
}

impl Stored {
    fn write(&self, summary: &Summary) -> Result<()> {
        let Self { name, folder, experiment, lines } = self;
        save(folder, "results.csv", &tables::results(&[(name, experiment, lines, summary)])?)?;
        match &summary.solved {
            Some(solved) => save(folder, "solved.svg", solved_svg(experiment, solved)?.as_bytes())?,
            None => save(folder, "loss.svg", loss_svg(experiment, lines, summary)?.as_bytes())?,
        }
        if let Some(svg) = ratio_svg(experiment, summary)? {
            save(folder, "ratio.svg", svg.as_bytes())?;
        }
        save(
            folder,
            "report.html",
            study(name, experiment, lines, summary, &calibration::stored(folder)?)?.as_bytes(),
        )?;
        tensorboard::write_finals(&folder.join("tensorboard"), lines)?;
        save_json(folder, "results.json", summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summarize::summarize;
    use crate::report::summary::Verdict;
    use crate::report::synthetic::{quick, standard};
    use crate::report::{load, save_experiment};
    use crate::results::Status;

    const FILES: [&str; 5] = ["report.html", "results.json", "results.csv", "loss.svg", "ratio.svg"];

    fn stored(folder: &Path, lines: &[Line]) {
        let text: String = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
        std::fs::write(folder.join("lines.jsonl"), text).unwrap();
    }

    #[test]
    fn what_is_stored_comes_back_and_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, lines) = quick();
        save_experiment(folder.path(), &experiment).unwrap();
        assert!(load(folder.path()).unwrap().1.is_empty());
        stored(folder.path(), &lines);
        assert_eq!(load(folder.path()).unwrap(), (experiment.clone(), lines.clone()));
        let summary = write(folder.path(), &experiment, &lines).unwrap();
        let read = |name: &&str| std::fs::read(folder.path().join(name)).unwrap();
        let first: Vec<Vec<u8>> = FILES.iter().map(read).collect();
        // Workers finish in any order.
        let mut shuffled = lines.clone();
        shuffled.reverse();
        let is_result = |line: &Line| matches!(line, Line::Result { .. });
        shuffled.sort_by_key(is_result);
        write(folder.path(), &experiment, &shuffled).unwrap();
        assert!(first == FILES.iter().map(read).collect::<Vec<_>>());
        let json: Summary = serde_json::from_slice(&read(&"results.json")).unwrap();
        assert_eq!((&json.headline, json.report.as_str()), (&summary.headline, "report.html"));
        assert_eq!((&json.arms, &json.ratios), (&summary.arms, &summary.ratios));
        let json: serde_json::Value = serde_json::from_slice(&read(&"results.json")).unwrap();
        assert!(json["ratios"][0]["interval"][1].is_f64() && json["arms"][2]["sizes"][1]["test_losses"][2].is_f64());
    }

    #[test]
    fn the_page_names_every_arm_and_needs_nothing_from_outside() {
        let folder = tempfile::tempdir().unwrap();
        let (mut experiment, lines) = standard();
        experiment.arms[1].description = "a <b> & \"c\"".into();
        let summary = write(folder.path(), &experiment, &lines).unwrap();
        let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        for arm in &experiment.arms {
            assert!(page.contains(&arm.name), "{}", arm.name);
        }
        assert!(page.contains("a &lt;b&gt; &amp; &quot;c&quot;") && !page.contains("a <b>"));
        for outside in ["<script", "<link", "src=", "@import", "url(", "href=\"http"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains(summary.headline.split(' ').next().unwrap()));
        assert!(!page.contains("NaN"));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }

    #[test]
    fn a_report_is_made_of_whatever_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, lines) = standard();
        for keep in [0, 1, 40, lines.len() / 2, lines.len() - 7] {
            let summary = write(folder.path(), &experiment, &lines[..keep]).unwrap();
            let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
            assert!(page.contains(&format!("{} of {} final runs done", summary.final_runs[0], summary.final_runs[1])));
        }
        let mut one_size = experiment.clone();
        one_size.sizes.truncate(1);
        let few: Vec<Line> = lines.iter().filter(|line| line.cell().size == one_size.sizes[0]).cloned().collect();
        let summary = write(folder.path(), &one_size, &few).unwrap();
        assert!(summary.ratios.is_empty() && !summary.differences.is_empty());
        assert!(summary.headline.contains("one size"));
        assert!(write(folder.path(), &one_size, &lines).unwrap_err().to_string().contains("size"));
    }

    #[test]
    fn diverged_runs_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, mut lines) = quick();
        for line in &mut lines {
            if let Line::Result { cell, status, test, tuning_loss, .. } = line
                && (cell.arm.as_str(), cell.seed, cell.size) == ("tripartite", 1, experiment.sizes[0])
            {
                (*status, *test, *tuning_loss) = (Status::Diverged, None, f64::INFINITY);
            }
        }
        stored(folder.path(), &lines);
        save_experiment(folder.path(), &experiment).unwrap();
        let (_, lines) = load(folder.path()).unwrap();
        let summary = write(folder.path(), &experiment, &lines).unwrap();
        let size = &summary.arms.iter().find(|arm| arm.name == "tripartite").unwrap().sizes[0];
        assert_eq!((size.diverged, size.test_losses.len()), (1, 2));
        assert_eq!(summary.differences.iter().find(|d| d.arm == "tripartite").unwrap().value.seeds, 2);
        assert!(std::fs::read_to_string(folder.path().join("report.html")).unwrap().contains("1 diverged"));
    }

    #[test]
    fn a_ratio_out_of_reach_is_said_to_be() {
        let (experiment, mut lines) = quick();
        for line in &mut lines {
            if let Line::Result { cell, test: Some(test), .. } = line
                && cell.arm == "tripartite"
            {
                test.loss *= 0.1;
                test.documents.iter_mut().for_each(|document| document.nats *= 0.1);
            }
        }
        let headline = summarize(&experiment, &lines).headline;
        assert!(headline.starts_with("vanilla needs at least") && headline.contains("or beyond it"), "{headline}");
    }

    #[test]
    fn a_test_loss_that_is_no_number_counts_as_diverged() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, mut lines) = quick();
        for line in &mut lines {
            if let Line::Result { cell, test: Some(test), .. } = line
                && (cell.arm.as_str(), cell.seed) == ("tripartite", 1)
            {
                test.loss = f64::NAN;
                test.documents.iter_mut().for_each(|document| document.nats = f64::NAN);
            }
        }
        let summary = write(folder.path(), &experiment, &lines).unwrap();
        let arm = summary.arms.iter().find(|arm| arm.name == "tripartite").unwrap();
        assert!(arm.sizes.iter().all(|size| size.diverged == 1 && size.test_losses.len() == 2));
        let contrast = summary.contrasts.iter().find(|contrast| contrast.arm == "tripartite").unwrap();
        assert_eq!((contrast.value.as_ref().unwrap().seeds, contrast.verdict), (2, Verdict::NotEstablished));
        assert!(!std::fs::read_to_string(folder.path().join("report.html")).unwrap().contains("NaN"));
    }

    #[test]
    fn optima_that_may_have_been_missed_are_named() {
        let (experiment, mut lines) = quick();
        let doubts = summarize(&experiment, &lines).doubts;
        assert!(
            doubts[0].contains("best learning rate is at the edge") && doubts[0].ends_with("every arm at every size.")
        );
        assert!(doubts[2].contains("One schedule alone was tried: 600.") && doubts.len() == 3);
        for line in &mut lines {
            if let Line::Result { cell, best_step, .. } = line
                && (cell.arm.as_str(), cell.size) == ("vanilla", experiment.sizes[1])
            {
                *best_step = 600;
            }
        }
        let first = |cell: &str| cell.starts_with("Final-tripartite-16000");
        for line in lines.iter_mut().filter(|line| first(&line.cell().id)) {
            if let Line::Result { best_step, .. } = line {
                *best_step = 100;
            }
        }
        let doubts = summarize(&experiment, &lines).doubts;
        assert!(doubts[0].ends_with("lower the loss: vanilla at 64k."), "{doubts:?}");
        assert!(doubts[1].ends_with("done better: tripartite at 16k."), "{doubts:?}");
    }

    #[test]
    fn a_cut_last_line_is_left_out_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, lines) = quick();
        save_experiment(folder.path(), &experiment).unwrap();
        stored(folder.path(), &lines[..3]);
        let path = folder.path().join("lines.jsonl");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert_eq!(load(folder.path()).unwrap().1.len(), 2);
        std::fs::write(&path, [b"{\"kind\":3}\n", &whole[..]].concat()).unwrap();
        assert!(load(folder.path()).unwrap_err().to_string().contains("line 1"));
        assert!(load(&folder.path().join("none")).unwrap_err().to_string().contains("experiment.json"));
    }
}
