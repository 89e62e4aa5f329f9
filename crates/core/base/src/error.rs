//! The one list of stable error codes. Each has a page in `docs/errors/` named after it.

use std::fmt;

/// Who has to act on an error, in the terms of gRPC's canonical status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// The request is wrong and stays wrong: the caller changes it.
    InvalidArgument,
    /// The thing named does not exist, or is not the caller's to see.
    NotFound,
    /// The thing to create is already there.
    AlreadyExists,
    /// The caller may not do this.
    PermissionDenied,
    /// The caller has not said who it is.
    Unauthenticated,
    /// The request is right but the system is not set up for it: an operator acts.
    FailedPrecondition,
    /// A limit or quota is used up.
    ResourceExhausted,
    /// Someone else changed the thing first.
    Aborted,
    /// The caller cancelled.
    Cancelled,
    /// Time ran out.
    DeadlineExceeded,
    /// A dependency does not answer; the same request may work later.
    Unavailable,
    /// This API does not have it.
    Unimplemented,
    /// Stored data is damaged.
    DataLoss,
    /// A defect of ours.
    Internal,
}

impl Category {
    /// The name of the gRPC status, as in `google.rpc.Code`.
    pub const fn grpc_name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Aborted => "ABORTED",
            Self::Cancelled => "CANCELLED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::DataLoss => "DATA_LOSS",
            Self::Internal => "INTERNAL",
        }
    }

    /// The HTTP status, by the mapping that `google.rpc.Code` documents, within RFC 9110.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::ResourceExhausted => 429,
            // 499, which some proxies use, is not a status of HTTP.
            Self::Cancelled => 408,
            Self::DataLoss | Self::Internal => 500,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }
}

