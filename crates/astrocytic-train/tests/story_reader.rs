//! The example reads its story right.

#[path = "../examples/story_reader.rs"]
mod story_reader;

use story_reader::{CUPS, Reader, STORY};

#[test]
fn the_state_says_where_the_ball_is_after_each_sentence() {
    let mut reader = Reader::train(|_, _| ()).unwrap();
    let places = ["blue", "red", "red", "red", "green", "green", "blue", "blue", "blue", "red", "green", "blue"];
    let mut bytes = Vec::new();
    for (sentence, place) in STORY.iter().zip(places) {
        let belief = reader.read(sentence).unwrap();
        let right = belief.likely[CUPS.iter().position(|&cup| cup == place).unwrap()];
        assert!(right > 0.5, "{sentence}: {right} for {place}");
        assert_eq!(belief.moved.len(), 2);
        bytes.push(belief.bytes);
    }
    assert!(bytes.iter().all(|&count| count == bytes[0]), "{bytes:?}");
}
