//! What can go wrong, by what can be done about it.

/// Why a scenario could not be run, or did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// Mend the file.
    #[error("{0}")]
    Scenario(String),
    /// Install it, or look at what it says.
    #[error("{program}: {output}")]
    Program {
        /// What was run.
        program: String,
        /// What it said.
        output: String,
    },
    /// The system refuses something.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: String,
        /// In its words.
        source: std::io::Error,
    },
    /// A peer says that something did not work.
    #[error("{who}: {text}")]
    Peer {
        /// Which.
        who: String,
        /// In its words.
        text: String,
    },
}

impl Problem {
    /// For `map_err`.
    pub(crate) fn system<E: Into<std::io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source: source.into() }
    }
}
