//! What may follow a model's name: what the arm knows beyond its window of context.

use astrocytic_models::memory::MemoryKind;

use crate::learning::Learning;

/// What an arm knows beyond its window of context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Beyond {
    /// Nothing.
    Nothing,
    /// What its attention remembers, memory or keys and values, goes on from window to window, in
    /// training and through each document of a test.
    Carried,
    /// What it learns from the text that it is tested on.
    Learned(Learning),
}

/// What may follow a model's name, what the arm knows beyond its window then, and a line on it.
pub(super) type Ending = (&'static str, Beyond, &'static str);

/// All of them.
pub(super) static ENDINGS: [Ending; 6] = [
    ("-carried", Beyond::Carried, "its memory goes on from window to window, through whole documents"),
    ("-cached", Beyond::Carried, "it sees the keys and values of the four windows before"),
    (
        "+plastic-per-document",
        Beyond::Learned(Learning { learns: MemoryKind::ReadOut, through_documents: false }),
        "its read-out goes on learning from each document that it is tested on, by the delta rule",
    ),
    (
        "+ngram-per-document",
        Beyond::Learned(Learning { learns: MemoryKind::Ngram, through_documents: false }),
        "with a memory of what followed the last tokens of each document that it is tested on, beside a plastic read-out",
    ),
    (
        "+ngram",
        Beyond::Learned(Learning { learns: MemoryKind::Ngram, through_documents: true }),
        "with such a memory, and plastic read-out, through all documents that it is tested on",
    ),
    (
        "+dynamic",
        Beyond::Learned(Learning { learns: MemoryKind::Dynamic, through_documents: true }),
        "all its weights go on learning through all documents that it is tested on, by gradient descent (dynamic evaluation)",
    ),
];

impl Beyond {
    /// What a table says for the same.
    pub(super) fn settings(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Carried => "carried = true".into(),
            Self::Learned(Learning { learns, through_documents }) => {
                let learns = match learns {
                    MemoryKind::Ngram => "ngram",
                    MemoryKind::ReadOut => "read-out",
                    MemoryKind::Dynamic => "dynamic",
                };
                let through = if through_documents { ", through_documents = true" } else { "" };
                format!("learns = \"{learns}\"{through}")
            }
        }
    }
}
