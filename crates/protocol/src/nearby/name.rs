//! What a device calls itself: shown on other people's screens, so it is short and cannot pretend to be anything but text.

use std::fmt;

use crate::limits::NEARBY_NAME;

/// A name: 1 to [`NEARBY_NAME`] bytes of text in one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or too much.
    #[error("a name has 1 to {NEARBY_NAME} bytes")]
    Length,
    /// Line breaks and other control characters, or marks that change the direction of what stands around them.
    #[error("a name is one line of text without control characters")]
    Character,
    /// Space at an end, by which two names could look alike.
    #[error("a name neither begins nor ends with a space")]
    Space,
}

impl Name {
    /// Checks a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > NEARBY_NAME {
            return Err(NameError::Length);
        }
        if text.chars().any(is_forbidden) {
            return Err(NameError::Character);
        }
        if text.trim().len() != text.len() { Err(NameError::Space) } else { Ok(Self(text.to_owned())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Controls, line and paragraph separators, marks that turn text around (Unicode's `Bidi_Control`), and what has no width, by
/// which two names could look alike. The joiners, without which some scripts and emoji cannot be written, are allowed.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_short_line_of_text() {
        for text in ["Ada", "Ada's phone", "Küche 2", "电脑", "👩‍💻 desk", &"x".repeat(NEARBY_NAME)] {
            assert_eq!(Name::new(text).unwrap().as_str(), text);
        }
        for (text, error) in [
            ("", NameError::Length),
            (&"x".repeat(NEARBY_NAME + 1), NameError::Length),
            ("two\nlines", NameError::Character),
            ("a\u{202e}gpj.exe", NameError::Character),
            ("a\u{2028}b", NameError::Character),
            ("Ada\u{200b}", NameError::Character),
            ("bell\u{7}", NameError::Character),
            (" Ada", NameError::Space),
            ("Ada\u{a0}", NameError::Space),
            (" ", NameError::Space),
        ] {
            assert_eq!(Name::new(text), Err(error), "{text:?}");
        }
    }
}
