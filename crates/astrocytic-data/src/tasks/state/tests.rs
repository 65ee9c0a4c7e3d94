//! The state is told again from the words alone, by rules of its own for each world.

use std::collections::HashMap;
use std::path::Path;

use super::super::wanted::{WANTED, Wanted};
use super::name::{Answers, StateTask, Told};
use super::words::{COLOURS, DAYS, ITEMS, LETTERS};
use super::{Stories, Story, World};

const MANY: Wanted = Wanted { train: 300, tuning: 50, test: 80, context: 4_096, ..WANTED };

fn stories(name: &str) -> Stories {
    StateTask::parse(name).unwrap().stories(&MANY).unwrap()
}

/// Sentences before the question at `place`, in words; questions and their answers left out.
fn sentences(story: &Story, place: usize) -> Vec<Vec<String>> {
    let words = |sentence: &str| -> Vec<String> {
        sentence.split_whitespace().map(|word| word.trim_end_matches([',', ':']).to_string()).collect()
    };
    let told = &story.text[..place];
    let end = told.rfind(['.', '?']).filter(|_| !told.ends_with(['.', '?']));
    let told = end.map_or(told, |end| &told[..=end]);
    told.split_inclusive(['.', '?']).map(|sentence| words(sentence.trim().trim_end_matches('.'))).collect()
}

fn has(sentence: &[String], word: &str) -> bool {
    sentence.iter().any(|known| known == word)
}

/// Those of the known words that a sentence has, in its order.
fn known<'a>(sentence: &[String], words: &[&'a str]) -> Vec<&'a str> {
    sentence.iter().filter_map(|word| words.iter().copied().find(|known| word == known)).collect()
}

fn coin(sentences: &[Vec<String>]) -> String {
    let turns = sentences.iter().skip(1).filter(|s| has(s, "turns") || has(s, "flips") || has(s, "turned"));
    let sides = ["heads", "tails"];
    let first = known(&sentences[0], &sides)[0];
    let begins = sides.iter().position(|side| *side == first).unwrap();
    sides[(begins + turns.count()) % 2].into()
}

fn walk(sentences: &[Vec<String>]) -> String {
    let numbers = ["one", "two", "three"];
    let mut day = DAYS.iter().position(|day| *day == known(&sentences[0], &DAYS)[0]).unwrap() as i64;
    for sentence in &sentences[1..] {
        let Some(number) = known(sentence, &numbers).first().copied() else { continue };
        let step = 1 + numbers.iter().position(|known| *known == number).unwrap() as i64;
        day += if has(sentence, "back") || has(sentence, "return") { -step } else { step };
    }
    DAYS[day.rem_euclid(7) as usize].into()
}

fn cups(sentences: &[Vec<String>]) -> String {
    let mut ball = known(&sentences[0], &COLOURS)[0];
    for sentence in &sentences[1..] {
        if let [one, other] = known(sentence, &COLOURS)[..] {
            ball = if ball == one {
                other
            } else if ball == other {
                one
            } else {
                ball
            };
        }
    }
    ball.into()
}

fn boxes(sentences: &[Vec<String>], question: &[String]) -> String {
    let mut places = HashMap::new();
    for sentence in sentences.iter().filter(|s| !s.last().is_some_and(|word| word.ends_with('?'))) {
        let (items, letters) = (known(sentence, &ITEMS), known(sentence, &LETTERS));
        match (items.first(), &letters[..]) {
            (Some(item), [.., last]) => drop(places.insert(*item, *last)),
            (Some(item), []) if has(sentence, "away") => drop(places.remove(item)),
            (None, [from, to]) => places.values_mut().filter(|place| *place == from).for_each(|place| *place = to),
            _ => {}
        }
    }
    if let Some(item) = known(question, &ITEMS).first() {
        return places.get(item).map_or("nowhere".into(), ToString::to_string);
    }
    let asked = known(question, &LETTERS)[0];
    let mut within = places.iter().filter(|(_, place)| **place == asked).map(|(item, _)| item.to_string());
    let found = within.next().unwrap_or("nothing".into());
    assert!(within.next().is_none(), "one word cannot say it");
    found
}

