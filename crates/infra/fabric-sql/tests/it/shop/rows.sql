-- A shop with what real data has: missing values, two customers of one name, an address used twice, invoices of
-- customers that do not exist, months without an invoice, and values far from all others. Read by both engines.

INSERT INTO "Artist" ("ArtistId", "Name") VALUES
    (1, 'AC/DC'),
    (2, 'Accept'),
    (3, 'Miles Davis'),
    (4, 'Nobody''s Band'),
    (5, 'Björk'),
    (6, NULL);

INSERT INTO "Album" ("AlbumId", "Title", "ArtistId") VALUES
    (1, 'Rocks', 1),
    (2, 'Balls', 2),
    (3, 'Kind of Blue', 3),
    (4, 'Sketches', 3),
    (5, 'Debut', 5),
    (6, 'Post', 5),
    (7, 'Homogenic', 5),
    (8, 'Untitled', 6);

INSERT INTO "Genre" ("GenreId", "Name") VALUES
    (1, 'Rock'),
    (2, 'Jazz'),
    (3, 'Pop'),
    (4, 'Silence');

INSERT INTO "Track" ("TrackId", "Name", "AlbumId", "GenreId", "Milliseconds") VALUES
    (1, 'Track 01', 1, 1, 343719),
    (2, 'Track 02', 1, 1, 375418),
    (3, 'Track 03', 2, 1, 252051),
    (4, 'Track 04', 2, 1, 230619),
    (5, 'Track 05', 3, 2, 545000),
    (6, 'Track 06', 3, 2, 562000),
    (7, 'Track 07', 4, 2, NULL),
    (8, 'Track 08', 4, 2, 980000),
    (9, 'Track 09', 5, 3, 201000),
    (10, 'Track 10', 5, 3, 245000),
    (11, 'Track 11', 6, 3, 199000),
    (12, 'Track 12', 7, 3, 9999999),
    (13, 'So What?', 8, NULL, 315000),
    (14, 'Track 14', NULL, 3, 61000);

INSERT INTO "Customer" ("CustomerId", "FirstName", "LastName", "Company", "Country", "Email") VALUES
    (1, 'Ann', 'Smith', 'Acme', 'Brazil', 'ann@example.com'),
    (2, 'Ann', 'Smith', NULL, 'Germany', 'ann@example.com'),
    (3, 'Bob', 'Jones', '', 'Germany', 'bob@example.com'),
    (4, 'Cy', NULL, NULL, 'Canada', 'cy@example.com'),
    (5, 'Dora', 'Núñez', 'Acme', NULL, 'dora@example.com'),
    (6, 'Eve', 'Adams', NULL, 'Brazil', NULL),
    (7, 'Fay', 'Young', 'Fay & Co', 'Canada', 'bob@example.com'),
    (8, 'Never', 'Ordered', NULL, 'Chile', 'never@example.com');

INSERT INTO "Invoice" ("InvoiceId", "CustomerId", "InvoiceDate", "Total") VALUES
    (1, 1, '2023-11-05 10:00:00', 12.50),
    (2, 6, '2023-12-31 23:59:59', 7.61),
    (3, 4, '2024-03-31 18:00:00', 9.07),
    (4, 2, '2023-12-01 00:00:00', 1.03),
    (5, 7, '2024-03-03 08:00:00', 23.14),
    (6, 5, '2023-11-20 09:30:00', 30.04),
    (7, 3, '2024-01-15 12:00:00', 0.48),
    (8, 1, '2023-11-05 10:00:00', 5.06),
    (9, 6, '2023-12-31 23:59:59', 15.93),
    (10, 4, '2024-03-31 18:00:00', 12.59),
    (11, 2, '2023-12-01 00:00:00', 7.70),
    (12, 7, '2024-03-03 08:00:00', 9.16),
    (13, 5, '2023-11-20 09:30:00', 1.12),
    (14, 3, '2024-01-15 12:00:00', 23.23),
    (15, 1, '2023-11-05 10:00:00', 30.13),
    (16, 6, '2023-12-31 23:59:59', 0.57),
    (17, 4, '2024-03-31 18:00:00', 5.15),
    (18, 2, '2023-12-01 00:00:00', 16.02),
    (19, 7, '2024-03-03 08:00:00', 12.68),
    (20, 5, '2023-11-20 09:30:00', 7.79),
    (21, 3, '2024-01-15 12:00:00', 9.25),
    (22, 1, '2023-11-05 10:00:00', 1.21),
    (23, 6, '2023-12-31 23:59:59', 23.32),
    (24, 4, '2024-03-31 18:00:00', 30.22),
    (25, 2, '2023-12-01 00:00:00', 0.66),
    (26, 7, '2024-03-03 08:00:00', 5.24),
    (27, 5, '2023-11-20 09:30:00', 16.11),
    (28, 3, '2024-01-15 12:00:00', 12.77),
    (29, 1, '2023-11-05 10:00:00', 7.88),
    (30, 6, '2023-12-31 23:59:59', 9.34),
    (31, 4, '2024-03-31 18:00:00', 1.30),
    (32, 2, '2023-12-01 00:00:00', 23.41),
    (33, 7, '2024-03-03 08:00:00', 30.31),
    (34, 5, '2023-11-20 09:30:00', 0.75),
    (35, 3, '2024-01-15 12:00:00', 5.33),
    (36, 1, '2023-11-05 10:00:00', 16.20),
    (37, 3, '2024-03-15 12:00:00', 900.00),
    (38, 2, '2024-01-02 12:00:00', NULL),
    (39, NULL, '2024-01-03 12:00:00', 5.00),
    (40, 99, '2024-01-04 12:00:00', 7.50),
    (41, 99, '2024-01-05 12:00:00', 2.50),
    (42, 1, NULL, 1.00);
