//! What the templates must find in the shop, computed another way: by subqueries instead of joins, or by hand.

/// How an answer is checked.
pub(crate) enum Proof {
    /// The rows are those of this query, which runs on both engines.
    Rows(&'static str),
    /// Some row holds these texts; `{schema}` is the test's own.
    Holds(&'static [&'static str]),
}
use Proof::{Holds, Rows};

/// By pattern and template. Templates that are not here must find at least one row.
pub(crate) const PROOFS: &[(&str, Proof)] = &[
    ("count_rows.sql", Rows("SELECT 8")),
    ("count_by_group.sql", Rows("VALUES ('Rock', 4), ('Jazz', 4), ('Pop', 5), (NULL, 1)")),
    ("distribution.sql", Rows(COUNTRIES)),
    ("filter_by_value.sql", Rows(JAZZ)),
    ("filter_by_value.sql_contains", Rows(JAZZ)),
    ("highest_values.sql", Rows("VALUES ('Track 12', 9999999), ('Track 08', 980000), ('Track 06', 562000)")),
    ("lowest_values.sql", Rows("VALUES ('Track 14', 61000), ('Track 11', 199000), ('Track 09', 201000)")),
    ("measure_summary.sql", Rows(SUMMARY)),
    ("recent_rows.sql", Rows(r#"SELECT * FROM "Invoice" WHERE "InvoiceDate" > '2024-03-10'"#)),
    ("summary_by_group.sql", Rows(BY_COUNTRY)),
    ("top_by_average.sql", Rows(AVERAGES)),
    (
        "top_by_count.sql",
        Rows("VALUES ('Björk', 3), ('Miles Davis', 2), ('AC/DC', 1), ('Accept', 1), (NULL, 1)"),
    ),
    ("top_by_total.sql", Rows(BEST_CUSTOMERS)),
    ("bottom_by_total.sql", Rows(TOTALS_BY_COUNTRY)),
    ("share_of_total.sqlite", Rows(SHARES)),
    ("share_of_total.postgres", Rows(SHARES)),
    ("rank_within_group.sql", Rows(BEST_OF_EACH_COUNTRY)),
    ("median.sqlite", Rows(MEDIAN)),
    ("median.postgres", Rows(MEDIAN)),
    ("rows_by_month.sqlite", Rows(ROWS_BY_MONTH)),
    ("rows_by_month.postgres", Rows(ROWS_BY_MONTH)),
    ("trend_by_month.sqlite", Rows(TREND_BY_MONTH)),
    ("trend_by_month.postgres", Rows(TREND_BY_MONTH)),
    ("trend_by_year.sqlite", Rows(TREND_BY_YEAR)),
    ("trend_by_year.postgres", Rows(TREND_BY_YEAR)),
    ("running_total.sqlite", Rows(RUNNING_TOTAL)),
    ("running_total.postgres", Rows(RUNNING_TOTAL)),
    ("period_change.sqlite", Rows(CHANGES)),
    ("period_change.postgres", Rows(CHANGES)),
    ("data_freshness.sql", Rows(PERIOD)),
    ("duplicates.sql", Rows("VALUES ('ann@example.com', 2), ('bob@example.com', 2)")),
    ("missing_related_rows.sql", Rows("VALUES ('Nobody''s Band', 4)")),
    ("null_profile.sql", Rows("VALUES (8, 4, 1, 50, 3)")),
    ("orphaned_rows.sql", Rows("VALUES (99, 2)")),
    ("outliers.sql", Rows(r#"SELECT 37, 900.00, sum("Total") / 41 FROM "Invoice""#)),
    ("cache_hits.postgres", Holds(&["{schema}", "Invoice"])),
    ("dead_rows.postgres", Holds(&["{schema}", "Note"])),
    ("long_running_queries.postgres", Holds(&["active", "SELECT pg_sleep(60)"])),
    ("sequential_scans.postgres", Holds(&["{schema}", "Note"])),
    ("table_sizes.postgres", Holds(&["{schema}", "Note"])),
    ("tables_without_primary_key.postgres", Holds(&["{schema}", "Note"])),
    ("unused_indexes.postgres", Holds(&["{schema}", "Invoice", "InvoiceByTotal"])),
];

const COUNTRIES: &str =
    "VALUES ('Brazil', 2, 25), ('Germany', 2, 25), ('Canada', 2, 25), ('Chile', 1, 12.5), (NULL, 1, 12.5)";

const JAZZ: &str = r#"SELECT * FROM "Track" WHERE "TrackId" IN (5, 6, 7, 8)"#;

const SUMMARY: &str = r#"SELECT 41, sum("Total"), sum("Total") / 41, 0.48, 900.00 FROM "Invoice""#;

const PERIOD: &str = r#"
    SELECT (SELECT "InvoiceDate" FROM "Invoice" WHERE "InvoiceId" = 1),
           (SELECT "InvoiceDate" FROM "Invoice" WHERE "InvoiceId" = 3), 41"#;

/// Two customers are called Ann Smith; customers 8 and 99 bought or exist not.
const BEST_CUSTOMERS: &str = r#"
    SELECT trim("FirstName" || ' ' || coalesce("LastName", '')),
           (SELECT sum("Total") FROM "Invoice" AS i WHERE i."CustomerId" = c."CustomerId") AS spent
    FROM "Customer" AS c WHERE "CustomerId" < 8 ORDER BY spent DESC LIMIT 5"#;

const BEST_OF_EACH_COUNTRY: &str = r#"
    WITH spent (country, name, total) AS (
        SELECT coalesce(c."Country", ''), trim(c."FirstName" || ' ' || coalesce(c."LastName", '')),
               (SELECT sum("Total") FROM "Invoice" AS i WHERE i."CustomerId" = c."CustomerId")
        FROM "Customer" AS c WHERE c."CustomerId" < 8
    )
    SELECT nullif(country, ''), 1, name, total FROM spent
    WHERE total = (SELECT max(total) FROM spent AS other WHERE other.country = spent.country)"#;

macro_rules! sold {
    ($select:literal, $rest:literal) => {
        concat!(
            "WITH sold (country, total, day) AS (SELECT \
             (SELECT \"Country\" FROM \"Customer\" AS c WHERE c.\"CustomerId\" = i.\"CustomerId\"), \
             \"Total\", CAST(\"InvoiceDate\" AS TEXT) FROM \"Invoice\" AS i) SELECT ",
            $select,
            " FROM sold ",
            $rest
        )
    };
}

const TOTALS_BY_COUNTRY: &str = sold!("country, sum(total)", "GROUP BY country");

const BY_COUNTRY: &str = sold!(
    "country, count(total), sum(total), sum(total) / count(total), min(total), max(total)",
    "GROUP BY country"
);

const AVERAGES: &str = sold!("country, sum(total) / count(total), count(total)", "GROUP BY country");

const SHARES: &str = sold!(
    "country, sum(total), round(100 * sum(total) / (SELECT sum(total) FROM sold), 2)",
    "GROUP BY country"
);

const MEDIAN: &str = sold!("total, 41", "WHERE total IS NOT NULL ORDER BY total LIMIT 1 OFFSET 20");

const ROWS_BY_MONTH: &str = sold!("substr(day, 1, 7), count(*)", "GROUP BY substr(day, 1, 7)");

const TREND_BY_MONTH: &str = sold!("substr(day, 1, 7), sum(total), count(*)", "GROUP BY substr(day, 1, 7)");

const TREND_BY_YEAR: &str = sold!("substr(day, 1, 4), sum(total), count(*)", "GROUP BY substr(day, 1, 4)");

macro_rules! months {
    ($select:literal) => {
        concat!(
            "WITH months (month, next, total) AS (SELECT substr(CAST(\"InvoiceDate\" AS TEXT), 1, 7), \
             CASE substr(CAST(\"InvoiceDate\" AS TEXT), 1, 7) \
             WHEN '2023-11' THEN '2023-12' WHEN '2023-12' THEN '2024-01' ELSE '2024-03' END, sum(\"Total\") \
             FROM \"Invoice\" WHERE \"InvoiceDate\" IS NOT NULL GROUP BY 1, 2) SELECT ",
            $select
        )
    };
}

const RUNNING_TOTAL: &str = months!(
    "month, total, (SELECT sum(total) FROM months AS up_to WHERE up_to.month <= months.month) FROM months"
);

/// No invoice is of February: March is compared with January.
const CHANGES: &str = months!(
    "months.month, months.total, months.total - before.total, \
     round(100 * (months.total - before.total) / before.total, 2) \
     FROM months LEFT JOIN months AS before ON before.next = months.month AND before.month < months.month"
);
