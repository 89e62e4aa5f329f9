//! Reads a query text into what the walls judge and the engine is sent.

use std::ops::Range;
use std::panic::catch_unwind;

use loom_fabric::Dialect;
use sqlparser::ast::{Statement, Visit as _};
use sqlparser::dialect::{PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::{AdmittedQuery, Census, Placeholder, read_only};
use crate::failure::Failure;

/// The longest query read. A chain of operators is as deep a tree as it has operators, and depth costs stack.
const MAX_SQL_BYTES: usize = 64 * 1024;

/// Enough stack to walk and drop the deepest tree that a text of [`MAX_SQL_BYTES`] can make.
const PARSER_STACK: usize = 256 * 1024 * 1024;

/// Stack for each byte of a text: the same share for a short one.
const STACK_A_BYTE: usize = PARSER_STACK / MAX_SQL_BYTES;

/// Stack that the parser takes for any text.
const LEAST_STACK: usize = 512 * 1024;

/// The longest query read where the caller is: some hundred microseconds. Longer ones would keep other tasks waiting.
const MAX_INLINE_BYTES: usize = 4 * 1024;

/// Reads `sql` on a stack of its own; with `read_only`, refuses what is not a single reading statement.
pub(super) async fn read(dialect: Dialect, sql: &str, read_only: bool) -> Result<AdmittedQuery, Failure> {
    if sql.len() > MAX_SQL_BYTES {
        return Err(Failure::refused(format!("the query is longer than {MAX_SQL_BYTES} bytes")));
    }
    if sql.len() <= MAX_INLINE_BYTES {
        return read_apart(dialect, sql, read_only);
    }
    let sql = sql.to_owned();
    let reading = tokio::task::spawn_blocking(move || read_apart(dialect, &sql, read_only));
    reading.await.map_err(|error| Failure::failed(format!("the query was not read: {error}")))?
}

/// Reads `sql` on a stack that no query is too deep for: where the caller is, when that has enough left, as it has for a
/// query of some hundred bytes. Making a stack and unmaking it costs more than reading such a query. A query that the parser panics at is refused like any other
/// that it cannot read.
fn read_apart(dialect: Dialect, sql: &str, read_only: bool) -> Result<AdmittedQuery, Failure> {
    let read = || catch_unwind(|| read_here(dialect, sql, read_only));
    let enough = LEAST_STACK + sql.len() * STACK_A_BYTE;
    stacker::maybe_grow(enough, PARSER_STACK, read).unwrap_or_else(|_| Err(unreadable("the parser failed")))
}

fn read_here(dialect: Dialect, sql: &str, read_only: bool) -> Result<AdmittedQuery, Failure> {
    if sql.contains('\0') {
        return Err(Failure::refused("the query holds a NUL character"));
    }
    let grammar: &dyn sqlparser::dialect::Dialect = match dialect {
        Dialect::Sqlite => &SQLiteDialect {},
        Dialect::Postgres => &PostgreSqlDialect {},
    };
    let tokens = Tokenizer::new(grammar, sql)
        .tokenize_with_location()
        .map_err(|error| unreadable(&format!("{} at {}", error.message, place(error.location))))?;
    let ranges = ranges(sql, &tokens);
    let text = without_comments(sql, &tokens, &ranges)?;
    let placeholders = placeholders(dialect, &tokens, &ranges)?;
    let mut census = Census::of(dialect);
    census.take_tokens(words(&tokens));
    refuse_escaped_names(dialect, &tokens)?;
    let statements = Parser::new(grammar)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| unreadable(&parser_message(sql, &error)))?;
    let [statement] = statements.as_slice() else {
        return Err(Failure::refused(format!(
            "exactly one statement is allowed and there are {}",
            statements.len()
        )));
    };
    if read_only {
        read_only::check(statement).map_err(Failure::refused)?;
    }
    let _walked_to_the_end = statement.visit(&mut census);
    Ok(AdmittedQuery {
        sql: text,
        explain: matches!(statement, Statement::Explain { .. }),
        placeholders,
        census,
    })
}

/// The tokens that mean something.
fn words(tokens: &[TokenWithSpan]) -> impl Iterator<Item = &Token> {
    tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_)))
}

