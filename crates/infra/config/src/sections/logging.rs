//! What is logged on stderr, and how.

use crate::choice::choice;
use crate::key::section;

choice! {
    /// The least severe kind of record that is logged.
    LogLevel {
        /// Something failed.
        Error = "error",
        /// Something is odd.
        Warn = "warn" also "warning",
        /// What an operator wants to know.
        Info = "info",
        /// What a developer wants to know.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// The form of a record.
    LogFormat {
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// What is logged, always on stderr.
    Logging at "logging." {
        /// The least severe records that are logged.
        level: LogLevel = LogLevel::Info, example "debug";
        /// The form of a record.
        format: LogFormat = LogFormat::Text, example "json";
    }
}
