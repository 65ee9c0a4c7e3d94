//! The language as a whole: derivations are unique, probabilities add up, and stories hold what they say.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::choices::Choices;
use super::lexicon::NUMBERS;
use super::story::Shape;
use super::*;

/// Every sequence of choices after the given first ones, one after another, like an odometer.
struct Every {
    first: Vec<usize>,
    path: Vec<(usize, usize)>,
    at: usize,
    probability: f64,
}

impl Choices for Every {
    fn choose(&mut self, weights: &[f64]) -> usize {
        self.at += 1;
        if let Some(&given) = self.first.get(self.at - 1) {
            assert!(weights[given] > 0.0);
            return given;
        }
        let possible: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
        let place = self.at - 1 - self.first.len();
        if place == self.path.len() {
            self.path.push((0, possible.len()));
        }
        let (nth, among) = self.path[place];
        assert_eq!(among, possible.len());
        self.probability *= weights[possible[nth]] / weights.iter().sum::<f64>();
        possible[nth]
    }
}

impl Every {
    /// Runs `make` once for each sequence; returns the probability of each text (by its hash) after it held that
    /// they all differ and that their probabilities add up to 1.
    fn distinct(first: &[usize], make: impl Fn(&mut Self) -> String) -> HashMap<u64, f64> {
        let mut every = Self { first: first.to_vec(), path: Vec::new(), at: 0, probability: 1.0 };
        let mut texts = HashMap::new();
        loop {
            (every.at, every.probability) = (0, 1.0);
            let text = make(&mut every);
            assert!(texts.insert(hash(&text), every.probability).is_none(), "two derivations of \"{text}\"");
            while every.path.last().is_some_and(|(nth, among)| nth + 1 == *among) {
                every.path.pop();
            }
            let Some((nth, _)) = every.path.last_mut() else { break };
            *nth += 1;
        }
        let sum: f64 = texts.values().sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        texts
    }
}

fn hash(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

#[test]
fn no_two_derivations_give_one_sentence_and_probabilities_add_up() {
    let lexicon = Lexicon { nouns: vec!["dog"], ..Lexicon::tiny() };
    let texts = Every::distinct(&[], |choices| story::statement(&lexicon, 0, 2, choices));
    assert!(texts.len() > 10_000, "{}", texts.len());
}

#[test]
fn no_two_derivations_give_one_story_and_probabilities_add_up() {
    let lexicon = Lexicon::tiny();
    // All introductions, and all single sentences after each.
    let shape = Shape { most: 2, fewest: 1, longest: 1, goes_on: 0.5, depth: 0 };
    let texts = Every::distinct(&[], |choices| story::story(&lexicon, &shape, choices));
    assert!(texts.len() > 10_000, "{}", texts.len());
    // What is drawn has the probability that is kept with it, and comes as often as that says.
    let entropy: f64 = texts.values().map(|p| -p * p.ln()).sum();
    let mut draws = Draws { random: ChaCha8Rng::seed_from_u64(0), nats: 0.0 };
    let (mut sum, mut squares, count) = (0.0, 0.0, 20_000.0);
    for _ in 0..count as usize {
        draws.nats = 0.0;
        let text = story::story(&lexicon, &shape, &mut draws);
        assert!((draws.nats + texts[&hash(&text)].ln()).abs() < 1e-9, "{text}");
        sum += draws.nats;
        squares += draws.nats * draws.nats;
    }
    let error = ((squares / count - (sum / count).powi(2)) / count).sqrt();
    assert!((sum / count - entropy).abs() < 4.0 * error, "{} ± {error} against {entropy}", sum / count);
    // One or two sentences after one introduction: place, two of (sex, name, role), two of (number, look, noun).
    let shape = Shape { longest: 2, ..shape };
    for first in [[0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0]] {
        let texts = Every::distinct(&first, |choices| story::story(&lexicon, &shape, choices));
        assert!(texts.len() > 100_000, "{}", texts.len());
    }
}

#[test]
fn forms_of_different_classes_differ() {
    let mut owner: HashMap<String, &str> = HashMap::new();
    for (class, form) in Lexicon::english().forms() {
        if let Some(other) = owner.insert(form.clone(), class) {
            assert_eq!(other, class, "\"{form}\" is of two classes");
            panic!("\"{form}\" stands twice in {class}");
        }
    }
    assert!(owner.len() > 500, "{}", owner.len());
}

#[test]
fn stories_depend_on_seed_and_place_alone() {
    let stories = generate(1, 0, 5_000);
    assert_eq!(stories[..3], generate(1, 0, 200)[..3]);
    assert_ne!(stories[0], generate(2, 0, 200)[0]);
    assert_ne!(stories[0], generate(1, 1, 200)[0]);
    let lengths: Vec<usize> = stories.iter().map(|d| d.text.split_whitespace().count()).collect();
    assert!(lengths.iter().all(|&n| (25..600).contains(&n)), "{lengths:?}");
}

#[test]
fn entropy_is_that_of_the_choices_and_words_follow_zipf() {
    let stories = generate(3, 0, 200_000);
    let (rate, error) = entropy_rate(&stories);
    assert!(error < 0.02 * rate && (1.0..3.5).contains(&rate), "{rate} ± {error}");
    let mut counts: HashMap<&str, f64> = HashMap::new();
    for word in stories.iter().flat_map(|d| d.text.split_whitespace()) {
        *counts.entry(word).or_default() += 1.0;
    }
    assert!(counts.len() > 500, "{}", counts.len());
    let mut counts: Vec<f64> = counts.into_values().collect();
    counts.sort_by(|a, b| b.total_cmp(a));
    let slope = (counts[9] / counts[299]).ln() / (300.0f64 / 10.0).ln();
    assert!((0.6..1.8).contains(&slope), "{slope}");
    // What a model that knows only how often words occur would need is far more.
    let all: f64 = counts.iter().sum();
    let unigram: f64 = -counts.iter().map(|c| c / all * (c / all).ln()).sum::<f64>();
    assert!(unigram > rate + 1.5, "{unigram} against {rate}");
}

#[test]
fn numbers_add_up_and_pronouns_agree() {
    let lexicon = Lexicon::english();
    let mut checked = [0; 2];
    for story in generate(5, 0, 60_000) {
        let mut owned: HashMap<(String, String), usize> = HashMap::new();
        let number = |word: &str| NUMBERS.iter().position(|n| *n == word);
        let singular = |word: &str| {
            let noun = lexicon.nouns.iter().find(|n| Lexicon::noun(n, false) == word || Lexicon::noun(n, true) == word);
            noun.unwrap().to_string()
        };
        let mut last = String::new();
        for sentence in story.text.split(" . ") {
            let words: Vec<&str> = sentence.trim_end_matches(" .").split_whitespace().collect();
            let subject = match words[0] {
                "She" | "He" => {
                    let women = lexicon.women.iter().any(|n| *n == last);
                    assert_eq!(words[0] == "She", women, "{}", story.text);
                    checked[0] += 1;
                    last.clone()
                }
                name => name.to_string(),
            };
            if lexicon.women.iter().chain(&lexicon.men).any(|n| *n == subject) && words[1] != "the" {
                last = subject.clone();
            } else if words.get(4) == Some(&"and") || words.get(3) == Some(&"and") {
                last = words
                    .iter()
                    .skip(1)
                    .find(|w| lexicon.women.contains(w) || lexicon.men.contains(w))
                    .map_or(last, |w| w.to_string());
            }
            match words.get(1).copied() {
                Some("owns") => {
                    let noun = singular(words[4]);
                    owned.insert((subject, noun), number(words[2]).unwrap());
                }
                Some("gives") => {
                    let (count, noun) = (number(words[2]).unwrap(), singular(words[3]));
                    *owned.get_mut(&(subject, noun.clone())).unwrap() -= count;
                    *owned.entry((words[5].to_string(), noun)).or_default() += count;
                }
                _ if words[0] == "Now" => {
                    let noun = singular(words[4]);
                    assert_eq!(
                        owned[&(words[1].to_string(), noun.clone())],
                        number(words[3]).unwrap(),
                        "{}",
                        story.text
                    );
                    assert_eq!(owned[&(words[6].to_string(), noun)], number(words[8]).unwrap(), "{}", story.text);
                    last = words[1].to_string();
                    checked[1] += 1;
                }
                _ => {}
            }
        }
    }
    assert!(checked[0] > 500 && checked[1] > 100, "{checked:?}");
}

/// Reads a statement back by the grammar's rules and holds each verb to its subject.
struct Reader<'a> {
    lexicon: &'a Lexicon,
    words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
    verbs: usize,
}

