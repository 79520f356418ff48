//! Errors in one line: libp2p's often say only that there was one, and leave what it was to their causes.

use std::{error::Error, fmt};

/// An error with all that caused it.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        let mut next = Some(self.0);
        while let Some(error) = next {
            next = error.source();
            let text = error.to_string();
            // Some repeat their causes, some say nothing.
            if !said.contains(&text) {
                said = if said.is_empty() { text } else { format!("{said}: {text}") };
            }
        }
        formatter.write_str(&said.replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use libp2p::TransportError;

    use super::*;

    #[test]
    fn each_cause_is_said_once() {
        let cause = io::Error::from(io::ErrorKind::AddrInUse);
        let said = cause.to_string();
        let error = TransportError::Other(io::Error::other(cause));
        assert_eq!(Causes(&error).to_string(), said);
        assert_eq!(Causes(&io::Error::other("a\nb")).to_string(), "a b");
    }
}