fn program(sentences: &[Vec<String>], question: &[String]) -> String {
    let registers = ["x", "y", "z"];
    let mut values = HashMap::new();
    for sentence in sentences {
        let names = known(sentence, &registers);
        let number = sentence.iter().find_map(|word| word.parse::<i64>().ok());
        let first = sentence.iter().find(|word| *word != "now").unwrap();
        let known = |values: &HashMap<&str, i64>, name| *values.get(name).unwrap_or(&0);
        match (first.as_str(), &names[..], number) {
            ("let", [name], Some(value)) => drop(values.insert(*name, value)),
            ("let", [to, from], None) | ("copy", [from, to], None) => {
                let value = known(&values, from);
                values.insert(to, value);
            }
            ("add" | "increase", [name], Some(step)) => *values.get_mut(name).unwrap() += step,
            ("take" | "decrease", [name], Some(step)) => *values.get_mut(name).unwrap() -= step,
            ("print" | "now", _, _) => {}
            other => panic!("{other:?}"),
        }
    }
    values[known(question, &registers)[0]].rem_euclid(10).to_string()
}

fn stack(sentences: &[Vec<String>]) -> String {
    let mut open = Vec::new();
    for sentence in sentences {
        if has(sentence, "Open") || has(sentence, "opens") || has(sentence, "Inside") {
            open.extend(known(sentence, &COLOURS));
        } else if has(sentence, "Close") || has(sentence, "closes") || has(sentence, "closed") && !has(sentence, "What")
        {
            open.pop();
        }
        assert!(open.len() <= 6);
    }
    open.last().map_or("none", |colour| colour).into()
}

fn answer(world: World, story: &Story, place: usize) -> String {
    let mut told = sentences(story, place);
    let begins = story.text[..place].trim_end_matches(['.', '?']).rfind(['.', '?']).map_or(0, |end| end + 1);
    let question: Vec<String> =
        story.text[begins..place].split_whitespace().map(|word| word.trim_end_matches(['.', '?']).into()).collect();
    // An "away" asks no more than what was said.
    told.retain(|sentence| !sentence.is_empty());
    match world {
        World::Coin => coin(&told),
        World::Walk => walk(&told),
        World::Cups => cups(&told),
        World::Boxes => boxes(&told, &question),
        World::Program => program(&told, &question),
        World::Stack => stack(&told),
    }
}

#[test]
fn answers_follow_from_the_words() {
    for world in World::ALL {
        for options in ["", ":end"] {
            let Stories { splits, longer, .. } = stories(&format!("{}{options}", world.name()));
            let all =
                [&splits.train, &splits.tuning, &splits.test].into_iter().chain(longer.iter().map(|(_, all)| all));
            let mut asked = 0;
            for story in all.flatten() {
                for (place, said) in &story.questions {
                    assert_eq!(*said, answer(world, story, *place), "{world:?}: {}", &story.text[..*place]);
                    asked += 1;
                }
            }
            assert!(asked >= 430, "{world:?}: {asked}");
        }
    }
}

