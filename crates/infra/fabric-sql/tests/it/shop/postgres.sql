-- The tables of the shop, for PostgreSQL. The keys come after the rows: some lead nowhere.
CREATE TABLE "Artist" ("ArtistId" integer PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Album" ("AlbumId" integer PRIMARY KEY, "Title" varchar(160) NOT NULL, "ArtistId" integer);
CREATE TABLE "Genre" ("GenreId" integer PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Track" (
    "TrackId" integer PRIMARY KEY, "Name" varchar(200) NOT NULL, "AlbumId" integer, "GenreId" integer,
    "Milliseconds" integer
);
CREATE TABLE "Customer" (
    "CustomerId" integer PRIMARY KEY, "FirstName" varchar(40) NOT NULL, "LastName" varchar(20), "Company" varchar(80),
    "Country" varchar(40), "Email" varchar(60)
);
CREATE TABLE "Invoice" (
    "InvoiceId" integer PRIMARY KEY, "CustomerId" integer, "InvoiceDate" timestamp, "Total" numeric(10, 2)
);
