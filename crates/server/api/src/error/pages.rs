//! The page of each error code, to which the `type` of a problem leads.

macro_rules! pages {
    ($($code:ident)*) => {
        const PAGES: &[(&str, &str)] =
            &[$((stringify!($code), include_str!(concat!("../../../../../docs/errors/", stringify!($code), ".md")))),*];
    };
}

pages! {
    LOOM_AGENT_EXISTS
    LOOM_AGENT_IN_USE
    LOOM_AGENT_NOT_FOUND
    LOOM_APPROVAL_EXPIRED
    LOOM_APPROVAL_MISMATCH
    LOOM_APPROVAL_NOT_FOUND
    LOOM_BACKEND_NOT_FOUND
    LOOM_BACKEND_UNAVAILABLE
    LOOM_BACKUP_EXISTS
    LOOM_BACKUP_NOT_FOUND
    LOOM_BUDGET_EXCEEDED
    LOOM_BUDGET_UNPRICED
    LOOM_CANCELLED
    LOOM_CONTEXT_TOO_LONG
    LOOM_CREDENTIAL
    LOOM_DATA_DIR_LOCKED
    LOOM_DEADLINE_EXCEEDED
    LOOM_EFFECT_MAY_RUN
    LOOM_EFFECT_NOT_FOUND
    LOOM_EFFECT_RESOLVED
    LOOM_EMPTY_QUERY
    LOOM_EXPORT_INVALID
    LOOM_FORBIDDEN_ORIGIN
    LOOM_HOOK_DENIED
    LOOM_IDEMPOTENCY_CONFLICT
    LOOM_INSECURE_BIND
    LOOM_INTERNAL
    LOOM_INVALID_ARGUMENT
    LOOM_INVALID_CONFIG
    LOOM_INVALID_CURSOR
    LOOM_INVALID_PATTERN
    LOOM_INVALID_YAML
    LOOM_LLM_INVALID_RESPONSE
    LOOM_LLM_QUOTA
    LOOM_LLM_RATE_LIMITED
    LOOM_LLM_REQUEST_REJECTED
    LOOM_LLM_UNAVAILABLE
    LOOM_MODEL_NOT_FOUND
    LOOM_NO_PROVIDER
    LOOM_OVERLOADED
    LOOM_PATH_REFUSED
    LOOM_PATTERNS_READ_ONLY
    LOOM_PATTERN_EXISTS
    LOOM_PATTERN_NOT_FOUND
    LOOM_PERMISSION_DENIED
    LOOM_QUERY_FAILED
    LOOM_QUERY_REFUSED
    LOOM_QUESTION_NOT_FOUND
    LOOM_QUEUE_FULL
    LOOM_ROUTE_NOT_FOUND
    LOOM_SERVER_UNREACHABLE
    LOOM_SESSION_AGENT_MISMATCH
    LOOM_SESSION_BUSY
    LOOM_SESSION_ELSEWHERE
    LOOM_SESSION_NOT_FOUND
    LOOM_SHUTTING_DOWN
    LOOM_STORE_CONFLICT
    LOOM_STORE_CORRUPT
    LOOM_STORE_FOREIGN
    LOOM_STORE_NOT_EMPTY
    LOOM_STORE_TOO_NEW
    LOOM_STORE_UNAVAILABLE
    LOOM_STORE_UNSUPPORTED
    LOOM_TOOL_FAILED
    LOOM_TOO_LARGE
    LOOM_TRACE_NOT_FOUND
    LOOM_TURN_LIMIT
    LOOM_TURN_NOT_FOUND
    LOOM_TURN_QUARANTINED
    LOOM_UNKNOWN_FIELD
    LOOM_UNSUPPORTED_FIELD
}

/// The page of `code`, in Markdown.
pub(crate) fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(name, _)| *name == code).map(|(_, page)| *page)
}

#[cfg(test)]
mod tests {
    use loom_base::ErrorCode;

    use super::*;

    #[test]
    fn each_code_has_its_page() {
        for code in ErrorCode::ALL {
            let page = page(code.as_str()).unwrap_or_default();
            assert!(page.starts_with(&format!("# {code}\n")), "{code}");
        }
        assert_eq!(PAGES.len(), ErrorCode::ALL.len());
        assert_eq!(page("LOOM_NOTHING"), None);
    }
}