impl Reader<'_> {
    fn statement(mut self) -> usize {
        let plural = self.noun_phrase();
        self.predicate(plural);
        self.words.next_if(|word| self.lexicon.adverbs.contains(word));
        assert_eq!(self.words.next(), None);
        self.verbs
    }

    fn noun_phrase(&mut self) -> bool {
        assert_eq!(self.words.next(), Some("the"));
        self.words.next_if(|word| self.lexicon.adjectives.contains(word));
        let noun = self.words.next().unwrap();
        let plural = self.lexicon.nouns.iter().any(|n| Lexicon::noun(n, true) == noun);
        assert!(plural || self.lexicon.nouns.contains(&noun), "{noun}");
        if self.words.next_if(|word| self.lexicon.prepositions.contains(word)).is_some() {
            self.noun_phrase();
        } else if self.words.next_if_eq(&"that").is_some() {
            if self.words.peek() == Some(&"the") {
                let inner = self.noun_phrase();
                assert!(self.verb(inner), "a transitive verb");
            } else {
                self.predicate(plural);
            }
        }
        plural
    }

    fn predicate(&mut self, plural: bool) {
        if self.verb(plural) {
            self.noun_phrase();
        }
    }

    /// Whether it is transitive.
    fn verb(&mut self, plural: bool) -> bool {
        let verb = self.words.next().unwrap();
        let among = |verbs: &[&str]| verbs.iter().any(|v| Lexicon::verb(v, plural) == verb);
        self.verbs += 1;
        assert!(among(&self.lexicon.transitive) || among(&self.lexicon.intransitive), "{verb} after {plural}");
        among(&self.lexicon.transitive)
    }
}

#[test]
fn verbs_agree_over_any_distance() {
    let lexicon = Lexicon::english();
    let mut counts = [0; 8];
    for story in generate(6, 0, 40_000) {
        for sentence in story.text.trim_end_matches(" .").split(" . ") {
            let quoted = sentence.split_once(" says : ").map(|(_, statement)| statement.to_string());
            let plain = sentence.strip_prefix("The ").map(|rest| format!("the {rest}"));
            if let Some(statement) = quoted.or(plain) {
                let words = statement.split_whitespace().peekable();
                counts[Reader { lexicon: &lexicon, words, verbs: 0 }.statement().min(7)] += 1;
            }
        }
    }
    assert!(counts[1] > 500 && counts[2] > 200 && counts[3] > 50, "{counts:?}");
}
