//! What an agent could try, and which walls stop it, each alone.

/// One of the three walls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    /// The statement is not admitted.
    Parser,
    /// The function is not admitted.
    Functions,
    /// It has no effect.
    Connection,
}

/// A query and the walls of which each alone stops it.
pub(crate) type Attack = (&'static str, &'static [Wall]);

use Wall::{Connection, Functions, Parser};

pub(crate) const SQLITE_SETUP: &str = "
    CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);
    INSERT INTO notes VALUES (1, 'one'), (2, 'two');
    CREATE INDEX notes_body ON notes (body);";

pub(crate) const SQLITE: &[Attack] = &[
    ("INSERT INTO notes VALUES (3, 'three')", &[Parser, Connection]),
    ("REPLACE INTO notes VALUES (1, 'eins')", &[Parser, Connection]),
    ("UPDATE notes SET body = ''", &[Parser, Connection]),
    ("DELETE FROM notes", &[Parser, Connection]),
    ("DELETE FROM notes RETURNING id", &[Parser, Connection]),
    ("DROP TABLE notes", &[Parser, Connection]),
    ("CREATE TABLE more (a)", &[Parser, Connection]),
    ("CREATE TABLE more AS SELECT * FROM notes", &[Parser, Connection]),
    ("ALTER TABLE notes RENAME TO memos", &[Parser, Connection]),
    ("CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END", &[Parser, Connection]),
    ("SELECT 1; DELETE FROM notes", &[Parser, Connection]),
    ("SELECT 1;;;DELETE FROM notes;", &[Parser, Connection]),
    ("SELECT 1 /* /* */; DELETE FROM notes; -- */ */", &[Parser, Connection]),
    ("SELECT 1 --\r; DELETE FROM notes\n; DELETE FROM notes", &[Parser, Connection]),
    ("WITH x AS (SELECT 1) DELETE FROM notes", &[Parser, Connection]),
    ("WITH x AS (SELECT 5) INSERT INTO notes SELECT *, 'x' FROM x", &[Parser, Connection]),
    ("EXPLAIN DELETE FROM notes", &[Parser, Connection]),
    ("ATTACH 'side.sqlite' AS side", &[Parser]),
    ("ATTACH DATABASE ':memory:' AS side", &[Parser]),
    ("DETACH main", &[Parser]),
    ("PRAGMA query_only = OFF", &[Parser]),
    ("PRAGMA query_only = OFF; DELETE FROM notes", &[Parser, Connection]),
    ("PRAGMA writable_schema = ON", &[Parser]),
    ("PRAGMA journal_mode = DELETE", &[Parser]),
    ("VACUUM", &[Parser, Connection]),
    ("VACUUM INTO 'copy.sqlite'", &[Parser]),
    ("REINDEX", &[Parser, Connection]),
    ("ANALYZE", &[Parser, Connection]),
    ("BEGIN EXCLUSIVE", &[Parser]),
    ("SAVEPOINT s", &[Parser]),
    ("SELECT randomblob(900000000)", &[Functions]),
    ("SELECT length(zeroblob(900000000))", &[Functions]),
    ("SELECT length(printf('%900000000d', 1))", &[Functions]),
    ("SELECT length(format('%900000000d', 1))", &[Functions]),
    ("SELECT length(\"ZeroBlob\"(900000000))", &[Functions]),
    ("SELECT length([zeroblob](900000000))", &[Functions]),
    ("SELECT length(`zeroblob`(900000000))", &[Functions]),
    ("SELECT 1 ORDER BY (SELECT length(zeroblob(900000000)))", &[Functions]),
    ("WITH x AS (VALUES (length(zeroblob(900000000)))) SELECT * FROM x", &[Functions]),
    ("SELECT count(*) FILTER (WHERE length(zeroblob(900000000)) > 0) FROM notes", &[Functions]),
    ("SELECT load_extension('evil')", &[Functions, Connection]),
    ("SELECT writefile('out.txt', 'x')", &[Functions, Connection]),
    ("SELECT readfile('data.sqlite')", &[Functions]),
    ("SELECT fts3_tokenizer('simple')", &[Functions]),
    ("SELECT * FROM pragma_database_list", &[Functions]),
    ("SELECT * FROM pragma_function_list()", &[Functions]),
    ("SELECT * FROM dbstat", &[Functions]),
];

