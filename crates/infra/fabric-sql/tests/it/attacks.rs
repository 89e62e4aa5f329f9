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
    CREATE FUNCTION one_tag() RETURNS tagged LANGUAGE sql STABLE AS 'SELECT ROW(1)';
    CREATE FUNCTION same(tagged, int) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT write_note() > 0';
    CREATE OPERATOR >= (LEFTARG = tagged, RIGHTARG = int, FUNCTION = same);
    CREATE OPERATOR <= (LEFTARG = tagged, RIGHTARG = int, FUNCTION = same);
    CREATE FUNCTION run_text(text) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN EXECUTE $1; RETURN 1; END';
    CREATE FUNCTION body(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT write_note()';
    CREATE FUNCTION relkind(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT write_note()';
    CREATE FUNCTION touch_id(int, int DEFAULT 1) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT write_note()';
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
    ("SELECT honest()", &[Connection]),
    ("SELECT 1::tagged", &[Functions, Connection]),
    ("SELECT CAST(1 AS Tagged)", &[Functions, Connection]),
    ("SELECT ARRAY[1]::tagged[]", &[Functions, Connection]),
    ("SELECT substring(one_tag(), 1)", &[Functions, Connection]),
    ("SELECT one_tag() LIKE 1", &[Functions, Connection]),
    ("SELECT one_tag() BETWEEN 1 AND 1", &[Functions, Connection]),
    // PostgreSQL calls `(expr).f` as `f(expr)`.
    ("SELECT ('/etc/passwd'::text).pg_read_file", &[Functions]),
    ("SELECT ('/etc/passwd'::text).Pg_Read_File", &[Functions]),
    ("SELECT ('/etc/passwd'::text) . /* */ \"pg_read_file\"", &[Functions]),
    ("SELECT ('/etc/passwd'::text).U&\"pg\\005fread_file\"", &[Functions]),
    ("SELECT ('/etc/passwd'::text).u&\"pg!005fread_file\" UESCAPE '!'", &[Functions]),
    ("SELECT (SELECT '/etc/passwd'::text).pg_read_file", &[Functions]),
    ("SELECT (ARRAY['/etc/passwd'])[1].pg_read_file", &[Functions]),
    ("SELECT a[1].pg_read_file FROM (SELECT ARRAY['/etc/passwd'] AS a) AS z", &[Functions]),
    ("SELECT z.a[1].pg_read_file FROM (SELECT ARRAY['/etc/passwd'] AS a) AS z", &[Functions]),
    ("SELECT (z.a[1:1])[1].pg_read_file FROM (SELECT ARRAY['/etc/passwd'] AS a) AS z", &[Functions]),
    ("SELECT c.pg_read_file FROM concat('/etc/passwd') AS c", &[Functions]),
    ("SELECT 1 ORDER BY ('/etc/passwd'::text).pg_read_file", &[Functions]),
    ("SELECT length((('/etc/passwd'::text).pg_read_file).lower)", &[Functions]),
    ("SELECT (p).name.pg_read_file FROM (SELECT s AS p FROM pg_settings AS s) AS z", &[Functions]),
    ("SELECT ('/etc/passwd'::text).pg_read_binary_file", &[Functions]),
    ("SELECT ('/'::text).pg_ls_dir", &[Functions]),
    ("SELECT (600).pg_sleep", &[Functions]),
    ("SELECT (pid).pg_terminate_backend FROM (SELECT 0 AS pid) AS z", &[Functions]),
    ("SELECT ('notes'::regclass::oid::int8).pg_advisory_lock", &[Functions, Connection]),
    ("SELECT ('/etc/passwd'::text).lo_import", &[Functions]),
    ("SELECT ('here'::text).pg_create_restore_point", &[Functions]),
    (
        "SELECT (q).ts_stat FROM (SELECT 'SELECT to_tsvector(write_note()::text)'::text AS q) AS z",
        &[Functions, Connection],
    ),
    ("SELECT ('ids'::regclass).nextval", &[Functions, Connection]),
    ("SELECT (c).run_text FROM (SELECT 'DELETE FROM notes'::text AS c) AS z", &[Functions, Connection]),
    ("SELECT c.run_text FROM concat('DELETE FROM notes') AS c", &[Functions, Connection]),
    ("SELECT (id).touch_id FROM notes", &[Functions, Connection]),
    ("SELECT (id).write_all FROM notes GROUP BY id", &[Functions, Connection]),
    ("SELECT (notes).touch FROM notes", &[Functions, Connection]),
    ("SELECT notes.touch FROM notes", &[Functions, Connection]),
    ("SELECT (SELECT n FROM notes AS n LIMIT 1).touch", &[Functions, Connection]),
    // `body` is a column of `notes` too.
    ("SELECT (id).body FROM notes", &[Functions, Connection]),
    ("SELECT (n.id).body, n.body FROM notes AS n", &[Functions, Connection]),
    ("SELECT n.body FROM generate_series(1, 1) AS n", &[Functions, Connection]),
    (
        "SELECT n.body FROM notes AS n WHERE EXISTS (SELECT n.body FROM generate_series(1, 1) AS n)",
        &[Functions, Connection],
    ),
    (
        "SELECT notes.body FROM unnest(ARRAY[1]) AS notes WHERE (SELECT count(*) FROM notes) > 0",
        &[Functions, Connection],
    ),
    (
        "SELECT u.body FROM notes AS n, (SELECT 1 AS body) AS z, unnest(ARRAY[n.id]) AS u",
        &[Functions, Connection],
    ),
    (
        "SELECT NOT\u{a0}n.body FROM notes AS n, generate_series(1, 1) AS \"not\u{a0}n\"",
        &[Functions, Connection],
    ),
    // Names are cut at 63 bytes, so that both are one.
    (
        "SELECT 1 FROM notes AS aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaax
         WHERE EXISTS (SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaax.body
                       FROM generate_series(1, 1) AS aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaay)",
        &[Functions, Connection],
    ),
    ("WITH notes AS (SELECT 1 AS id) SELECT notes.body FROM notes", &[Functions, Connection]),
    ("SELECT n.body FROM notes AS n (one, two)", &[Functions, Connection]),
];

/// What must still be answered where those are refused.
pub(crate) const POSTGRES_READS: &[&str] = &[
    "SELECT n.id, n.body, \"n\".\"id\" FROM notes AS n WHERE n.id IN (SELECT notes.id FROM notes)",
    "SELECT (n).id, (n.body).length FROM notes AS n",
    "SELECT \"notes\".\"body\", N.Body FROM notes JOIN notes AS n ON n.body = notes.body ORDER BY notes.body",
    "SELECT pg_catalog.pg_class.relkind FROM pg_catalog.pg_class LIMIT 1",
    "SELECT (one_tag()).n, (t.a)[1].length FROM (SELECT ARRAY['x'] AS a) AS t",
    "SELECT c.relname, 'notes'::regclass, 'notes'::regclass::oid::int8 FROM pg_catalog.pg_class AS c LIMIT 1",
    "SELECT s.system, s.random FROM (SELECT 1 AS system, 2 AS random) AS s",
    "SELECT two.write_two, two.write_note FROM (SELECT 1 AS write_two, 2 AS write_note) AS two",
    "SELECT '1'::numeric(10, 2), DATE '2024-02-29', '1 day'::interval, ARRAY[1]::int8[], CAST('a' AS varchar(3))",
    "SELECT '2024-02-29 01:02+02'::timestamp(3) with time zone, 1::double precision, 'a'::\"char\", '{}'::jsonb",
    "SELECT CASE id WHEN 1 THEN 'one' END FROM notes JOIN (SELECT 1 AS id) AS o USING (id)",
];
