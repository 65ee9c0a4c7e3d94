//! Words of the stories.

/// Who does what is done.
pub(super) const NAMES: [&str; 24] = [
    "Ann", "Bob", "Carl", "Dora", "Emma", "Fred", "Greta", "Hugo", "Ida", "Jack", "Kate", "Leo", "Mary", "Nora",
    "Otto", "Paul", "Ruth", "Sam", "Tom", "Ursula", "Vera", "Will", "Yara", "Zoe",
];

/// Colours of cups and of boxes within boxes.
pub(super) const COLOURS: [&str; 8] = ["red", "blue", "green", "white", "black", "yellow", "brown", "pink"];

/// Days, which follow one another in a circle.
pub(super) const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// What lies in boxes.
pub(super) const ITEMS: [&str; 8] = ["key", "coin", "ring", "map", "pen", "bell", "book", "shell"];

/// Letters of boxes.
pub(super) const LETTERS: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

/// Registers of a program.
pub(super) const REGISTERS: [&str; 8] = ["x", "y", "z", "u", "v", "w", "p", "q"];

/// Numbers of days and things.
pub(super) const NUMBERS: [&str; 9] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"];

/// Digits, which a program counts with.
pub(super) const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