/// PostgreSQL reads `U&"…"` as one name with escapes in it, the tokeniser as three tokens.
fn refuse_escaped_names(dialect: Dialect, tokens: &[TokenWithSpan]) -> Result<(), Failure> {
    let is_escaped = |three: &&[TokenWithSpan]| match [&three[0].token, &three[1].token, &three[2].token] {
        [Token::Word(prefix), Token::Ampersand, Token::Word(name)] => {
            prefix.value.eq_ignore_ascii_case("u")
                && prefix.quote_style.is_none()
                && name.quote_style.is_some()
        }
        _ => false,
    };
    match tokens.windows(3).find(is_escaped) {
        Some(three) if dialect == Dialect::Postgres => {
            let at = place(three[0].span.start);
            Err(unreadable(&format!("a name in Unicode escapes at {at} is not allowed")))
        }
        _ => Ok(()),
    }
}

fn unreadable(reason: &str) -> Failure {
    Failure::refused(format!("the query cannot be read: {reason}"))
}

fn parser_message(sql: &str, error: &ParserError) -> String {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            message.replace(" at Line: ", " at line ").replace(", Column: ", ", column ")
        }
        ParserError::RecursionLimitExceeded => return "it is nested too deeply".to_owned(),
    };
    if message.contains(" at line ") {
        return message;
    }
    // Only the end of the text comes without a position.
    let line = sql.matches('\n').count() + 1;
    let column = sql.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{message} at line {line}, column {column}")
}

fn place(location: Location) -> String {
    format!("line {}, column {}", location.line, location.column)
}

/// The bytes that each token takes. Tokens follow each other, so one walk over the text finds them all.
fn ranges(sql: &str, tokens: &[TokenWithSpan]) -> Vec<Range<usize>> {
    let mut letters = sql.char_indices().peekable();
    let (mut line, mut column) = (1, 1);
    let mut offset_of = |location: Location| {
        while let Some((index, letter)) = letters.peek().copied() {
            if (line, column) >= (location.line, location.column) {
                return index;
            }
            letters.next();
            (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        sql.len()
    };
    tokens
        .iter()
        .map(|token| {
            let start = offset_of(token.span.start);
            start..offset_of(token.span.end)
        })
        .collect()
}

/// The text with comments blanked and without the semicolons at its end. Positions stay as they are.
fn without_comments(sql: &str, tokens: &[TokenWithSpan], ranges: &[Range<usize>]) -> Result<String, Failure> {
    let mut text = sql.to_owned();
    for (token, range) in tokens.iter().zip(ranges) {
        let range = range.clone();
        match &token.token {
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
                let blank = |byte| if byte == b'\n' || byte == b'\r' { char::from(byte) } else { ' ' };
                let blanks: String = sql[range.clone()].bytes().map(blank).collect();
                text.replace_range(range, &blanks);
            }
            Token::Whitespace(_) => {}
            _ if holds_text(&token.token) => {}
            _ if has_comment_mark(&sql[range]) => {
                let at = place(token.span.start);
                return Err(unreadable(&format!("an operator holds the mark of a comment at {at}")));
            }
            _ => {}
        }
    }
    let end = text.trim_end_matches(|letter: char| letter == ';' || letter.is_whitespace()).len();
    text.truncate(end);
    Ok(text)
}

/// Whether a token is a literal or a quoted name, in which a comment's mark is just text.
fn holds_text(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_some(),
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::HexStringLiteral(_) => true,
        _ => false,
    }
}

fn has_comment_mark(token: &str) -> bool {
    token.contains("--") || token.contains("/*")
}