/// Whether the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// No: it will fail again.
    Never,
    /// Yes, after a pause.
    Later,
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal $category:ident $retry:ident;)*) => {
        /// A stable code that a person can look up and a program can match on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)*
        }

        impl ErrorCode {
            /// Every code, in the order of this list.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as users see it; it never changes.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Who has to act.
            pub const fn category(self) -> Category {
                match self { $(Self::$name => Category::$category,)* }
            }

            /// Whether the same request may be sent again.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }

            /// The HTTP status of an answer with this code: its category's, unless HTTP has a closer one.
            pub const fn http_status(self) -> u16 {
                match self {
                    Self::TooLarge => 413,
                    Self::Overloaded => 503,
                    other => other.category().http_status(),
                }
            }

            /// What the code means, in a sentence.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

error_codes! {
    /// A field of the request has a value that cannot be used.
    InvalidArgument "LOOM_INVALID_ARGUMENT" InvalidArgument Never;
    /// The query of a turn is empty.
    EmptyQuery "LOOM_EMPTY_QUERY" InvalidArgument Never;
    /// A key or field is not one Loom knows.
    UnknownField "LOOM_UNKNOWN_FIELD" InvalidArgument Never;
    /// A key or field is known but its feature is not in this version.
    UnsupportedField "LOOM_UNSUPPORTED_FIELD" InvalidArgument Never;
    /// A YAML document does not parse or does not have the expected shape.
    InvalidYaml "LOOM_INVALID_YAML" InvalidArgument Never;
    /// A pattern is well-formed YAML but cannot be used.
    InvalidPattern "LOOM_INVALID_PATTERN" InvalidArgument Never;
    /// The configuration has a value that cannot be used.
    InvalidConfig "LOOM_INVALID_CONFIG" InvalidArgument Never;
    /// A query was refused because it could change data or reach outside the database.
    QueryRefused "LOOM_QUERY_REFUSED" InvalidArgument Never;
    /// The database rejected a query.
    QueryFailed "LOOM_QUERY_FAILED" InvalidArgument Never;
    /// The request or message is larger than the server accepts.
    TooLarge "LOOM_TOO_LARGE" ResourceExhausted Never;
    /// No agent has that id or name.
    AgentNotFound "LOOM_AGENT_NOT_FOUND" NotFound Never;
    /// An agent of that name exists already.
    AgentExists "LOOM_AGENT_EXISTS" AlreadyExists Never;
    /// The agent cannot be changed or removed this way while something depends on it.
    AgentInUse "LOOM_AGENT_IN_USE" FailedPrecondition Never;
    /// No session has that id.
    SessionNotFound "LOOM_SESSION_NOT_FOUND" NotFound Never;
    /// Another instance that shares the store holds the session.
    SessionElsewhere "LOOM_SESSION_ELSEWHERE" Unavailable Later;
    /// The session belongs to another agent than the one named.
    SessionAgentMismatch "LOOM_SESSION_AGENT_MISMATCH" FailedPrecondition Never;
    /// No turn has that id.
    TurnNotFound "LOOM_TURN_NOT_FOUND" NotFound Never;
    /// The turn was taken up again several times and got no further.
    TurnQuarantined "LOOM_TURN_QUARANTINED" FailedPrecondition Never;
    /// No call whose outcome is unknown has that effect.
    EffectNotFound "LOOM_EFFECT_NOT_FOUND" NotFound Never;
    /// Someone said before what became of that effect.
    EffectResolved "LOOM_EFFECT_RESOLVED" FailedPrecondition Never;
    /// The call may still be running where its session was before.
    EffectMayRun "LOOM_EFFECT_MAY_RUN" FailedPrecondition Later;
    /// Nothing waits for an approval under that id.
    ApprovalNotFound "LOOM_APPROVAL_NOT_FOUND" NotFound Never;
    /// The approval was given too late.
    ApprovalExpired "LOOM_APPROVAL_EXPIRED" FailedPrecondition Never;
    /// The approval was given for other arguments than the call's.
    ApprovalMismatch "LOOM_APPROVAL_MISMATCH" FailedPrecondition Never;
    /// No question waits for an answer under that id.
    QuestionNotFound "LOOM_QUESTION_NOT_FOUND" NotFound Never;
    /// The idempotency key was used for another request.
    IdempotencyConflict "LOOM_IDEMPOTENCY_CONFLICT" AlreadyExists Never;
    /// The place to resume a stream from is not one of that turn's.
    InvalidCursor "LOOM_INVALID_CURSOR" InvalidArgument Never;
    /// No trace has that id.
    TraceNotFound "LOOM_TRACE_NOT_FOUND" NotFound Never;
    /// No pattern has that name.
    PatternNotFound "LOOM_PATTERN_NOT_FOUND" NotFound Never;
    /// A pattern of that name exists already.
    PatternExists "LOOM_PATTERN_EXISTS" AlreadyExists Never;
    /// The server cannot write to its patterns folder.
    PatternsReadOnly "LOOM_PATTERNS_READ_ONLY" FailedPrecondition Never;
    /// A path in a request leads outside the folders that the server was given.
    PathRefused "LOOM_PATH_REFUSED" PermissionDenied Never;
    /// No backend has that name.
    BackendNotFound "LOOM_BACKEND_NOT_FOUND" NotFound Never;
    /// The provider does not know the model.
    ModelNotFound "LOOM_MODEL_NOT_FOUND" FailedPrecondition Never;
    /// No route of the HTTP API matches.
    RouteNotFound "LOOM_ROUTE_NOT_FOUND" NotFound Never;
    /// No model provider is configured for the agent.
    NoProvider "LOOM_NO_PROVIDER" FailedPrecondition Never;
    /// A provider needs a credential and none was found, or the one found was rejected.
    Credential "LOOM_CREDENTIAL" FailedPrecondition Never;
    /// The context does not fit the model's window.
    ContextTooLong "LOOM_CONTEXT_TOO_LONG" FailedPrecondition Never;
    /// The provider refused the request as invalid.
    LlmRequestRejected "LOOM_LLM_REQUEST_REJECTED" FailedPrecondition Never;
    /// The provider limits the rate of requests.
    LlmRateLimited "LOOM_LLM_RATE_LIMITED" ResourceExhausted Later;
    /// The provider account has no quota left.
    LlmQuota "LOOM_LLM_QUOTA" ResourceExhausted Never;
    /// The provider does not answer, or its answer broke off.
    LlmUnavailable "LOOM_LLM_UNAVAILABLE" Unavailable Later;
    /// The provider answered with something that is not its protocol, or with nothing.
    LlmInvalidResponse "LOOM_LLM_INVALID_RESPONSE" Unavailable Later;
    /// The turn used up one of its limits before it had an answer.
    TurnLimit "LOOM_TURN_LIMIT" ResourceExhausted Never;
    /// What is left of a budget does not cover what the next model call may use.
    BudgetExceeded "LOOM_BUDGET_EXCEEDED" ResourceExhausted Never;
    /// A budget of money holds for a model whose price is not known.
    BudgetUnpriced "LOOM_BUDGET_UNPRICED" FailedPrecondition Never;
    /// A backend does not answer.
    BackendUnavailable "LOOM_BACKEND_UNAVAILABLE" Unavailable Later;
    /// A tool call failed.
    ToolFailed "LOOM_TOOL_FAILED" FailedPrecondition Never;
    /// A hook ended the turn.
    HookDenied "LOOM_HOOK_DENIED" PermissionDenied Never;
    /// The session is at work on another message, and this one was not to wait.
    SessionBusy "LOOM_SESSION_BUSY" Aborted Later;
    /// Too many messages wait in one session.
    QueueFull "LOOM_QUEUE_FULL" ResourceExhausted Later;
    /// The server works on as many requests as it is allowed to.
    Overloaded "LOOM_OVERLOADED" ResourceExhausted Later;
    /// The time given for the request ran out.
    DeadlineExceeded "LOOM_DEADLINE_EXCEEDED" DeadlineExceeded Later;
    /// The caller cancelled.
    Cancelled "LOOM_CANCELLED" Cancelled Never;
    /// The request comes from a web page or host that may not drive this server.
    ForbiddenOrigin "LOOM_FORBIDDEN_ORIGIN" PermissionDenied Never;
    /// The caller may not do this.
    PermissionDenied "LOOM_PERMISSION_DENIED" PermissionDenied Never;
    /// The address is reachable from other machines and not protected.
    InsecureBind "LOOM_INSECURE_BIND" FailedPrecondition Never;
    /// Another process uses the data directory.
    DataDirLocked "LOOM_DATA_DIR_LOCKED" FailedPrecondition Later;
    /// The database belongs to another program.
    StoreForeign "LOOM_STORE_FOREIGN" FailedPrecondition Never;
    /// The store was written by a newer Loom.
    StoreTooNew "LOOM_STORE_TOO_NEW" FailedPrecondition Never;
    /// This kind of store has tools of its own for that.
    StoreUnsupported "LOOM_STORE_UNSUPPORTED" FailedPrecondition Never;
    /// A file of that name is there already.
    BackupExists "LOOM_BACKUP_EXISTS" AlreadyExists Never;
    /// No backup is under that name.
    BackupNotFound "LOOM_BACKUP_NOT_FOUND" NotFound Never;
    /// The file is not a whole export that this version reads.
    ExportInvalid "LOOM_EXPORT_INVALID" InvalidArgument Never;
    /// The store that was to be filled holds something.
    StoreNotEmpty "LOOM_STORE_NOT_EMPTY" FailedPrecondition Never;
    /// The store does not answer or cannot write.
    StoreUnavailable "LOOM_STORE_UNAVAILABLE" Unavailable Later;
    /// Another writer was first; read again.
    StoreConflict "LOOM_STORE_CONFLICT" Aborted Later;
    /// A stored record does not decode.
    StoreCorrupt "LOOM_STORE_CORRUPT" DataLoss Never;
    /// The server is stopping.
    ShuttingDown "LOOM_SHUTTING_DOWN" Unavailable Later;
    /// No server answers at the address.
    ServerUnreachable "LOOM_SERVER_UNREACHABLE" Unavailable Later;
    /// A defect in Loom.
    Internal "LOOM_INTERNAL" Internal Never;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ErrorCode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!(code.as_str().starts_with("LOOM_"));
            assert!(code.summary().ends_with('.'));
        }
    }
}
