//! Corpora that are not there.

use std::path::Path;

use astrocytic_data::datasets;
use astrocytic_data::tasks::Task;
use astrocytic_data::tasks::state::{StateTask, World};

use crate::file::did_you_mean;

/// Why a corpus cannot be read; `None` for one that may be.
pub(super) fn missing(corpus: &str) -> Option<String> {
    let task = Task::of_corpus(corpus).ok()?;
    let path = match &task {
        Some(Task::Labelled(labelled)) => labelled.path.as_path(),
        Some(Task::State(StateTask::Marked { path, .. })) => path.as_path(),
        Some(_) => return None,
        None if corpus == "generated" || datasets::show(corpus).is_ok() => return None,
        None => Path::new(corpus),
    };
    let is_text = task.is_none();
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() && is_text => {
            Some(format!("{corpus} is a folder; give a text file, or labelled:{corpus} for texts with labels"))
        }
        Ok(found) if found.is_file() && found.len() == 0 => Some(format!("{} is empty; give a text", path.display())),
        Ok(_) => None,
        Err(_) if is_text => {
            let known: Vec<String> =
                ["generated".into()].into_iter().chain(datasets::list().into_iter().map(|known| known.name)).collect();
            let near = did_you_mean(corpus, known.iter().map(String::as_str));
            Some(format!("unknown corpus \"{corpus}\": neither a file nor one of {}{near}", known.join(", ")))
        }
        Err(_) if matches!(task, Some(Task::State(_))) => {
            let worlds = World::ALL.map(World::name);
            let near = did_you_mean(corpus.trim_start_matches("state:"), worlds);
            Some(format!("{corpus}: {} is neither a file nor one of {}{near}", path.display(), worlds.join(", ")))
        }
        Err(error) => Some(format!("cannot read {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_that_is_not_there_has_its_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("empty.txt"), "").unwrap();
        std::fs::write(path("text.txt"), "text").unwrap();
        for (corpus, said) in [
            (
                "mobydick".to_string(),
                "one of generated, king-james-bible, moby-dick, state-of-the-union; did you mean \"moby-dick\"?",
            ),
            (path("no.txt"), "neither a file"),
            (path(""), "is a folder"),
            (path("empty.txt"), "is empty"),
            (format!("labelled:{}", path("no.csv")), "cannot read"),
            (format!("state:{}", path("no.txt")), "neither a file nor one of coin, walk"),
            ("state:cusp".into(), "did you mean \"cups\"?"),
        ] {
            let found = missing(&corpus).unwrap();
            assert!(found.contains(said), "{found}");
        }
        for corpus in ["generated", "moby-dick", "mqar:64x4", "state:cups:end", path("text.txt").as_str()] {
            assert_eq!(missing(corpus), None);
        }
    }
}
