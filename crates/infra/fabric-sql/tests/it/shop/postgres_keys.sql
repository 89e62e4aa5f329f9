-- The keys of the shop, for PostgreSQL and what the patterns about the server itself look for.
ALTER TABLE "Album" ADD FOREIGN KEY ("ArtistId") REFERENCES "Artist";
ALTER TABLE "Track" ADD FOREIGN KEY ("AlbumId") REFERENCES "Album" ("AlbumId");
ALTER TABLE "Track" ADD FOREIGN KEY ("GenreId") REFERENCES "Genre" ("GenreId");
ALTER TABLE "Invoice" ADD FOREIGN KEY ("CustomerId") REFERENCES "Customer" ("CustomerId") NOT VALID;
CREATE TABLE "Note" ("Text" text);
INSERT INTO "Note" SELECT 'note ' || i FROM generate_series(1, 100) i;
CREATE INDEX "InvoiceByTotal" ON "Invoice" ("Total");
