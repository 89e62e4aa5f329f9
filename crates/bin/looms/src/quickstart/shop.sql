-- A small shop to ask questions of: made up, the same each time.
CREATE TABLE region (
    region_id   INTEGER PRIMARY KEY,
    name        TEXT NOT NULL
);
CREATE TABLE customer (
    customer_id INTEGER PRIMARY KEY,
    first_name  TEXT NOT NULL,
    last_name   TEXT NOT NULL,
    email       TEXT NOT NULL UNIQUE,
    region_id   INTEGER NOT NULL REFERENCES region (region_id),
    joined_on   DATE NOT NULL
);
CREATE TABLE category (
    category_id INTEGER PRIMARY KEY,
    name        TEXT NOT NULL
);
CREATE TABLE product (
    product_id  INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    category_id INTEGER NOT NULL REFERENCES category (category_id),
    price       NUMERIC(10, 2) NOT NULL
);
CREATE TABLE orders (
    order_id    INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customer (customer_id),
    ordered_on  DATE NOT NULL,
    total       NUMERIC(10, 2) NOT NULL
);
CREATE TABLE order_item (
    order_id    INTEGER NOT NULL REFERENCES orders (order_id),
    product_id  INTEGER NOT NULL REFERENCES product (product_id),
    quantity    INTEGER NOT NULL,
    amount      NUMERIC(10, 2) NOT NULL,
    PRIMARY KEY (order_id, product_id)
);

INSERT INTO region VALUES (1, 'North'), (2, 'South'), (3, 'East'), (4, 'West');

INSERT INTO customer VALUES
    (1, 'Ada', 'Brandt', 'ada@shop.example', 1, '2024-01-09'),
    (2, 'Bruno', 'Costa', 'bruno@shop.example', 2, '2024-01-21'),
    (3, 'Chloe', 'Dubois', 'chloe@shop.example', 3, '2024-02-02'),
    (4, 'Daniel', 'Eriksen', 'daniel@shop.example', 1, '2024-02-14'),
    (5, 'Elif', 'Fidan', 'elif@shop.example', 4, '2024-03-01'),
    (6, 'Farid', 'Ghali', 'farid@shop.example', 2, '2024-03-11'),
    (7, 'Grace', 'Hill', 'grace@shop.example', 3, '2024-03-30'),
    (8, 'Hana', 'Ito', 'hana@shop.example', 4, '2024-04-05'),
    (9, 'Ivan', 'Jovic', 'ivan@shop.example', 1, '2024-04-19'),
    (10, 'Julia', 'Kowal', 'julia@shop.example', 2, '2024-05-08'),
    (11, 'Kofi', 'Lamptey', 'kofi@shop.example', 3, '2024-05-23'),
    (12, 'Lena', 'Meyer', 'lena@shop.example', 4, '2024-06-15');

INSERT INTO category VALUES (1, 'Coffee'), (2, 'Tea'), (3, 'Equipment'), (4, 'Books');

INSERT INTO product VALUES
    (1, 'Espresso beans', 1, 14.50),
    (2, 'Filter beans', 1, 12.90),
    (3, 'Decaf beans', 1, 13.20),
    (4, 'Sencha', 2, 9.80),
    (5, 'Earl Grey', 2, 7.40),
    (6, 'Rooibos', 2, 6.90),
    (7, 'Hand grinder', 3, 59.00),
    (8, 'Gooseneck kettle', 3, 74.00),
    (9, 'Paper filters', 3, 4.50),
    (10, 'The Coffee Atlas', 4, 32.00),
    (11, 'Tea Time', 4, 18.00);

-- 180 orders over 2025, each by a customer and of one to three products that its number decides.
INSERT INTO orders
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 180)
SELECT n, 1 + (n * 37 / 5 + n * n / 11) % 12, date('2025-01-01', '+' || (n * 2 + n % 3) || ' days'), 0 FROM number;

INSERT INTO order_item
SELECT order_id, product_id, quantity, round(quantity * price, 2)
FROM (
    SELECT o.order_id, 1 + (o.order_id * 5 + line.k * 4) % 11 AS product_id, 1 + (o.order_id + line.k) % 3 AS quantity
    FROM orders AS o
    JOIN (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2) AS line ON line.k <= o.order_id % 3
)
JOIN product USING (product_id);

UPDATE orders SET total = (SELECT round(sum(amount), 2) FROM order_item WHERE order_item.order_id = orders.order_id);
ANALYZE;