#[test]
fn nothing_in_test_was_in_training_and_longer_tests_ask_beyond_its_length() {
    for world in World::ALL {
        let Stories { splits, longer, .. } = stories(world.name());
        let trained: Vec<&str> = splits.train.iter().map(|story| &*story.text).collect();
        let held_out = splits.tuning.iter().chain(&splits.test);
        assert!(held_out.clone().all(|story| !trained.contains(&&*story.text)));
        assert_eq!((splits.train.len(), splits.tuning.len(), splits.test.len()), (300, 50, 80));
        assert_eq!(longer.iter().map(|(times, all)| (*times, all.len())).collect::<Vec<_>>(), [(2, 20), (4, 20)]);
        let events = |story: &Story| -> usize {
            let (_, rest) = story.made.split_once("things, ").unwrap();
            rest.split_once(' ').unwrap().0.parse().unwrap()
        };
        let most = splits.train.iter().map(events).max().unwrap();
        assert_eq!(most, Told::new(world).events);
        for (times, all) in longer {
            for story in all {
                assert_eq!(events(&story), most * times as usize);
                let before = story.text[..story.questions[0].0].matches(['.', '?']).count();
                assert!(before > most, "{}", story.text);
            }
        }
    }
}

#[test]
fn what_is_held_out_does_not_depend_on_how_much_is_trained_on() {
    let told = Told::new(World::Cups);
    let few = StateTask::Told(told).stories(&Wanted { train: 20, ..MANY }).unwrap();
    let many = stories("cups");
    assert_eq!((&few.splits.tuning, &few.splits.test), (&many.splits.tuning, &many.splits.test));
    assert_eq!(few.splits.train, many.splits.train[..20]);
    let other = StateTask::Told(told).stories(&Wanted { seed: 1, ..MANY }).unwrap();
    assert!(other.splits.test != many.splits.test && other.longer != many.longer);
    // A world that has few stories gives what there is.
    let all = StateTask::parse("walk:events=1:things=2:end").unwrap();
    let all = all.stories(&Wanted { train: 100_000, ..MANY }).unwrap();
    assert!((100..20_000).contains(&all.splits.train.len()));
}

#[test]
fn answers_stand_in_the_text_or_not() {
    let hidden = stories("coin:asked=100");
    assert!(hidden.splits.train.iter().all(|story| story.questions.len() > 1 || story.made.contains(" 1 events")));
    for story in &stories("coin:along").splits.train {
        for (place, answer) in &story.questions[..story.questions.len() - 1] {
            let next = story.text[*place..].trim_start().to_lowercase();
            assert!(next.starts_with(answer), "{}", story.text);
        }
    }
    for story in &stories("coin:end").splits.train {
        assert_eq!(story.questions.len(), 1);
        assert_eq!(story.questions[0].0, story.text.len());
    }
}

#[test]
fn an_answer_is_expected_behind_its_question() {
    for name in ["cups", "program:along", "coin:end"] {
        let task = StateTask::parse(name).unwrap();
        let found = task.examples(&MANY, None).unwrap();
        let (tokenizer, splits) = (found.tokenizer.unwrap(), found.splits);
        let stories = task.stories(&MANY).unwrap().splits.test;
        let mut classes = HashMap::new();
        for (example, story) in splits.test.iter().zip(&stories) {
            assert_eq!(tokenizer.decode(&example.tokens).unwrap(), story.text);
            for ((place, token), (byte, answer)) in example.answers.iter().zip(&story.questions) {
                assert_eq!(tokenizer.decode(&example.tokens[..=*place]).unwrap(), story.text[..*byte]);
                assert!(*token as usize >= tokenizer.vocabulary_size() && (*token as usize) < found.vocabulary);
                assert_eq!(classes.entry(answer.clone()).or_insert(*token), token);
            }
        }
        assert!(!found.longer[1].1.is_empty());
    }
}

#[test]
fn names_are_written_as_they_are_read() {
    for name in
        ["coin", "walk:things=5", "cups:events=20:things=3:asked=50:end", "stack:along", "a/b.txt", "a.txt:along"]
    {
        assert_eq!(StateTask::parse(name).unwrap().to_string(), name);
    }
    assert_eq!(StateTask::parse("cups:along-hidden:events=12").unwrap().to_string(), "cups");
    for (name, said) in [
        ("", "coin, walk, cups, boxes, program, stack"),
        ("cups:things=9", "from 2 to 8"),
        ("coin:things=3", "from 2 to 2"),
        ("cups:events=0", "from 1 to"),
        ("cups:asked=101", "from 0 to 100"),
        ("cups:middle", "end, along, along-hidden"),
        ("cups:balls=2", "events=, things= and asked="),
    ] {
        let error = StateTask::parse(name).unwrap_err();
        assert!(error.contains(said), "{name}: {error}");
    }
}