pub(crate) const POSTGRES_SETUP: &str = "
    CREATE TABLE notes (id int PRIMARY KEY, body text);
    INSERT INTO notes VALUES (1, 'one'), (2, 'two');
    CREATE SEQUENCE ids;
    CREATE FUNCTION write_note() RETURNS int LANGUAGE sql VOLATILE AS
        'INSERT INTO notes SELECT max(id) + 1, ''written'' FROM notes RETURNING id';
    CREATE FUNCTION write_two(int, int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT write_note()';
    CREATE FUNCTION touch(notes) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT write_note()';
    CREATE OPERATOR <~> (LEFTARG = int, RIGHTARG = int, FUNCTION = write_two);
    CREATE AGGREGATE write_all(int) (SFUNC = write_two, STYPE = int, INITCOND = '0');
    CREATE VIEW sneaky AS SELECT write_note();
    CREATE TYPE tagged AS (n int);
    CREATE FUNCTION tag(int) RETURNS tagged LANGUAGE sql VOLATILE AS 'SELECT ROW(write_note())::tagged';
    CREATE CAST (int AS tagged) WITH FUNCTION tag(int);
    CREATE FUNCTION honest() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN EXECUTE ''SELECT write_note()''; RETURN 1; END';
    CREATE FUNCTION \"substring\"(tagged, int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT write_note()';
    CREATE OPERATOR ~~ (LEFTARG = tagged, RIGHTARG = int, FUNCTION = \"substring\");
    CREATE PROCEDURE clear() LANGUAGE sql AS 'DELETE FROM notes';";

pub(crate) const POSTGRES: &[Attack] = &[
    ("INSERT INTO notes VALUES (3, 'three')", &[Parser, Connection]),
    ("INSERT INTO notes VALUES (3, 'three') RETURNING id", &[Parser, Connection]),
    ("UPDATE notes SET body = ''", &[Parser, Connection]),
    ("DELETE FROM notes", &[Parser, Connection]),
    ("TRUNCATE notes", &[Parser, Connection]),
    ("DROP TABLE notes", &[Parser, Connection]),
    ("CREATE TABLE more (a int)", &[Parser, Connection]),
    ("CREATE TEMP TABLE more (a int)", &[Parser, Connection]),
    ("CREATE TABLE more AS SELECT * FROM notes", &[Parser, Connection]),
    ("ALTER TABLE notes ADD COLUMN c int", &[Parser, Connection]),
    ("GRANT ALL ON notes TO public", &[Parser, Connection]),
    (
        "MERGE INTO notes n USING (VALUES (1)) AS v (id) ON n.id = v.id WHEN MATCHED THEN DELETE",
        &[Parser, Connection],
    ),
    ("COPY notes TO '/tmp/loom-attack'", &[Parser, Connection]),
    ("COPY notes (body) FROM PROGRAM 'echo attack'", &[Parser, Connection]),
    ("DO $$ BEGIN DELETE FROM notes; END $$", &[Parser, Connection]),
    ("CALL clear()", &[Parser, Connection]),
    ("SET transaction_read_only = off", &[Parser, Connection]),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", &[Parser, Connection]),
    ("RESET ALL", &[Parser, Connection]),
    ("COMMIT", &[Parser, Connection]),
    ("COMMIT; DELETE FROM notes", &[Parser, Connection]),
    ("SELECT 1; DELETE FROM notes", &[Parser, Connection]),
    ("SELECT 1; COMMIT; DELETE FROM notes; --", &[Parser, Connection]),
    ("EXPLAIN SELECT 1; COMMIT; DELETE FROM notes", &[Parser, Connection]),
    ("WITH gone AS (DELETE FROM notes RETURNING *) SELECT * FROM gone", &[Parser, Connection]),
    (
        "SELECT * FROM (WITH w AS (INSERT INTO notes VALUES (9, '') RETURNING id) SELECT * FROM w) s",
        &[Parser, Connection],
    ),
    ("SELECT * INTO more FROM notes", &[Parser, Connection]),
    ("SELECT * FROM notes FOR UPDATE", &[Parser, Connection]),
    ("SELECT * FROM notes FOR SHARE", &[Parser, Connection]),
    ("SELECT * FROM (SELECT * FROM notes FOR NO KEY UPDATE) s", &[Parser, Connection]),
    ("EXPLAIN ANALYZE DELETE FROM notes", &[Parser, Connection]),
    ("EXPLAIN ANALYZE SELECT write_note()", &[Parser, Functions, Connection]),
    ("EXPLAIN (COSTS OFF, ANALYZE TRUE) SELECT write_note()", &[Parser, Functions, Connection]),
    ("LISTEN channel", &[Parser, Connection]),
    ("LOCK TABLE notes", &[Parser, Connection]),
    ("PREPARE p AS DELETE FROM notes", &[Parser, Connection]),
    ("TABLE notes", &[Parser]),
    ("SHOW data_directory", &[Parser]),
    ("VACUUM notes", &[Parser, Connection]),
    ("SELECT write_note()", &[Functions, Connection]),
    ("SELECT Write_Note()", &[Functions, Connection]),
    ("SELECT \"write_note\"()", &[Functions, Connection]),
    ("SELECT U&\"\\0077rite_note\"()", &[Functions, Connection]),
    ("SELECT 1 --\r, write_note()", &[Functions, Connection]),
    ("SELECT E'\\'', write_note() --'", &[Functions, Connection]),
    ("SELECT $a$ $b$ $a$, write_note()", &[Functions, Connection]),
    ("SELECT * FROM write_note()", &[Functions, Connection]),
    ("SELECT * FROM notes, LATERAL write_note()", &[Functions, Connection]),
    ("SELECT * FROM ROWS FROM (write_note())", &[Functions, Connection]),
    ("SELECT 1 LIMIT (SELECT write_note())", &[Functions, Connection]),
    ("SELECT 1 ORDER BY write_note()", &[Functions, Connection]),
    ("VALUES (write_note())", &[Functions, Connection]),
    ("SELECT count(*) FILTER (WHERE write_note() > 0) FROM notes", &[Functions, Connection]),
    ("SELECT sum(id) OVER (ORDER BY write_note()) FROM notes", &[Functions, Connection]),
    ("SELECT CASE WHEN true THEN (SELECT write_note()) END", &[Functions, Connection]),
    ("WITH w AS (SELECT write_note() AS n) SELECT n FROM w", &[Functions, Connection]),
    ("SELECT ARRAY[write_note()]", &[Functions, Connection]),
    ("SELECT n.touch FROM notes n", &[Functions, Connection]),
    ("SELECT (n).touch FROM notes n", &[Functions, Connection]),
    ("SELECT 1 <~> 2", &[Functions, Connection]),
    ("SELECT 1 OPERATOR(<~>) 2", &[Functions, Connection]),
    ("SELECT write_all(id) FROM notes", &[Functions, Connection]),
    ("SELECT nextval('ids')", &[Functions, Connection]),
    ("SELECT pg_catalog.setval('ids', 900)", &[Functions, Connection]),
    ("SELECT set_config('transaction_read_only', 'off', false)", &[Functions, Connection]),
    ("SELECT set_config('search_path', 'pg_catalog', false)", &[Functions, Connection]),
    ("SELECT pg_advisory_lock('notes'::regclass::oid::int8)", &[Functions, Connection]),
    ("SELECT pg_sleep(600)", &[Functions]),
    ("SELECT pg_read_file('/etc/passwd')", &[Functions]),
    ("SELECT pg_ls_dir('/')", &[Functions]),
    ("SELECT lo_create(70411)", &[Functions, Connection]),
    ("SELECT lo_import('/etc/passwd', 70412)", &[Functions, Connection]),
    ("SELECT query_to_xml('SELECT write_note()', true, false, '')", &[Functions, Connection]),
    ("SELECT table_to_xml('pg_authid', true, false, '')", &[Functions]),
    ("SELECT ts_stat('SELECT to_tsvector(write_note()::text)')", &[Functions, Connection]),
    ("SELECT * FROM dblink('', 'DELETE FROM notes') AS t (a int)", &[Functions, Connection]),
    ("SELECT pg_terminate_backend(1)", &[Functions]),
    ("SELECT pg_cancel_backend(1)", &[Functions]),
    ("SELECT pg_notify('a', 'b')", &[Functions]),
    ("SELECT pg_reload_conf()", &[Functions]),
    ("SELECT * FROM pg_hba_file_rules", &[Functions]),
    ("SELECT * FROM pg_catalog.pg_authid", &[Functions]),
    ("SELECT * FROM sneaky", &[Connection]),
    ("SELECT 1::tagged", &[Connection]),
    ("SELECT honest()", &[Connection]),
    ("SELECT substring(ROW(1)::tagged, 1)", &[Functions, Connection]),
    ("SELECT ROW(1)::tagged LIKE 1", &[Functions, Connection]),
];
