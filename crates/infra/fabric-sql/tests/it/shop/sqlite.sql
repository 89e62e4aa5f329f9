-- The tables of the shop, for SQLite. It checks no foreign key while the rows are written: some lead nowhere.
PRAGMA foreign_keys = OFF;
CREATE TABLE "Artist" ("ArtistId" INTEGER PRIMARY KEY, "Name" NVARCHAR(120));
CREATE TABLE "Album" (
    "AlbumId" INTEGER PRIMARY KEY, "Title" NVARCHAR(160) NOT NULL, "ArtistId" INTEGER REFERENCES "Artist"
);
CREATE TABLE "Genre" ("GenreId" INTEGER PRIMARY KEY, "Name" NVARCHAR(120));
CREATE TABLE "Track" (
    "TrackId" INTEGER PRIMARY KEY, "Name" NVARCHAR(200) NOT NULL, "AlbumId" INTEGER REFERENCES "Album" ("AlbumId"),
    "GenreId" INTEGER REFERENCES "Genre" ("GenreId"), "Milliseconds" INTEGER
);
CREATE TABLE "Customer" (
    "CustomerId" INTEGER PRIMARY KEY, "FirstName" NVARCHAR(40) NOT NULL, "LastName" NVARCHAR(20),
    "Company" NVARCHAR(80), "Country" NVARCHAR(40), "Email" NVARCHAR(60)
);
CREATE TABLE "Invoice" (
    "InvoiceId" INTEGER PRIMARY KEY, "CustomerId" INTEGER REFERENCES "Customer" ("CustomerId"),
    "InvoiceDate" DATETIME, "Total" NUMERIC(10, 2)
);