fn marked(path: &Path, answers: Answers) -> Result<Stories, String> {
    StateTask::Marked { path: path.into(), answers }.stories(&MANY).map_err(|error| error.to_string())
}

#[test]
fn marked_texts_are_read_as_they_were_told() {
    let folder = tempfile::tempdir().unwrap();
    for (name, answers) in [("boxes", Answers::AlongHidden), ("cups:end", Answers::AlongHidden)] {
        let told = stories(name);
        let files = StateTask::parse(name).unwrap().write(&MANY, folder.path()).unwrap();
        assert_eq!(files.len(), 5);
        let read = marked(folder.path(), answers).unwrap();
        let plain = |all: &[Story]| {
            let mut all: Vec<_> = all.iter().map(|story| (story.text.clone(), story.questions.clone())).collect();
            all.sort();
            all
        };
        assert_eq!(plain(&read.splits.train), plain(&told.splits.train));
        assert_eq!(plain(&read.splits.test), plain(&told.splits.test));
        assert_eq!(plain(&read.longer[1].1), plain(&told.longer[1].1));
        assert!(read.splits.train[0].made.contains("train.jsonl, line"));
    }
    let path = folder.path().join("own.txt");
    let lines = (0..40).map(|i| format!("Turn {i}. It shows [tails]. Leave it. Now? [tails]\n")).collect::<String>();
    std::fs::write(&path, format!("{lines}nothing is asked\n\n")).unwrap();
    let shown = marked(&path, Answers::Along).unwrap();
    assert!(shown.splits.train[0].text.contains("It shows tails. Leave it. Now?"), "{:?}", shown.splits.train[0]);
    let hidden = marked(&path, Answers::AlongHidden).unwrap();
    assert!(hidden.splits.train[0].text.contains("It shows. Leave it. Now?"), "{:?}", hidden.splits.train[0]);
    let sizes = |splits: &Stories| (splits.splits.train.len(), splits.splits.tuning.len(), splits.splits.test.len());
    assert_eq!((sizes(&hidden), hidden.notes.len()), ((32, 4, 4), 1), "{:?}", hidden.notes);
    // What is said again is not on both sides.
    std::fs::write(&path, lines.repeat(3)).unwrap();
    let again = marked(&path, Answers::AlongHidden).unwrap();
    assert_eq!((sizes(&again), again.notes.len()), ((32, 4, 4), 1));
    assert!(again.notes[0].contains("repeated texts left out: 80"), "{:?}", again.notes);
}

#[test]
fn marked_texts_that_cannot_be_used_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    for (text, said) in [
        ("no answer at all\n", "in square brackets, as in"),
        ("one [two\n", "line 1: a [ without its ]"),
        ("\none] two [three]\n", "line 2: a ] without its ["),
        ("one [two] three]\n", "a ] without its ["),
        ("one [ ]\n", "needs words"),
        ("[one] two\n", "a text of its own before it"),
        ("one [two] [three]\n", "a text of its own before it"),
        ("one [two]\n", "too few texts"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = marked(&path, Answers::Along).err().unwrap();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
    for (name, text, said) in [
        ("a.jsonl", "{\"text\": \"one [two]\"}\n{\"label\": 1}\n", "line 2: no member \"text\""),
        ("a.jsonl", "one [two]\n", "line 1: no JSON object"),
        ("a.csv", "text,label\n", "labelled:FILE"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let error = marked(&path, Answers::Along).err().unwrap();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
    assert!(marked(&folder.path().join("absent"), Answers::Along).is_err());
}
