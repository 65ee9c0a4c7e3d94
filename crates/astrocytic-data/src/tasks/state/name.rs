//! Names of tasks of texts with a state.

use std::fmt;
use std::path::PathBuf;

use super::worlds::World;

/// Events of the longest text that is trained on, where a task does not say how many.
const USUAL_EVENTS: usize = 12;
/// Share of events after which something is asked, where a task does not say it.
const USUAL_SHARE: Share = Share(30);
const MOST_EVENTS: usize = 1_000;

/// Texts with a state; written "state:WORLD" with options behind it, each after a colon, or
/// "state:FILE".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateTask {
    /// Generated.
    Told(Told),
    /// The user's own: a file or a folder, with the answers in square brackets.
    Marked {
        /// Where.
        path: PathBuf,
        /// Whether the model reads the answers.
        answers: Answers,
    },
}

/// How a text is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What it is about.
    pub world: World,
    /// Where questions stand and what becomes of their answers: "end", "along" or "along-hidden".
    pub answers: Answers,
    /// "events=N": events of the longest text; texts have one at least.
    pub events: usize,
    /// "things=N": days, cups, boxes, registers or names.
    pub things: usize,
    /// "asked=PERCENT": share of events after which something is asked; there is a question behind
    /// the last always.
    pub asked: Share,
}

/// Where questions stand, and whether their answers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// One question, behind the last event.
    End,
    /// Questions along the way too; the answer stands in the text behind each.
    Along,
    /// The same without the answers in the text.
    AlongHidden,
}

/// A share in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(pub u8);

impl Answers {
    const ALL: [(&str, Self); 3] = [("end", Self::End), ("along", Self::Along), ("along-hidden", Self::AlongHidden)];

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, answers)| answers)
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::End => "end",
            Self::Along => "along",
            Self::AlongHidden => "along-hidden",
        })
    }
}

impl Told {
    /// Texts of a world as they are where a task's name has no options.
    pub fn new(world: World) -> Self {
        let (answers, things) = (Answers::AlongHidden, world.usual_things());
        Self { world, answers, events: USUAL_EVENTS, things, asked: USUAL_SHARE }
    }

    fn with_option(mut self, option: &str) -> Result<Self, String> {
        let things = self.world.possible_things();
        let number = |value: &str, least: usize, most: usize| match value.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(format!("{option}: must be a number from {least} to {most}")),
        };
        match option.split_once('=') {
            None => {
                self.answers = Answers::of(option).ok_or_else(|| {
                    format!("no option {option}; there are end, along, along-hidden, events=N, things=N, asked=PERCENT")
                })?;
            }
            Some(("events", value)) => self.events = number(value, 1, MOST_EVENTS)?,
            Some(("things", value)) => self.things = number(value, *things.start(), *things.end())?,
            Some(("asked", value)) => self.asked = Share(number(value, 0, 100)? as u8),
            Some((name, _)) => return Err(format!("no option {name}=; there are events=, things= and asked=")),
        }
        Ok(self)
    }
}

impl StateTask {
    /// What stands behind "state:".
    pub(in crate::tasks) fn parse(variant: &str) -> Result<Self, String> {
        let mut parts = variant.split(':');
        let first = parts.next().unwrap_or_default();
        if let Some(world) = World::ALL.into_iter().find(|world| world.name() == first) {
            return parts.try_fold(Told::new(world), Told::with_option).map(Self::Told);
        }
        let (path, answers) = match variant.rsplit_once(':').map(|(path, last)| (path, Answers::of(last))) {
            Some((path, Some(answers))) if answers != Answers::End => (path, answers),
            _ => (variant, Answers::AlongHidden),
        };
        if path.is_empty() {
            let known = World::ALL.map(World::name).join(", ");
            return Err(format!("write state:WORLD, of {known}, or state:FILE"));
        }
        Ok(Self::Marked { path: path.into(), answers })
    }
}

impl fmt::Display for StateTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(told) => {
                let Told { world, answers, events, things, asked } = *told;
                let usual = Told::new(world);
                f.write_str(world.name())?;
                if events != usual.events {
                    write!(f, ":events={events}")?;
                }
                if things != usual.things {
                    write!(f, ":things={things}")?;
                }
                if asked != usual.asked {
                    write!(f, ":asked={}", asked.0)?;
                }
                if answers == usual.answers { Ok(()) } else { write!(f, ":{answers}") }
            }
            Self::Marked { path, answers: Answers::AlongHidden } => write!(f, "{}", path.display()),
            Self::Marked { path, answers } => write!(f, "{}:{answers}", path.display()),
        }
    }
}
