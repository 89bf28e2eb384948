-- What a user without a product does: a table whose rows hold the hash of the row before.
CREATE TABLE log (n bigint PRIMARY KEY, hash bytea NOT NULL, record text NOT NULL);
INSERT INTO log VALUES (0, sha256(''), '');

CREATE FUNCTION append(records integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    last log%ROWTYPE;
    record text;
BEGIN
    PERFORM pg_advisory_xact_lock(1);
    SELECT * INTO last FROM log ORDER BY n DESC LIMIT 1;
    FOR i IN 1..records LOOP
        last.n := last.n + 1;
        record := 'user ' || last.n % 997 || ' read account ' || last.n * 7919 % 1000003 || repeat('.', 260);
        last.hash := sha256(last.hash || convert_to(record, 'UTF8'));
        INSERT INTO log VALUES (last.n, last.hash, record);
    END LOOP;
END $$;