fn placeholders(
    dialect: Dialect,
    tokens: &[TokenWithSpan],
    ranges: &[Range<usize>],
) -> Result<Vec<Placeholder>, Failure> {
    const MOST_PARAMETERS: usize = 32_766;
    let mut found = Vec::new();
    let (mut numbered, mut bare) = (false, 0_usize);
    for (token, range) in tokens.iter().zip(ranges) {
        let Token::Placeholder(mark) = &token.token else { continue };
        let number = match (dialect, mark.split_at(1)) {
            (Dialect::Sqlite, ("?", "")) => {
                bare += 1;
                Some(bare)
            }
            (Dialect::Sqlite, ("?", digits)) | (Dialect::Postgres, ("$", digits)) => {
                numbered = true;
                digits.parse().ok()
            }
            _ => None,
        };
        let number = number.filter(|number| (1..=MOST_PARAMETERS).contains(number)).ok_or_else(|| {
            let at = place(token.span.start);
            Failure::refused(format!(
                "the parameter {mark} at {at} is not of the form {}",
                dialect.placeholder(1)
            ))
        })?;
        found.push(Placeholder { number, range: range.clone() });
    }
    if numbered && bare > 0 {
        return Err(Failure::refused("numbered and unnumbered parameters cannot be mixed"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use loom_fabric::BackendErrorKind;

    use super::*;

    #[tokio::test]
    async fn comments_become_blanks_and_text_stays() {
        let sql = "SELECT '--no', \"/*\" -- a\n, é /* b */ FROM t;;";
        let read = read(Dialect::Postgres, sql, true).await.unwrap();
        assert_eq!(read.sql, "SELECT '--no', \"/*\"     \n, é         FROM t");
    }

    #[tokio::test]
    async fn errors_say_where() {
        let error = read(Dialect::Sqlite, "SELECT a\nFROM (b", true).await.unwrap_err();
        assert!(error.message.contains("line 2, column"), "{}", error.message);
        let error = read(Dialect::Sqlite, "SELECT a\nFROM b WHERE )", true).await.unwrap_err();
        assert!(error.message.contains("line 2, column"), "{}", error.message);
        let error = read(Dialect::Sqlite, "SELECT 'a", true).await.unwrap_err();
        assert!(error.message.contains("line 1, column 8"), "{}", error.message);
    }

    #[tokio::test]
    async fn the_deepest_chain_that_fits_does_not_end_the_process() {
        for link in ["+1", "||1", " OR 1", "::int", "[1]"] {
            let sql = format!("SELECT 1{}", link.repeat((MAX_SQL_BYTES - 9) / link.len()));
            let _either_way = read(Dialect::Postgres, &sql, true).await;
        }
        let nested = format!("SELECT {}1{}", "(".repeat(30_000), ")".repeat(30_000));
        assert!(read(Dialect::Postgres, &nested, true).await.unwrap_err().message.contains("nested"));
        assert!(read(Dialect::Sqlite, &"x".repeat(MAX_SQL_BYTES + 1), true).await.is_err());
    }

    #[tokio::test]
    async fn a_name_after_a_dot_is_a_field_in_every_form() {
        for form in [
            "SELECT ('x').f",
            "SELECT ('x' :: text) . F",
            "SELECT ('x')./* */\"f\"",
            "SELECT $1.f",
            "SELECT a[1].f FROM t",
            "SELECT t.a[1:2].f FROM t",
            "SELECT (t.a).b.f FROM t",
            "SELECT (SELECT 1).f",
            "SELECT (t.*).f FROM t",
            "SELECT (t).f.* FROM t",
            "SELECT count(*) FROM t GROUP BY t.f HAVING max(t.f) > 1",
            "SELECT sum(1) OVER (PARTITION BY t.f) FROM t",
            "VALUES ((1).f)",
        ] {
            match read(Dialect::Postgres, form, true).await {
                Ok(query) => {
                    assert!(query.census.fields.iter().any(|field| field.name == "f"), "{form}: {query:?}");
                }
                Err(refused) => assert_eq!(refused.kind, BackendErrorKind::Refused, "{form}"),
            }
        }
        let quoted = read(Dialect::Postgres, "SELECT t.\"F\" FROM t", true).await.unwrap();
        assert_eq!(quoted.census.fields.iter().map(|field| &field.name).collect::<Vec<_>>(), ["F"]);
    }

    #[tokio::test]
    async fn placeholders_are_found_where_they_stand() {
        let sql = "SELECT 'é $9', $2, $1 -- $3";
        let found = read(Dialect::Postgres, sql, true).await.unwrap().placeholders;
        let texts: Vec<_> = found.iter().map(|found| (found.number, &sql[found.range.clone()])).collect();
        assert_eq!(texts, [(2, "$2"), (1, "$1")]);
        for mixed in ["SELECT ?, ?1", "SELECT ?0", "SELECT $1", "SELECT ?99999999999999999999"] {
            assert!(read(Dialect::Sqlite, mixed, true).await.is_err(), "{mixed}");
        }
    }
}
